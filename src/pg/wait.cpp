#include "pg/wait.hpp"

#include "pg/error.hpp"

extern "C" {
#include "postmaster/interrupt.h"
}

namespace pg_seats::pg {
namespace {

void wait(long timeout_ms) {
    static uint32 wait_event = 0;
    if (wait_event == 0) {
        wait_event = new_wait_event("PgSeatsIdle");
    }
    WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, timeout_ms, wait_event);
    ResetLatch(MyLatch);
    CHECK_FOR_INTERRUPTS();
    if (ConfigReloadPending != 0) {
        ConfigReloadPending = 0;
        ProcessConfigFile(PGC_SIGHUP);
    }
}

}  // namespace

void wait_on_latch(long timeout_ms) {
    guard(wait, timeout_ms);
}

}  // namespace pg_seats::pg
