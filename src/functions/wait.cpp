// Waiting until a call is settled: CALL seats.wait_for_call(), and seats.await_call() for drivers
// that cannot CALL.
//
// A waiting session must hold nothing back (promise P6). A function that waits pins xmin through
// its query's snapshot, whatever it does; a procedure can commit, and then sleeps in a transaction
// that has neither xid nor snapshot nor lock. Each look is a short transaction of its own.
//
// With handlers => true a call is over when what the application has named for its end is
// committed. The processes that run handlers wake the waiters of that call then.
#include "core/pace.hpp"

#include "functions/call_state.hpp"
#include "functions/sqlstates.hpp"
#include "pg/error.hpp"
#include "pg/settings.hpp"
#include "pg/shared_state.hpp"

extern "C" {
#include "nodes/parsenodes.h"
#include "utils/lsyscache.h"
}

namespace {

using namespace pg_seats;

constexpr long longest_wait_ms = 24L * 60 * 60 * 1000;
constexpr long longest_function_wait_ms = 30L * 1000;
// A settled call wakes its waiters, and so does its handler. This is for what does not: a process
// that ended between its commit and the broadcast, a person who settled it by hand, a standby.
constexpr long longest_slice_ms = 1000;
constexpr int longest_pause_ms = 16;

// Everything here is plain data: it is used by functions that raise.
struct Wait {
    FunctionCallInfo fcinfo;
    bool in_procedure;
    LookFor what;
    Handlers handlers;
    std::int64_t call;
    MadeChange made;
    bool only_looks;  // no time to wait: it takes no place among those who do
    core::TimePoint deadline;
    CallState state;
};

// ---- the number of waiters

bool holds_place = false;
bool exit_callback_registered = false;

void leave_place() {
    if (holds_place) {
        holds_place = false;
        pg_atomic_fetch_sub_u32(&pg::shared_state()->waiters, 1);
    }
}

// FATAL ends a process without unwinding anything.
void leave_place_at_exit(int /*code*/, Datum /*argument*/) {
    leave_place();
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

// ---- refusals

void refuse_without_worker() {
    if (pg::shared_state() == nullptr) {
        ereport(ERROR,
                (errcode(sqlstate::nothing_to_wait_for),
                 errmsg("pg_seats has no worker in this server: there is nothing to wait for"),
                 errhint("Add pg_seats to shared_preload_libraries and restart the server.")));
    }
}

long timeout_ms(const Interval* interval, long most) {
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

// Null, which is the default, is the setting: short, because whoever waits holds a connection, and
// when Stripe is down everybody waits.
void read_timeout(Wait* wait, int argument, long most) {
    FunctionCallInfo fcinfo = wait->fcinfo;
    const long wanted = PG_ARGISNULL(argument)
                            ? Min(static_cast<long>(pg::settings.default_wait_ms), most)
                            : timeout_ms(PG_GETARG_INTERVAL_P(argument), most);
    wait->only_looks = wanted == 0;
    wait->deadline = core::Clock::now() + core::Duration{wanted};
}

// The last argument of each of these functions.
void read_handlers(Wait* wait) {
    FunctionCallInfo fcinfo = wait->fcinfo;
    const int argument = PG_NARGS() - 1;
    wait->handlers = !PG_ARGISNULL(argument) && PG_GETARG_BOOL(argument) ? Handlers::belong_to_it
                                                                         : Handlers::ignored;
}

void read_arguments(Wait* wait, long most) {
    FunctionCallInfo fcinfo = wait->fcinfo;
    if (PG_ARGISNULL(0)) {
        ereport(ERROR,
                (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
                 errmsg("%s must not be null", wait->what == LookFor::change ? "change" : "call")));
    }
    wait->call = PG_GETARG_INT64(0);
    read_timeout(wait, 1, most);
    read_handlers(wait);
}

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

void refuse_in_function(FunctionCallInfo fcinfo) {
    if (TransactionIdIsValid(GetTopTransactionIdIfAny())) {
        ereport(ERROR,
                (errcode(sqlstate::cannot_wait_here),
                 errmsg("%s cannot be called in a transaction that has written",
                        get_func_name(fcinfo->flinfo->fn_oid)),
                 errdetail("What it has written is not committed, so nothing of it is sent while "
                           "you wait, and its locks would be held."),
                 errhint("Call it after COMMIT, as a statement of its own.")));
    }
    if (IsolationUsesXactSnapshot()) {
        ereport(ERROR, (errcode(sqlstate::cannot_wait_here),
                        errmsg("%s cannot be called under REPEATABLE READ or SERIALIZABLE",
                               get_func_name(fcinfo->flinfo->fn_oid)),
                        errdetail("The transaction's snapshot would never see the call settled."),
                        errhint("Call it under READ COMMITTED, or CALL the procedure that waits "
                                "(seats.wait_for_call, seats.wait_for_change).")));
    }
}

// ---- waiting

std::uint32_t wait_event() {
    static std::uint32_t event = 0;
    if (event == 0) {
        event = pg::new_wait_event("PgSeatsCallSettled");
    }
    return event;
}

void look(Wait* wait) {
    look_up_call(wait->call, wait->what, wait->handlers, wait->fcinfo->flinfo->fn_oid,
                 &wait->state);
}

// Ends what a look has begun: from here to the next one there is no snapshot and no lock.
void end_look(const Wait* wait) {
    if (wait->in_procedure) {
        SPI_commit();
    }
}

bool is_over(const Wait* wait) {
    return wait->state.settled || wait->state.stands;
}

// Shorter where the site ends transactions after a time (17): each slice begins a new one.
long next_slice_ms(const Wait* wait) {
    long longest = longest_slice_ms;
    if (wait->in_procedure && pg::transaction_timeout_ms() > 0) {
        longest = Min(longest, pg::transaction_timeout_ms() / 2 + 1);
    }
    return static_cast<long>(
        core::until_next_look(core::Clock::now(), wait->deadline, core::Duration{longest}).count());
}

// Many calls share a condition variable. Who was woken for another's call looks, finds nothing, and
// takes a little longer before the next look, so that a busy worker is not answered by a storm.
void pause_after(int woken_in_vain) {
    if (woken_in_vain > 0) {
        const int exponent = Min(woken_in_vain - 1, 4);
        pg_usleep(Min(1 << exponent, longest_pause_ms) * 1000L);
    }
}

void wait_until_settled(Wait* wait) {
    ConditionVariable* const settled = &pg::settled_condition(*pg::shared_state(), wait->call);
    int woken_in_vain = 0;
    // Before the first look: a call settled in between then wakes us at once. Should reading cancel
    // the preparation (it may sleep on a condition variable of the server's), the sleep returns at
    // once and we look again.
    ConditionVariablePrepareToSleep(settled);
    for (;;) {
        CHECK_FOR_INTERRUPTS();
        look(wait);
        end_look(wait);
        if (!wait->state.found) {
            raise_no_such_call(wait->call, wait->what);
        }
        const long slice_ms = next_slice_ms(wait);
        if (is_over(wait) || slice_ms == 0) {
            break;
        }
        const bool timed_out = ConditionVariableTimedSleep(settled, slice_ms, wait_event());
        pause_after(woken_in_vain);
        woken_in_vain = timed_out ? 0 : woken_in_vain + 1;
    }
    ConditionVariableCancelSleep();
}

void wait_in_place(Wait* wait) {
    if (!wait->only_looks) {
        take_place();
    }
    PG_TRY();
    {
        end_look(wait);
        wait_until_settled(wait);
    }
    PG_FINALLY();
    { leave_place(); }
    PG_END_TRY();
}

Datum state_row(const Wait* wait) {
    return wait->what == LookFor::change
               ? change_state_row(wait->fcinfo, &wait->state,
                                  wait->made.change != 0 ? &wait->made : nullptr)
               : call_state_row(wait->fcinfo, &wait->state);
}

Datum wait_in_procedure(Wait* wait) {
    refuse_atomic(wait->fcinfo);
    refuse_without_worker();
    read_arguments(wait, longest_wait_ms);
    if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT) {
        elog(ERROR, "could not connect to SPI");
    }
    // What can be refused is refused before anything of the caller's is committed. An old snapshot
    // may not see the call yet; then the look after the commit tells.
    look(wait);
    if (!wait->state.found && !IsolationUsesXactSnapshot()) {
        raise_no_such_call(wait->call, wait->what);
    }
    wait_in_place(wait);
    SPI_finish();
    return state_row(wait);
}

Datum wait_in_function(Wait* wait) {
    refuse_in_function(wait->fcinfo);
    refuse_without_worker();
    read_arguments(wait, longest_function_wait_ms);
    wait_in_place(wait);
    return state_row(wait);
}

// ---- changing and waiting in one

// As the caller, and by the public function: what he may do is decided there.
constexpr const char* change_statement =
    "SELECT c.change, c.repeated FROM seats.change_seats($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) "
    "AS c";
constexpr int timeout_argument = 6;
// The timeout and what is given back stand between them.
constexpr int change_arguments[] = {0, 1, 2, 3, 4, 5, 11, 12, 13, 14};

MadeChange make_change(FunctionCallInfo fcinfo) {
    Oid types[] = {TEXTOID, JSONBOID, TEXTOID, TEXTOID,  JSONBOID,
                   INT8OID, TEXTOID,  TEXTOID, JSONBOID, TEXTARRAYOID};
    constexpr int count = std::size(change_arguments);
    Datum values[count];
    char nulls[count];
    for (int i = 0; i < count; ++i) {
        const NullableDatum& argument = fcinfo->args[change_arguments[i]];
        values[i] = argument.value;
        nulls[i] = argument.isnull ? 'n' : ' ';
    }
    if (SPI_execute_with_args(change_statement, count, types, values, nulls, false, 0) !=
        SPI_OK_SELECT) {
        elog(ERROR, "could not call seats.change_seats");
    }
    HeapTuple const row = SPI_tuptable->vals[0];
    bool is_null = false;
    return {DatumGetInt64(SPI_getbinval(row, SPI_tuptable->tupdesc, 1, &is_null)),
            DatumGetBool(SPI_getbinval(row, SPI_tuptable->tupdesc, 2, &is_null))};
}

Datum change_and_wait(Wait* wait) {
    FunctionCallInfo fcinfo = wait->fcinfo;
    refuse_atomic(fcinfo);
    refuse_without_worker();
    read_timeout(wait, timeout_argument, longest_wait_ms);
    read_handlers(wait);
    if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT) {
        elog(ERROR, "could not connect to SPI");
    }
    wait->made = make_change(fcinfo);
    wait->call = wait->made.change;
    wait_in_place(wait);
    SPI_finish();
    return state_row(wait);
}

}  // namespace

PG_SEATS_FUNCTION(pg_seats_wait_for_call) {
    Wait wait{};
    wait.fcinfo = fcinfo;
    wait.in_procedure = true;
    return pg::guard(wait_in_procedure, &wait);
}

PG_SEATS_FUNCTION(pg_seats_await_call) {
    Wait wait{};
    wait.fcinfo = fcinfo;
    return pg::guard(wait_in_function, &wait);
}

PG_SEATS_FUNCTION(pg_seats_wait_for_change) {
    Wait wait{};
    wait.fcinfo = fcinfo;
    wait.in_procedure = true;
    wait.what = LookFor::change;
    return pg::guard(wait_in_procedure, &wait);
}

PG_SEATS_FUNCTION(pg_seats_await_change) {
    Wait wait{};
    wait.fcinfo = fcinfo;
    wait.what = LookFor::change;
    return pg::guard(wait_in_function, &wait);
}

PG_SEATS_FUNCTION(pg_seats_change_seats_and_wait) {
    Wait wait{};
    wait.fcinfo = fcinfo;
    wait.in_procedure = true;
    wait.what = LookFor::change;
    return pg::guard(change_and_wait, &wait);
}
