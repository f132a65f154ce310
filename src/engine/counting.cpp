#include "engine/counting.hpp"

#include <algorithm>
#include <ctime>
#include <utility>

#include "pg/activity.hpp"
#include "pg/columns.hpp"
#include "pg/fixed_text.hpp"
#include "pg/log.hpp"
#include "pg/settings.hpp"
#include "pg/time.hpp"

namespace pg_seats::engine {
namespace {

using pg::Rows;
using pg::Statement;

// By their numbers in seats_internal.counted_table.
constexpr std::size_t outbox = 0;
constexpr std::size_t handlers = 1;
constexpr std::size_t seat_lines = 2;
constexpr std::size_t payments = 6;

// What the worker and its processes themselves change all the time.
constexpr bool is_busy(std::size_t table) {
    return table == outbox || table == handlers;
}

Statement tables_statement{
    "SELECT t.number, t.is_small, t.pages, t.changes FROM seats_internal.counted_table AS t"};

#define SLICE(view)                                                             \
    "SELECT c.destination, c.label, c.reason, count(*), sum(c.amount)::bigint," \
    "       min(c.at), (pg_catalog.array_agg(c.id ORDER BY c.at, c.id))[1]"     \
    "  FROM seats_internal." view                                               \
    " AS c WHERE c.place >= $1::text::tid AND c.place < $2::text::tid"          \
    " GROUP BY c.destination, c.label, c.reason"

std::array<Statement, pg::counted_tables> slice_statements{
    Statement{SLICE("counted_call")},      Statement{SLICE("counted_handler")},
    Statement{SLICE("counted_seat_line")}, Statement{SLICE("counted_team")},
    Statement{SLICE("counted_member")},    Statement{SLICE("counted_invite")},
    Statement{SLICE("counted_payment")}};

#undef SLICE

// A slice is made larger or smaller so that it takes about that much of the processor (on a busy
// machine all takes longer), or some times that long if it is read from a disk; and then as many
// times that long nothing is counted: the more so while somebody waits for answers.
constexpr std::chrono::microseconds long_slice{3'000};
constexpr int times_from_disk = 4;
constexpr std::int64_t most_pages = 128;
// (What a slice costs before its first row is not paid for each page, then. Of a seat line more is
// asked than of other rows.)
constexpr std::int64_t least_pages = 32;
constexpr std::int64_t least_pages_of_seat_lines = 1;
constexpr int rest_when_busy = 50;
constexpr int rest_when_idle = 5;
constexpr core::Duration longest_rest{1'000};

// Between two counts of a table, however much moves; longer where it is large (core::next_count).
constexpr core::Duration pause_of_calls{1'000};  // and of their handlers
constexpr core::Duration pause_of_others{30'000};
constexpr core::Duration pause_after_error{60'000};
// Calls that wait as designed do not for ever: where there are some, calls that nobody touches are
// counted again, too, by a safety poll then and when.
constexpr int polls_without_count = 4;
constexpr core::Duration longest_without_count{120'000};

// Kinds of rows that are told apart. (Of calls and payments, states and reasons are a few each:
// what goes beyond is counted as of the destination "other".)
constexpr std::size_t most_kinds_of_calls = 250;
constexpr std::size_t most_kinds = 16;

std::chrono::microseconds processor_time() {
    timespec time{};
    static_cast<void>(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time));
    return std::chrono::duration_cast<std::chrono::microseconds>(
        std::chrono::seconds{time.tv_sec} + std::chrono::nanoseconds{time.tv_nsec});
}

// Rises with whatever may have changed rows.
std::uint64_t activity(const Engine& engine) {
    const pg::WorkerCounters& counters = engine.slot.counters;
    std::uint64_t sum = 0;
    for (const auto* counter :
         {&counters.frozen, &counters.done, &counters.refused, &counters.again, &counters.unknown,
          &counters.halted, &counters.wakes, &counters.handlers_done, &counters.handlers_failed}) {
        sum += pg_atomic_read_u64(const_cast<pg_atomic_uint64*>(counter));
    }
    return sum;
}

// What was counted before is so still; or, of a small table, is nobody's business any more.
void show_as_of(Engine& engine, std::size_t table, TimestampTz counted_at) {
    pg::SharedState& shared = *pg::shared_state();
    LWLockAcquire(shared.lock, LW_EXCLUSIVE);
    TimestampTz& shown = pg::counts_of(shared, engine.slot).counted_at[table];
    shown = shown == 0 ? 0 : counted_at;
    LWLockRelease(shared.lock);
}

void show(Engine& engine) {
    const Counting& counting = engine.counting;
    pg::SharedState& shared = *pg::shared_state();
    LWLockAcquire(shared.lock, LW_EXCLUSIVE);
    pg::WorkerCounts& shown = pg::counts_of(shared, engine.slot);
    auto* const end =
        std::remove_if(shown.entry, shown.entry + shown.entries, [&](const pg::CountedRows& entry) {
            return std::cmp_equal(entry.table, *counting.current);
        });
    shown.entries = static_cast<int>(end - shown.entry);
    for (const auto& [kind, tally] : counting.found) {
        if (shown.entries == pg::most_counted) {
            break;
        }
        pg::CountedRows& entry = shown.entry[shown.entries++];
        entry.table = static_cast<std::int8_t>(*counting.current);
        pg::copy_text(entry.destination, kind.destination);
        pg::copy_text(entry.label, kind.label);
        pg::copy_text(entry.reason, kind.reason);
        entry.rows = tally.rows;
        entry.amount = tally.amount;
        entry.oldest_at = tally.oldest_at;
        entry.oldest_id = tally.oldest_id;
    }
    shown.counted_at[*counting.current] = counting.began_at;
    LWLockRelease(shared.lock);
}

void add(Counting& counting, const Rows& rows, std::size_t row) {
    RowKind kind{rows.string(row, 1), rows.string(row, 2), rows.string(row, 3)};
    const std::size_t most = *counting.current == outbox ? most_kinds_of_calls : most_kinds;
    if (counting.found.size() >= most && !counting.found.contains(kind)) {
        kind.destination = "other";
        if (*counting.current != outbox && *counting.current != payments) {
            kind.label = kind.reason = "other";
        }
    }
    Tally& tally = counting.found[kind];
    tally.rows += rows.bigint(row, 4);
    tally.amount += rows.bigint(row, 5);
    const TimestampTz oldest_at = rows.timestamp(row, 6);
    if (tally.oldest_id == 0 || (oldest_at != 0 && oldest_at < tally.oldest_at)) {
        tally.oldest_at = oldest_at;
        tally.oldest_id = rows.bigint(row, 7);
    }
}

void end_count(Counting& counting, TimePoint due) {
    counting.tables[*counting.current].due = due;
    counting.current.reset();
    counting.found.clear();
    counting.look_at = TimePoint{};
}

// The reasons of seats_internal.counted_call that time alone ends. (A backlog that nobody touches,
// of a million calls for a destination that is paused, say, is not counted again and again.)
bool outdates_itself(const RowKind& kind) {
    return kind.reason == "payment" || kind.reason == "stripes_limit" || kind.reason == "behind";
}

core::Duration pause_while_nothing_moves() {
    return std::min(core::Duration{polls_without_count * std::int64_t{pg::settings.safety_poll_ms}},
                    longest_without_count);
}

void failed(Engine& engine, const pg::Failure& failure) {
    if (engine.leave) {
        return;
    }
    // (Who has locked a table for long is not waited for, and nobody's fault.)
    if (!failure.is_lock_timeout()) {
        pg::log_warning("rows could not be counted for metrics: " + failure.message);
    }
    if (engine.counting.current) {
        end_count(engine.counting, steady_now() + pause_after_error);
    }
    engine.counting.look_at = steady_now() + pause_after_error;
}

void count_slice(Engine& engine) {
    Counting& counting = engine.counting;
    CountedTable& table = counting.tables[*counting.current];
    const std::chrono::microseconds before = processor_time();
    const TimePoint began = steady_now();
    const auto place = [](std::int64_t page) {
        return pg::text('(' + std::to_string(page) + ",0)");
    };
    const auto failure = engine.transaction([&] {
        const std::int64_t end = counting.page + table.slice;
        const Rows rows =
            slice_statements[*counting.current].run({place(counting.page), place(end)});
        for (std::size_t row = 0; row < rows.size(); ++row) {
            add(counting, rows, row);
        }
        counting.page = end;
    });
    if (failure) {
        failed(engine, *failure);
        return;
    }
    const auto elapsed =
        std::chrono::duration_cast<std::chrono::microseconds>(steady_now() - began);
    const std::chrono::microseconds took =
        std::max(processor_time() - before, elapsed / times_from_disk);
    counting.cost += took;
    if (took > long_slice) {
        table.slice =
            std::max(table.slice / 2,
                     *counting.current == seat_lines ? least_pages_of_seat_lines : least_pages);
    } else if (2 * took < long_slice) {
        table.slice = std::min(2 * table.slice, most_pages);
    }
    const int rest = engine.flights.empty() ? rest_when_idle : rest_when_busy;
    counting.slice_at =
        steady_now() + std::min(std::chrono::ceil<core::Duration>(rest * took), longest_rest);
    if (counting.page >= counting.pages) {
        show(engine);
        table.changes = counting.changes;
        if (*counting.current == outbox) {
            const bool is_outdated_by_time = std::ranges::any_of(
                counting.found, [](const auto& entry) { return outdates_itself(entry.first); });
            table.outdated_at =
                is_outdated_by_time ? steady_now() + pause_while_nothing_moves() : TimePoint::max();
        }
        end_count(counting,
                  core::next_count(counting.since, steady_now(), counting.cost,
                                   is_busy(*counting.current) ? pause_of_calls : pause_of_others));
    }
}

// Begins with the one of the tables that were changed that has been due for longest: none is kept
// from its turn by one that is large and always changes.
void begin_count(Engine& engine, const Rows& rows, bool is_active) {
    Counting& counting = engine.counting;
    const TimePoint now = steady_now();
    counting.look_at = now + pause_of_others;
    std::size_t changed = 0;
    std::optional<std::size_t> first;
    TimePoint first_due = now;
    for (std::size_t row = 0; row < rows.size(); ++row) {
        const auto number = static_cast<std::size_t>(rows.integer(row, 1));
        CountedTable& table = counting.tables.at(number);
        if (rows.boolean(row, 2)) {
            show_as_of(engine, number, 0);
            table.changes = -1;
            // (When it is large again nobody has counted it.)
            table.due = TimePoint{};
            continue;
        }
        // (What they have done just now the statistics may not know yet.)
        if (is_active && is_busy(number)) {
            table.changes = -1;
        }
        if (rows.bigint(row, 4) == table.changes && now < table.outdated_at) {
            show_as_of(engine, number, pg::now());
        } else {
            ++changed;
            counting.look_at = std::min(counting.look_at, table.due);
            if (table.due < first_due) {
                first = row;
                first_due = table.due;
            }
        }
    }
    counting.is_wanted = changed > (first ? 1U : 0U);
    if (first) {
        counting.current = static_cast<std::size_t>(rows.integer(*first, 1));
        counting.page = 0;
        counting.pages = rows.bigint(*first, 3);
        counting.changes = rows.bigint(*first, 4);
        counting.began_at = pg::now();
        counting.since = now;
        counting.cost = {};
    }
}

void look(Engine& engine) {
    Counting& counting = engine.counting;
    const std::uint64_t active = activity(engine);
    const bool is_active = active != std::exchange(counting.activity, active);
    counting.is_polled = false;
    const auto failure =
        engine.transaction([&] { begin_count(engine, tables_statement.run(), is_active); });
    if (failure) {
        failed(engine, *failure);
    } else if (!counting.is_wanted) {
        counting.look_at = steady_now() + pause_of_calls;
    }
}

bool wants_look(const Engine& engine) {
    const Counting& counting = engine.counting;
    return counting.is_wanted || counting.is_polled || counting.activity != activity(engine);
}

}  // namespace

void count_rows(Engine& engine) {
    Counting& counting = engine.counting;
    const TimePoint now = steady_now();
    if (now < engine.no_work_before) {
        return;
    }
    if (!counting.current && now >= counting.look_at && wants_look(engine)) {
        look(engine);
    }
    if (counting.current && now >= counting.slice_at) {
        pg::show_working("counting rows");
        count_slice(engine);
    }
}

core::Duration until_count(const Engine& engine) {
    const Counting& counting = engine.counting;
    if (!counting.current && !wants_look(engine)) {
        return core::Duration::max();
    }
    const TimePoint at = counting.current ? counting.slice_at : counting.look_at;
    return std::max(std::chrono::ceil<core::Duration>(at - steady_now()), core::Duration{0});
}

}  // namespace pg_seats::engine
