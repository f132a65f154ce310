// The processes of this database's handlers, for views and for whoever chooses what a person is
// told.
#include "functions/put_row.hpp"
#include "pg/error.hpp"
#include "pg/shared_state.hpp"

namespace pg_seats {
namespace {

using pg::HandlerSlot;
using pg::HandlerState;

const char* text_of(HandlerState state) {
    switch (state) {
        case HandlerState::free:
            break;
        case HandlerState::wanted:
            return "wanted";
        case HandlerState::starting:
            return "starting";
        case HandlerState::idle:
            return "idle";
        case HandlerState::working:
            return "working";
        case HandlerState::finished:
            return "finished";
        case HandlerState::ended:
            return "ended";
    }
    return "free";
}

// A copy, so that nothing that may raise runs under the lock. Gives how many there are.
int look(HandlerSlot* seen) {
    pg::SharedState* const shared = pg::shared_state();
    if (shared == nullptr) {
        return 0;
    }
    int count = 0;
    LWLockAcquire(shared->lock, LW_SHARED);
    for (const HandlerSlot& slot : shared->handlers) {
        if (slot.state != HandlerState::free && slot.database == MyDatabaseId) {
            seen[count++] = slot;
        }
    }
    LWLockRelease(shared->lock);
    return count;
}

void return_handler_state(FunctionCallInfo fcinfo) {
    InitMaterializedSRF(fcinfo, 0);
    auto* const seen =
        static_cast<HandlerSlot*>(palloc(sizeof(HandlerSlot) * pg::max_handler_processes));
    const int count = look(seen);
    for (int i = 0; i < count; ++i) {
        const HandlerSlot& slot = seen[i];
        const bool runs = slot.state == HandlerState::working && slot.running != 0;
        Datum values[] = {Int32GetDatum(slot.pid),
                          ObjectIdGetDatum(slot.role),
                          CStringGetTextDatum(text_of(slot.state)),
                          Int64GetDatum(slot.running),
                          TimestampTzGetDatum(slot.running_since),
                          TimestampTzGetDatum(slot.since),
                          CStringGetTextDatum(slot.debug_point),
                          CStringGetTextDatum(slot.trouble)};
        bool nulls[] = {
            slot.pid == 0,          false, false, !runs, !runs, false, slot.debug_point[0] == '\0',
            slot.trouble[0] == '\0'};
        put_row(fcinfo, values, nulls, lengthof(values));
    }
    pfree(seen);
}

}  // namespace
}  // namespace pg_seats

PG_SEATS_FUNCTION(pg_seats_handler_state) {
    pg_seats::pg::guard(pg_seats::return_handler_state, fcinfo);
    return Datum{0};
}
