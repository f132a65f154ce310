#include "pg/wake.hpp"

#include <algorithm>

#include "pg/error.hpp"
#include "pg/shared_state.hpp"

namespace pg_seats::pg {
namespace {

// Of the current transaction; cleared at its end, however it ends.
std::uint32_t pending_reasons = 0;
Oid pending_probe = InvalidOid;
bool pending_probe_all = false;
// Calls of this database that have ended and have handlers. Those of a savepoint that was rolled
// back stay: whoever is told looks into the table.
std::int64_t ended_calls[most_handed_over];
std::int32_t ended_count = 0;
bool ended_overflow = false;
bool callback_registered = false;
bool warned = false;

// Runs after the commit, where an error would be a PANIC: it sets bits and latches, nothing else.
void at_transaction_end(XactEvent event, void* /*argument*/) {
    switch (event) {
        case XACT_EVENT_COMMIT:
            if (ended_count > 0 || ended_overflow) {
                hand_over(MyDatabaseId, ended_calls, ended_count, ended_overflow);
            }
            if (pending_reasons != 0) {
                wake_worker(MyDatabaseId, pending_reasons);
            }
            if (OidIsValid(pending_probe)) {
                request_probe(pending_probe);
            }
            if (pending_probe_all) {
                request_probe(InvalidOid);
            }
            break;
        case XACT_EVENT_ABORT:
        case XACT_EVENT_PREPARE:  // COMMIT PREPARED wakes by the utility hook
            break;
        default:
            return;
    }
    pending_reasons = 0;
    pending_probe = InvalidOid;
    pending_probe_all = false;
    ended_count = 0;
    ended_overflow = false;
}

// Once per backend: callbacks are never removed at commit, so registering one per transaction would
// run more and more of them.
void register_callback() {
    if (!callback_registered) {
        RegisterXactCallback(at_transaction_end, nullptr);
        callback_registered = true;
    }
}

}  // namespace

void wake_worker_at_commit(std::uint32_t reasons) {
    if (shared_state() == nullptr && !warned) {
        warned = true;
        ereport(WARNING,
                (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                 errmsg("pg_seats has no worker in this server: rows wait in the outbox"),
                 errhint("Add pg_seats to shared_preload_libraries and restart the server.")));
    }
    register_callback();
    pending_reasons |= reasons;
}

void hand_over_at_commit(const std::int64_t* calls, int count) {
    wake_worker_at_commit(wake_handlers);
    const int fitting = std::min(count, most_handed_over - ended_count);
    std::copy_n(calls, fitting, ended_calls + ended_count);
    ended_count += fitting;
    ended_overflow = ended_overflow || fitting < count;
}

void probe_at_commit(Oid database) {
    register_callback();
    if (OidIsValid(pending_probe) && pending_probe != database) {
        pending_probe_all = true;
    }
    pending_probe = database;
}

}  // namespace pg_seats::pg
