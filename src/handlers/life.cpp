#include "handlers/life.hpp"

#include "handlers/identity.hpp"
#include "handlers/limits.hpp"
#include "handlers/run.hpp"
#include "handlers/slot.hpp"
#include "pg/activity.hpp"
#include "pg/debug_point.hpp"
#include "pg/extension.hpp"
#include "pg/interrupts.hpp"
#include "pg/transaction.hpp"
#include "pg/wait.hpp"

extern "C" {
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "tcop/tcopprot.h"
}

namespace pg_seats::handlers {
namespace {

emit_log_hook_type next_log_hook = nullptr;

// What ends the process before it can work is raised deep in the server, and caught by nobody.
void keep_fatal_message(ErrorData* error) {
    if (next_log_hook != nullptr) {
        next_log_hook(error);
    }
    if (error->elevel >= FATAL && error->message != nullptr) {
        show_trouble(error->message);
    }
}

void work_until_end() {
    for (;;) {
        Batch batch{};
        long wait_ms = 0;
        const Next next = what_next(batch, wait_ms);
        if (next == Next::leave || (next == Next::work && !run_batch(batch))) {
            return;
        }
        if (next == Next::work) {
            continue;  // there may be another batch already
        }
        pg::show_waiting("waiting");
        try {
            pg::wait_on_latch(wait_ms);
            // (Which rereads the settings, too.)
            pg::guard(limit_memory);
        } catch (const pg::ServerError&) {  // NOLINT(bugprone-empty-catch): a cancel of nothing
        }
    }
}

void main_body(int index) {
    leave_slot_at_exit();
    // `die`, because it ends the process at the next interrupt check only, and everything of the
    // server that waits knows it.
    pqsignal(SIGTERM, die);
    pqsignal(SIGHUP, SignalHandlerForConfigReload);
    BackgroundWorkerUnblockSignals();
    const std::optional<Place> place = enter_slot(index);
    if (!place) {
        return;
    }
    next_log_hook = emit_log_hook;
    emit_log_hook = keep_fatal_message;
    connect(*place);
    prepare_limits();
    Oid extension = InvalidOid;
    static_cast<void>(pg::in_transaction([&] { extension = pg::find_extension(); }));
    if (!OidIsValid(extension)) {
        return;
    }
    pg::stand_at("handler_before_idle");
    emit_log_hook = next_log_hook;
    announce_idle();
    work_until_end();
}

}  // namespace
}  // namespace pg_seats::handlers

void pg_seats_handler_main(Datum slot) {
    pg_seats::pg::border(pg_seats::handlers::main_body, DatumGetInt32(slot));
    proc_exit(0);
}
