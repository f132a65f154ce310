// What the worker of the current database says about itself, for views and tests.
#include "functions/put_row.hpp"
#include "pg/error.hpp"
#include "pg/shared_state.hpp"

namespace pg_seats {
namespace {

using pg::SharedState;
using pg::WorkerSlot;
using pg::WorkerState;

// A copy, so that nothing that may raise runs under the lock.
struct Seen {
    bool preloaded;
    bool has_slot;
    pid_t launcher_pid;
    WorkerSlot slot;
};

void look(Seen* seen) {
    memset(static_cast<void*>(seen), 0, sizeof *seen);
    SharedState* const shared = pg::shared_state();
    if (shared == nullptr) {
        return;
    }
    seen->preloaded = true;
    LWLockAcquire(shared->lock, LW_SHARED);
    seen->launcher_pid = shared->launcher_pid;
    if (const WorkerSlot* slot = pg::find_worker(*shared, MyDatabaseId); slot != nullptr) {
        seen->has_slot = true;
        memcpy(static_cast<void*>(&seen->slot), static_cast<const void*>(slot), sizeof *slot);
    }
    LWLockRelease(shared->lock);
}

const char* state_text(const Seen& seen) {
    if (!seen.preloaded) {
        return "not preloaded";
    }
    if (seen.has_slot) {
        switch (seen.slot.state) {
            case WorkerState::none:
                return "none";
            case WorkerState::starting:
                return "starting";
            case WorkerState::running:
                return "running";
            case WorkerState::fenced:
                return "fenced";
        }
    }
    return "none";
}

// core::BreakerState, in its order.
const char* breaker_text(std::uint8_t state) {
    constexpr const char* texts[] = {"closed", "open", "half_open"};
    return state < lengthof(texts) ? texts[state] : "unknown";
}

// Fills the columns of a row one after the other.
struct Row {
    Datum values[32];
    bool nulls[32];
    int count;
};

void add(Row* row, Datum value) {
    row->nulls[row->count] = false;
    row->values[row->count++] = value;
}

void add_null(Row* row) {
    row->nulls[row->count] = true;
    row->values[row->count++] = Datum{0};
}

void add_text(Row* row, const char* text) {
    add(row, CStringGetTextDatum(text));
}

void add_text_or_null(Row* row, const char* text) {
    if (*text == '\0') {
        add_null(row);
    } else {
        add_text(row, text);
    }
}

void add_pid(Row* row, pid_t pid) {
    if (pid == 0) {
        add_null(row);
    } else {
        add(row, Int32GetDatum(pid));
    }
}

void add_time(Row* row, TimestampTz time) {
    if (time == 0) {
        add_null(row);
    } else {
        add(row, TimestampTzGetDatum(time));
    }
}

// A number in another's column would look right.
void expect_column(FunctionCallInfo fcinfo, int index, const char* name) {
    TupleDesc const columns = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo)->setDesc;
    if (index >= columns->natts ||
        strcmp(NameStr(TupleDescAttr(columns, index)->attname), name) != 0) {
        elog(ERROR, "pg_seats: column %d of the function is not \"%s\", as it is in the library",
             index + 1, name);
    }
}

void return_worker_state(FunctionCallInfo fcinfo) {
    InitMaterializedSRF(fcinfo, 0);
    auto* seen = static_cast<Seen*>(palloc(sizeof(Seen)));
    look(seen);
    WorkerSlot* const slot = &seen->slot;
    Row row{};
    add_pid(&row, slot->pid);
    add_text(&row, state_text(*seen));
    // Of a worker that is gone, these would only mislead.
    add_time(&row, slot->pid != 0 ? slot->started_at : 0);
    add_time(&row, slot->pid != 0 ? slot->last_loop_at : 0);
    add(&row, Int32GetDatum(slot->in_flight));
    add(&row, Int32GetDatum(slot->ready));
    add(&row, BoolGetDatum(slot->reading_backlog));
    add_text_or_null(&row, slot->debug_point);
    add_text_or_null(&row, slot->trouble);
    for (const pg::CounterName& each : pg::counter_names) {
        expect_column(fcinfo, row.count, each.name);
        add(&row,
            Int64GetDatum(static_cast<int64>(pg_atomic_read_u64(&(slot->counters.*each.counter)))));
    }
    add_pid(&row, seen->launcher_pid);
    add(&row, BoolGetDatum(seen->preloaded));
    put_row(fcinfo, row.values, row.nulls, row.count);
    pfree(seen);
}

void return_destination_state(FunctionCallInfo fcinfo) {
    InitMaterializedSRF(fcinfo, 0);
    auto* seen = static_cast<Seen*>(palloc(sizeof(Seen)));
    look(seen);
    for (int i = 0; i < seen->slot.destination_count && i < pg::max_destinations; ++i) {
        const pg::DestinationStatus& destination = seen->slot.destinations[i];
        Row row{};
        add_text(&row, destination.name);
        add_text(&row, breaker_text(destination.breaker));
        add(&row, BoolGetDatum(destination.proven));
        add(&row, Float8GetDatum(destination.requests_per_second));
        add(&row, Int32GetDatum(destination.in_flight));
        add(&row, Int32GetDatum(destination.held));
        add_text(&row, destination.trouble);
        put_row(fcinfo, row.values, row.nulls, row.count);
    }
    pfree(seen);
}

}  // namespace
}  // namespace pg_seats

PG_SEATS_FUNCTION(pg_seats_worker_state) {
    pg_seats::return_worker_state(fcinfo);
    return Datum{0};
}

PG_SEATS_FUNCTION(pg_seats_destination_state) {
    pg_seats::return_destination_state(fcinfo);
    return Datum{0};
}
