// What the worker of the current database has counted and measured, for health and metrics.
#include "functions/put_row.hpp"
#include "pg/error.hpp"
#include "pg/shared_state.hpp"

namespace pg_seats {
namespace {

using pg::SharedState;
using pg::WorkerCounts;
using pg::WorkerSlot;

constexpr int most_columns = 9;

// ---- rows of tables

// A copy, so that nothing that may raise runs under the lock. What no worker keeps true is not
// shown.
void look(WorkerCounts* seen) {
    SharedState* const shared = pg::shared_state();
    if (shared == nullptr) {
        return;
    }
    LWLockAcquire(shared->lock, LW_SHARED);
    const WorkerSlot* const slot = pg::find_worker(*shared, MyDatabaseId);
    if (slot != nullptr && slot->pid != 0) {
        *seen = pg::counts_of(*shared, *slot);
    }
    LWLockRelease(shared->lock);
}

void put_count(FunctionCallInfo fcinfo, int table, const pg::CountedRows* entry,
               TimestampTz counted_at) {
    Datum values[most_columns] = {};
    bool nulls[most_columns] = {false, true, true, true, true, true, true, true, false};
    values[0] = Int32GetDatum(table);
    values[8] = TimestampTzGetDatum(counted_at);
    if (entry != nullptr) {
        const char* const texts[] = {entry->destination, entry->label, entry->reason};
        for (int i = 0; i < 3; ++i) {
            nulls[1 + i] = texts[i][0] == '\0';
            values[1 + i] = CStringGetTextDatum(texts[i]);
        }
        values[4] = Int64GetDatum(entry->rows);
        values[5] = Int64GetDatum(entry->amount);
        values[6] = TimestampTzGetDatum(entry->oldest_at);
        values[7] = Int64GetDatum(entry->oldest_id);
        nulls[4] = nulls[5] = false;
        nulls[6] = entry->oldest_at == 0;
        nulls[7] = entry->oldest_id == 0;
    }
    put_row(fcinfo, values, nulls, most_columns);
}

void return_counts(FunctionCallInfo fcinfo) {
    InitMaterializedSRF(fcinfo, 0);
    auto* const seen = static_cast<WorkerCounts*>(palloc0(sizeof(WorkerCounts)));
    look(seen);
    for (int table = 0; table < pg::counted_tables; ++table) {
        if (seen->counted_at[table] != 0) {
            put_count(fcinfo, table, nullptr, seen->counted_at[table]);
        }
    }
    for (int i = 0; i < seen->entries; ++i) {
        const pg::CountedRows& entry = seen->entry[i];
        if (seen->counted_at[entry.table] != 0) {
            put_count(fcinfo, entry.table, &entry, seen->counted_at[entry.table]);
        }
    }
    pfree(seen);
}

// ---- histograms, and webhooks

// nullptr: nothing is counted here. (A slot's numbers are atomics, and never go away.)
WorkerSlot* slot_of_database() {
    SharedState* const shared = pg::shared_state();
    if (shared == nullptr) {
        return nullptr;
    }
    LWLockAcquire(shared->lock, LW_SHARED);
    WorkerSlot* const slot = pg::find_worker(*shared, MyDatabaseId);
    LWLockRelease(shared->lock);
    return slot;
}

void put_histogram(FunctionCallInfo fcinfo, const char* name, pg::Histogram& histogram) {
    std::uint64_t count = 0;
    for (std::size_t i = 0; i < core::histogram_buckets; ++i) {
        const bool is_last = i + 1 == core::histogram_buckets;
        count += pg_atomic_read_u64(&histogram.buckets[i]);
        Datum values[] = {
            CStringGetTextDatum(name),
            CStringGetTextDatum(
                is_last ? "+Inf"
                        : psprintf("%g", static_cast<double>(core::histogram_bounds.at(i)) / 1e6)),
            Int64GetDatum(static_cast<int64>(count)),
            Float8GetDatum(static_cast<double>(pg_atomic_read_u64(&histogram.sum)) / 1e6)};
        bool nulls[] = {false, false, false, !is_last};
        put_row(fcinfo, values, nulls, lengthof(values));
    }
}

void return_histograms(FunctionCallInfo fcinfo) {
    InitMaterializedSRF(fcinfo, 0);
    WorkerSlot* const slot = slot_of_database();
    if (slot == nullptr) {
        return;
    }
    for (const pg::HistogramName& each : pg::histogram_names) {
        put_histogram(fcinfo, each.name, slot->histograms.*each.histogram);
    }
}

void return_webhook_counters(FunctionCallInfo fcinfo) {
    InitMaterializedSRF(fcinfo, 0);
    WorkerSlot* const slot = slot_of_database();
    if (slot == nullptr) {
        return;
    }
    for (std::size_t i = 0; i < std::size(pg::webhook_outcomes); ++i) {
        Datum values[] = {
            CStringGetTextDatum(pg::webhook_outcomes[i]),
            Int64GetDatum(static_cast<int64>(pg_atomic_read_u64(&slot->webhooks.by_outcome[i])))};
        bool nulls[] = {false, false};
        put_row(fcinfo, values, nulls, lengthof(values));
    }
}

}  // namespace
}  // namespace pg_seats

PG_SEATS_FUNCTION(pg_seats_counts_shown) {
    pg_seats::pg::guard(pg_seats::return_counts, fcinfo);
    return Datum{0};
}

PG_SEATS_FUNCTION(pg_seats_histograms) {
    pg_seats::pg::guard(pg_seats::return_histograms, fcinfo);
    return Datum{0};
}

PG_SEATS_FUNCTION(pg_seats_webhook_counters) {
    pg_seats::pg::guard(pg_seats::return_webhook_counters, fcinfo);
    return Datum{0};
}
