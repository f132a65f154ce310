#include "process/launcher.hpp"

#include "pg/log.hpp"
#include "pg/shared_state.hpp"
#include "pg/transaction.hpp"
#include "pg/wait.hpp"
#include "process/handler_supervision.hpp"
#include "process/supervision.hpp"

extern "C" {
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "tcop/tcopprot.h"
}

namespace pg_seats::process {
namespace {

constexpr int restart_s = 1;
constexpr long pause_after_error_ms = 1'000;

bool entered = false;

void leave(int /*code*/, Datum /*argument*/) {
    pg::SharedState* const shared = pg::shared_state();
    if (!entered || shared == nullptr) {
        return;
    }
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    if (shared->launcher_pid == MyProcPid) {
        shared->launcher_pid = 0;
    }
    LWLockRelease(shared->lock);
}

void enter() {
    pg::SharedState* const shared = pg::shared_state();
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    entered = true;
    shared->launcher_pid = MyProcPid;
    shared->launcher_proc_number = pg::my_proc_number();
    // What the launcher before this one knew is gone: look everywhere.
    shared->probe_all = true;
    LWLockRelease(shared->lock);
}

// An error outside a transaction leaves locks behind that no abort releases.
void clean_up_after_error() {
    LWLockReleaseAll();
    ConditionVariableCancelSleep();
    pgstat_report_wait_end();
}

// Whatever goes wrong here goes wrong for all databases, so nothing of it may end the launcher.
void go_on_after(const char* message) {
    pg::guard(clean_up_after_error);
    pg::log_line(std::string("the launcher goes on after an error: ") + message);
    ask_for_all_databases();
}

// One round: look around, then sleep until the next is due or the latch is set.
void one_round() {
    long sleep_ms = pause_after_error_ms;
    const std::optional<pg::Failure> failure = pg::in_transaction([&] {
        sleep_ms = pg::guard(look_after_workers);
        sleep_ms = std::min(sleep_ms, pg::guard(look_after_handlers, a_worker_lacks_a_slot()));
    });
    if (failure) {
        go_on_after(failure->message.c_str());
        sleep_ms = pause_after_error_ms;
    }
    try {
        pg::wait_on_latch(sleep_ms);
    } catch (const std::exception& error) {
        go_on_after(error.what());  // pg_cancel_backend() of the launcher, say
    }
}

void main_body() {
    on_shmem_exit(leave, Datum{0});
    pqsignal(SIGTERM, die);
    pqsignal(SIGHUP, SignalHandlerForConfigReload);
    BackgroundWorkerUnblockSignals();
    // No database: pg_database and the other shared catalogs are all that it reads.
    BackgroundWorkerInitializeConnectionByOid(InvalidOid, InvalidOid, 0);
    SetConfigOption("application_name", "pg_seats launcher", PGC_SUSET, PGC_S_OVERRIDE);
    SetConfigOption("default_transaction_isolation", "read committed", PGC_SUSET, PGC_S_OVERRIDE);
    SetConfigOption("statement_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
    SetConfigOption("lock_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
    pgstat_report_activity(STATE_IDLE, nullptr);
    enter();
    for (;;) {
        one_round();
    }
}

}  // namespace

void register_launcher() {
    BackgroundWorker worker{};
    worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
    // Not on a standby; on one that is promoted, then.
    worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
    worker.bgw_restart_time = restart_s;
    strlcpy(worker.bgw_library_name, "pg_seats", sizeof worker.bgw_library_name);
    strlcpy(worker.bgw_function_name, "pg_seats_launcher_main", sizeof worker.bgw_function_name);
    strlcpy(worker.bgw_name, "pg_seats launcher", sizeof worker.bgw_name);
    strlcpy(worker.bgw_type, "pg_seats launcher", sizeof worker.bgw_type);
    RegisterBackgroundWorker(&worker);
}

}  // namespace pg_seats::process

void pg_seats_launcher_main(Datum /*argument*/) {
    pg_seats::pg::border(pg_seats::process::main_body);
    // Zero would mean that the postmaster never starts it again.
    proc_exit(1);
}
