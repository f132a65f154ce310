// The server's regime: no C++ objects with destructors in this file.
#include <sys/resource.h>

#include "handlers/limits.hpp"

#include "handlers/slot.hpp"
#include "pg/error.hpp"
#include "pg/settings.hpp"

extern "C" {
#include "catalog/namespace.h"
#include "commands/prepare.h"
#include "storage/fd.h"
#include "storage/lock.h"
#include "utils/portal.h"
#include "utils/timeout.h"
}

namespace pg_seats::handlers {
namespace {

constexpr int grace_ms = 1'000;

TimeoutId cancel_timeout = MAX_TIMEOUTS;
TimeoutId end_timeout = MAX_TIMEOUTS;
volatile sig_atomic_t cancelled = 0;

std::size_t memory_at_start = 0;  // 0: unknown
std::size_t memory_limit = 0;     // of what is used beyond that; 0: none

// --- time -------------------------------------------------------------------------------------

// What a function can catch.
void cancel() {
    cancelled = 1;
    InterruptPending = 1;
    QueryCancelPending = 1;
    SetLatch(MyLatch);
}

// What it cannot.
void end() {
    ended_for_time = 1;
    InterruptPending = 1;
    ProcDiePending = 1;
    SetLatch(MyLatch);
}

void end_time_limit() {
    const DisableTimeoutParams both[] = {{cancel_timeout, false}, {end_timeout, false}};
    disable_timeouts(both, lengthof(both));
    if (cancelled != 0) {
        QueryCancelPending = 0;  // of what has come to its end nevertheless
    }
}

// Before a commit it comes when deferred triggers have run: nothing of the application's follows,
// and a wait for a standby is no handler's fault.
void at_transaction_end(XactEvent event, void* /*argument*/) {
    if (event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_ABORT) {
        end_time_limit();
    }
}

// --- memory -----------------------------------------------------------------------------------

// Bytes of data, as RLIMIT_DATA counts them; 0: the system does not say.
std::size_t memory_in_use() {
    FILE* const file = fopen("/proc/self/statm", "r");
    if (file == nullptr) {
        return 0;
    }
    unsigned long pages = 0;
    const int found = fscanf(file, "%*u %*u %*u %*u %*u %lu", &pages);
    fclose(file);
    return found == 1 ? pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE)) : 0;
}

// --- disk -------------------------------------------------------------------------------------

// The site may ask for less.
void limit_disk() {
    const int limit_kb = pg::settings.handler_memory_mb * 1'024;
    if (temp_file_limit < 0 || temp_file_limit > limit_kb) {
        char text[16];
        snprintf(text, sizeof text, "%dkB", limit_kb);
        SetConfigOption("temp_file_limit", text, PGC_SUSET, PGC_S_OVERRIDE);
    }
}

}  // namespace

void prepare_limits() {
    cancel_timeout = RegisterTimeout(USER_TIMEOUT, cancel);
    end_timeout = RegisterTimeout(USER_TIMEOUT, end);
    RegisterXactCallback(at_transaction_end, nullptr);
    memory_at_start = memory_in_use();
    if (memory_at_start == 0) {
        ereport(LOG, (errmsg("pg_seats: the memory of handlers is not limited, because there is no "
                             "/proc/self/statm here")));
    }
    limit_memory();
    limit_disk();
}

void limit_memory() {
    static int limited_mb = 0;
    rlimit limit{};
    if (memory_at_start == 0 || limited_mb == pg::settings.handler_memory_mb ||
        getrlimit(RLIMIT_DATA, &limit) != 0) {
        return;
    }
    limited_mb = pg::settings.handler_memory_mb;
    memory_limit = static_cast<std::size_t>(pg::settings.handler_memory_mb) * 1'024 * 1'024;
    limit.rlim_cur = Min(static_cast<rlim_t>(memory_at_start + memory_limit), limit.rlim_max);
    if (setrlimit(RLIMIT_DATA, &limit) != 0) {
        memory_limit = 0;
        ereport(LOG, (errmsg("pg_seats: could not limit the memory of handlers: %m")));
    }
}

bool is_swollen() noexcept {
    return memory_limit > 0 && memory_in_use() > memory_at_start + memory_limit / 2;
}

void begin_time_limit() {
    cancelled = 0;
    const int limit_ms = pg::settings.handler_timeout_ms;
    const EnableTimeoutParams both[] = {{cancel_timeout, TMPARAM_AFTER, limit_ms, 0},
                                        {end_timeout, TMPARAM_AFTER, limit_ms + grace_ms, 0}};
    enable_timeouts(both, lengthof(both));
}

bool took_too_long() noexcept {
    return cancelled != 0;
}

bool clean_session() {
    ResetAllOptions();
    PortalHashTableDeleteAll();  // what was declared WITH HOLD
    DropAllPreparedStatements();
    LockReleaseAll(USER_LOCKMETHOD, true);
    Oid temporary = InvalidOid;
    Oid temporary_toast = InvalidOid;
    GetTempNamespaceState(&temporary, &temporary_toast);
    return !OidIsValid(temporary);
}

}  // namespace pg_seats::handlers
