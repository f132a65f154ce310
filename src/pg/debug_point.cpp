#include "pg/debug_point.hpp"

#include "pg/settings.hpp"
#include "pg/shared_state.hpp"
#include "pg/wait.hpp"

namespace pg_seats::pg {

#ifdef PG_SEATS_TEST

namespace {

bool is_asked_for(const char* point) {
    const char* const asked = settings.debug_point;
    return asked != nullptr && *asked != '\0' && strcmp(asked, point) == 0;
}

// Only a process that has a slot shows where it stands.
void show(const char* point) {
    SharedState* const shared = shared_state();
    if (shared == nullptr) {
        return;
    }
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    WorkerSlot* const slot = find_worker(*shared, MyDatabaseId);
    if (slot != nullptr && slot->pid == MyProcPid) {
        strlcpy(slot->debug_point, point, sizeof slot->debug_point);
    }
    LWLockRelease(shared->lock);
    ConditionVariableBroadcast(&shared->worker_changed);
}

}  // namespace

void stand_at(const char* point) {
    if (!is_asked_for(point)) {
        return;
    }
    show(point);
    // A cancel ends the standing, too: the exception would otherwise leave the point shown for
    // ever.
    try {
        while (is_asked_for(point)) {
            wait_on_latch(1'000);
        }
    } catch (...) {
        show("");
        throw;
    }
    show("");
    // The latch may have been set for something else meanwhile.
    SetLatch(MyLatch);
}

#else

void stand_at(const char* /*point*/) {}

#endif

}  // namespace pg_seats::pg
