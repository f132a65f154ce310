// What a worker measures and counts, for monitoring: counters, histograms, and how many rows of
// which kind its tables have. (Of the memory that all processes share: see shared_state.hpp.)
#pragma once

#include "core/histogram.hpp"

#include "pg/postgres.hpp"

extern "C" {
#include "port/atomics.h"
}

namespace pg_seats::pg {

// What a worker counts: a column of seats_internal.worker_state() each, in its order.
// clang-format off
#define PG_SEATS_COUNTERS(counter) \
    counter(claims)                \
    counter(frozen)                \
    counter(sent)                  \
    counter(reads)                 \
    counter(done)                  \
    counter(refused)               \
    counter(again)                 \
    counter(unknown)               \
    counter(halted)                \
    counter(reviews)               \
    counter(settle_failures)       \
    counter(wakes)                 \
    counter(row_errors)            \
    counter(handlers_done)         \
    counter(handlers_failed)       \
    counter(loops)                 \
    counter(transactions)
// clang-format on

struct WorkerCounters {
#define PG_SEATS_COUNTER(name) pg_atomic_uint64 name;
    PG_SEATS_COUNTERS(PG_SEATS_COUNTER)
#undef PG_SEATS_COUNTER
};

struct CounterName {
    const char* name;
    pg_atomic_uint64 WorkerCounters::*counter;
};

inline constexpr CounterName counter_names[] = {
#define PG_SEATS_COUNTER(name) {#name, &WorkerCounters::name},
    PG_SEATS_COUNTERS(PG_SEATS_COUNTER)
#undef PG_SEATS_COUNTER
};

// Each number rises by itself: a look between two of them may find the sum a little behind.
struct Histogram {
    pg_atomic_uint64 buckets[core::histogram_buckets];
    pg_atomic_uint64 sum;  // microseconds
};

struct WorkerHistograms {
    Histogram enqueue_to_wire;
    Histogram stripe_answer;
    Histogram settle;
};

struct HistogramName {
    const char* name;
    Histogram WorkerHistograms::*histogram;
};

inline constexpr HistogramName histogram_names[] = {
    {"enqueue_to_wire", &WorkerHistograms::enqueue_to_wire},
    {"stripe_answer", &WorkerHistograms::stripe_answer},
    {"settle", &WorkerHistograms::settle},
};

inline void observe(Histogram& histogram, std::int64_t microseconds) noexcept {
    const std::int64_t counted = std::max<std::int64_t>(microseconds, 0);
    pg_atomic_fetch_add_u64(&histogram.buckets[core::histogram_bucket(counted)], 1);
    pg_atomic_fetch_add_u64(&histogram.sum, counted);
}

// Webhooks by what came of them, as receive_webhook says it: counted by the sessions that take
// them.
inline constexpr const char* webhook_outcomes[] = {"processed",
                                                   "duplicate",
                                                   "ignored",
                                                   "thin",
                                                   "unmatched",
                                                   "other_account",
                                                   "wrong_mode",
                                                   "stored",
                                                   "busy",
                                                   "not_an_event",
                                                   "too_large",
                                                   "no_secret",
                                                   "signature_malformed",
                                                   "signature_mismatch",
                                                   "signature_too_old",
                                                   "signature_too_new"};

struct WebhookCounters {
    pg_atomic_uint64 by_outcome[std::size(webhook_outcomes)];
};

// What the worker has counted of tables that are not small (src/engine/counting.hpp).
constexpr int counted_tables = 7;
constexpr int most_counted = 448;

struct CountedRows {
    std::int8_t table;
    char destination[NAMEDATALEN];
    char label[32];
    char reason[32];
    std::int64_t rows;
    std::int64_t amount;
    TimestampTz oldest_at;   // 0: none
    std::int64_t oldest_id;  // 0: none
};

struct WorkerCounts {
    TimestampTz counted_at[counted_tables];  // 0: not counted, or small
    int entries;
    CountedRows entry[most_counted];
};

}  // namespace pg_seats::pg
