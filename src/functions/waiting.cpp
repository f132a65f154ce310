#include "functions/waiting.hpp"

#include "functions/sqlstates.hpp"
#include "pg/settings.hpp"
#include "pg/shared_state.hpp"

extern "C" {
#include "nodes/parsenodes.h"
#include "utils/lsyscache.h"
}

namespace pg_seats {
namespace {

// A settled call wakes its waiters, and so does its handler. This is for what does not: a process
// that ended between its commit and the broadcast, a person who settled it by hand, a standby.
constexpr long longest_slice_ms = 1000;

bool holds_place = false;
bool exit_callback_registered = false;

// FATAL ends a process without unwinding anything.
void leave_place_at_exit(int /*code*/, Datum /*argument*/) {
    leave_place();
}

long milliseconds_of(const Interval* interval, long most) {
    // Checked in this order, so that nothing overflows (from 17 on intervals can be infinite).
    if (interval->month >= 0 && interval->month <= 1 && interval->day >= 0 && interval->day <= 1 &&
        interval->time >= 0 && interval->time <= longest_wait_ms * 1000) {
        const long total = static_cast<long>(interval->month) * DAYS_PER_MONTH * longest_wait_ms +
                           interval->day * longest_wait_ms +
                           static_cast<long>(interval->time / 1000);
        if (total <= longest_wait_ms) {
            return Min(total, most);
        }
    }
    ereport(ERROR, (errcode(sqlstate::invalid_timeout),
                    errmsg("the timeout must lie between 0 and 24 hours")));
    pg_unreachable();
}

}  // namespace

// Where the caller's transaction cannot be committed. CALL tells the reason by its context; the
// rest is asked all the same, because to commit in the wrong place would be worse than an error.
void refuse_atomic(FunctionCallInfo fcinfo) {
    Oid role = InvalidOid;
    int context = 0;
    GetUserIdAndSecContext(&role, &context);
    const bool non_atomic = fcinfo->context != nullptr && IsA(fcinfo->context, CallContext) &&
                            !castNode(CallContext, fcinfo->context)->atomic;
    if (!non_atomic || IsSubTransaction() || IsTransactionBlock() || context != 0) {
        ereport(
            ERROR,
            (errcode(sqlstate::cannot_wait_here),
             errmsg("%s cannot be called inside a transaction",
                    get_func_name(fcinfo->flinfo->fn_oid)),
             errdetail("It commits before it waits: what is not committed is never sent, and a "
                       "transaction that waits holds up others."),
             errhint("CALL it by itself after COMMIT: not in a transaction block, a function, "
                     "a procedure that is SECURITY DEFINER or has a SET clause, or a block with "
                     "EXCEPTION.")));
    }
}

void refuse_without_worker() {
    if (pg::shared_state() == nullptr) {
        ereport(ERROR,
                (errcode(sqlstate::nothing_to_wait_for),
                 errmsg("pg_seats has no worker in this server: there is nothing to wait for"),
                 errhint("Add pg_seats to shared_preload_libraries and restart the server.")));
    }
}

long timeout_ms(FunctionCallInfo fcinfo, int argument, long most) {
    return PG_ARGISNULL(argument) ? Min(static_cast<long>(pg::settings.default_wait_ms), most)
                                  : milliseconds_of(PG_GETARG_INTERVAL_P(argument), most);
}

void leave_place() {
    if (holds_place) {
        holds_place = false;
        pg_atomic_fetch_sub_u32(&pg::shared_state()->waiters, 1);
    }
}

void take_place() {
    // Registered once and never taken back: registrations must be undone in the reverse order, and
    // other code registers as well.
    if (!exit_callback_registered) {
        before_shmem_exit(leave_place_at_exit, Datum{0});
        exit_callback_registered = true;
    }
    const std::uint32_t before = pg_atomic_fetch_add_u32(&pg::shared_state()->waiters, 1);
    holds_place = true;
    if (before >= static_cast<std::uint32_t>(pg::settings.max_waiters)) {
        leave_place();
        ereport(ERROR,
                (errcode(sqlstate::too_many_waiters), errmsg("too many sessions wait for calls"),
                 errdetail("pg_seats.max_waiters allows %d at once.", pg::settings.max_waiters),
                 errhint("Ask with a timeout of 0, which does not wait, or raise the setting.")));
    }
}

// Shorter where the site ends transactions after a time (17): each slice begins a new one.
long next_slice_ms(core::TimePoint deadline, bool in_procedure) {
    long longest = longest_slice_ms;
    if (in_procedure && pg::transaction_timeout_ms() > 0) {
        longest = Min(longest, pg::transaction_timeout_ms() / 2 + 1);
    }
    return static_cast<long>(
        core::until_next_look(core::Clock::now(), deadline, core::Duration{longest}).count());
}

std::uint32_t wait_event() {
    static std::uint32_t event = 0;
    if (event == 0) {
        event = pg::new_wait_event("PgSeatsCallSettled");
    }
    return event;
}

}  // namespace pg_seats
