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
#include "functions/waiting.hpp"
#include "pg/error.hpp"
#include "pg/shared_state.hpp"

extern "C" {
#include "utils/lsyscache.h"
}

namespace {

using namespace pg_seats;

constexpr long longest_function_wait_ms = 30L * 1000;
constexpr int longest_pause_ms = 16;
// As seats_internal.preview_state has it.
constexpr core::Duration longest_wait_for_renewal{5'000};

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

// ---- arguments

void read_timeout(Wait* wait, int argument, long most) {
    const long wanted = timeout_ms(wait->fcinfo, argument, most);
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
        const long slice_ms = next_slice_ms(wait->deadline, wait->in_procedure);
        if (is_over(wait) || slice_ms == 0) {
            break;
        }
        const bool timed_out = ConditionVariableTimedSleep(settled, slice_ms, wait_event());
        pause_after(woken_in_vain);
        woken_in_vain = timed_out ? 0 : woken_in_vain + 1;
    }
    ConditionVariableCancelSleep();
}

// A preview is whole when what a period costs is there as well.
void wait_for_renewal(const Wait* wait) {
    Wait other = *wait;
    other.call = wait->state.renewal;
    other.handlers = Handlers::ignored;
    other.deadline = Min(wait->deadline, core::Clock::now() + longest_wait_for_renewal);
    wait_until_settled(&other);
}

void wait_in_place(Wait* wait) {
    if (!wait->only_looks) {
        take_place();
    }
    PG_TRY();
    {
        end_look(wait);
        wait_until_settled(wait);
        if (wait->what == LookFor::call && wait->state.settled && wait->state.renewal != 0) {
            wait_for_renewal(wait);
        }
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
