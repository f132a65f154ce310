#include "pg/debug_point.hpp"

#include <string_view>

#include "pg/error.hpp"
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

// "raise 2 after_judgement": so many times, and then no more until the setting is another.
bool is_to_raise(const char* point) {
    static char counted[64];
    static int left;
    constexpr std::string_view raise = "raise ";
    const char* const asked = settings.debug_point;
    if (asked == nullptr || !std::string_view(asked).starts_with(raise)) {
        counted[0] = '\0';
        return false;
    }
    if (strcmp(asked, counted) != 0) {
        strlcpy(counted, asked, sizeof counted);
        left = atoi(asked + raise.size());
    }
    const char* const place = strchr(asked + raise.size(), ' ');
    return place != nullptr && strcmp(place + 1, point) == 0 && left-- > 0;
}

void raise_for_a_test(const char* point) {
    ereport(ERROR, (errmsg("raised for a test at %s", point)));
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
    for (HandlerSlot& handler : shared->handlers) {
        if (handler.pid == MyProcPid) {
            strlcpy(handler.debug_point, point, sizeof handler.debug_point);
        }
    }
    LWLockRelease(shared->lock);
    ConditionVariableBroadcast(&shared->worker_changed);
}

}  // namespace

void stand_at(const char* point) {
    if (is_to_raise(point)) {
        guard(raise_for_a_test, point);
    }
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
