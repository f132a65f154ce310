// The client secret, with which a payer's browser goes on with a payment: CALL
// seats.start_payment_and_wait(), and seats.fetch_client_secret().
//
// It is in no table. The session claims a slot of shared memory, commits what makes the worker ask
// Stripe, and sleeps as other waiters do; the worker lays the secret into the slot. (What becomes
// of the result is the server's and the driver's: it goes over the client's connection.)
//
// The slot is claimed before the snapshot in which the open create, or the read, is looked for: one
// that is open there has not been handed over yet.
#include <string.h>  // explicit_bzero

#include "core/pace.hpp"

#include "functions/kept_plan.hpp"
#include "functions/sqlstates.hpp"
#include "functions/waiting.hpp"
#include "pg/error.hpp"
#include "pg/identity_switch.hpp"
#include "pg/secret_slots.hpp"
#include "pg/settings.hpp"
#include "pg/shared_state.hpp"
#include "pg/wake.hpp"

extern "C" {
#include "access/xact.h"
#include "storage/proc.h"
#include "utils/guc.h"
}

namespace {

using namespace pg_seats;

// Everything here is plain data: it is used by functions that raise.
struct Wanted {
    FunctionCallInfo fcinfo;
    bool starts;
    bool only_looks;  // no time to wait: it takes no place among those who do
    core::TimePoint deadline;
    std::int64_t payment;
    char state[32];
    bool may_come;      // a secret, sooner or later: it can still be paid
    bool is_open;       // something that brings it is under way
    bool may_be_given;  // it is of use to the payer now
    pg::SecretNews news;
    char secret[pg::secret_size];
};

// Arguments; the first is the member, or the payment.
constexpr int payer_argument = 1;
constexpr int timeout_argument = 2;
constexpr int parameters_argument = 3;  // of starting

// As the extension's owner, so each names its schema.
KeptPlan check_payer{"SELECT seats_internal.check_payer($1, $2, $3)", nullptr};
KeptPlan look_statement{
    "SELECT l.state, l.may_come, l.is_open, l.may_be_given"
    "  FROM seats_internal.secret_outlook AS l WHERE l.payment = $1",
    nullptr};
KeptPlan queue_statement{"SELECT seats_internal.queue_secret_read($1)", nullptr};

// As the caller, and by the public function: what he may do is decided there.
KeptPlan start_statement{
    "SELECT s.payment, NOT s.repeated AND s.call IS NOT NULL"
    "  FROM seats.start_payment($1, COALESCE($2, '{}')) AS s",
    nullptr};

pg::Identity become_owner(const Wanted* wanted) {
    return pg::become(pg::owner_of_function(wanted->fcinfo->flinfo->fn_oid));
}

// The transactions in here are the procedure's own. Under REPEATABLE READ, which a site may have as
// its default, of ten who click at once nine would get a serialization failure.
void begin_next_transaction() {
    SPI_commit();
    XactIsoLevel = XACT_READ_COMMITTED;
}

// Whoever changes the bill and does not commit holds up a click, but not for longer than the caller
// would have waited for Stripe: he holds a connection. (The site's own limit may be shorter.)
void wait_for_locks_until(core::TimePoint deadline) {
    constexpr long least_ms = 1000;
    const long left_ms = static_cast<long>(
        core::until_next_look(core::Clock::now(), deadline, core::Duration{longest_wait_ms})
            .count());
    const long limit_ms = Max(left_ms, least_ms);
    if (LockTimeout > 0 && LockTimeout <= limit_ms) {
        return;
    }
    char value[24];
    snprintf(value, sizeof value, "%ld", limit_ms);
    (void)set_config_option("lock_timeout", value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL,
                            true, 0, false);
}

Datum cell(int column) {
    bool is_null = false;
    return SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, &is_null);
}

// ---- what is asked of the tables

void refuse_others(const Wanted* wanted) {
    const NullableDatum* arguments = wanted->fcinfo->args;
    const Oid types[] = {TEXTOID, INT8OID, TEXTOID};
    const Datum values[] = {CStringGetTextDatum(wanted->starts ? "member" : "payment"),
                            arguments[0].value, arguments[payer_argument].value};
    const char nulls[] = {' ', arguments[0].isnull ? 'n' : ' ',
                          arguments[payer_argument].isnull ? 'n' : ' ', '\0'};
    const pg::Identity before = become_owner(wanted);
    run_kept(check_payer, 3, types, values, nulls);
    pg::become_again(before);
}

void look(Wanted* wanted) {
    const Oid types[] = {INT8OID};
    const Datum values[] = {Int64GetDatum(wanted->payment)};
    PushActiveSnapshot(GetTransactionSnapshot());
    const pg::Identity before = become_owner(wanted);
    const int nest_level = pg::prefer_indexes();
    run_kept(look_statement, 1, types, values, nullptr, Sees::active_snapshot);
    wanted->may_come = SPI_processed == 1 && DatumGetBool(cell(2));
    wanted->is_open = SPI_processed == 1 && DatumGetBool(cell(3));
    wanted->may_be_given = SPI_processed == 1 && DatumGetBool(cell(4));
    wanted->state[0] = '\0';
    if (SPI_processed == 1) {
        strlcpy(wanted->state, TextDatumGetCString(cell(1)), sizeof wanted->state);
    }
    SPI_freetuptable(SPI_tuptable);
    AtEOXact_GUC(true, nest_level);
    pg::become_again(before);
    PopActiveSnapshot();
}

// Where the open create is enough, nothing is queued.
void ask_for_it(Wanted* wanted) {
    look(wanted);
    if (!wanted->may_come) {
        return;
    }
    wait_for_locks_until(wanted->deadline);
    const Oid types[] = {INT8OID};
    const Datum values[] = {Int64GetDatum(wanted->payment)};
    const pg::Identity before = become_owner(wanted);
    run_kept(queue_statement, 1, types, values);
    pg::become_again(before);
    pg::wake_worker_at_commit(pg::wake_rows);
}

// Of a new payment nothing need be asked: its create brings the secret.
void start(Wanted* wanted) {
    const Oid types[] = {INT8OID, JSONBOID};
    const NullableDatum& parameters = wanted->fcinfo->args[parameters_argument];
    const Datum values[] = {wanted->fcinfo->args[0].value, parameters.value};
    wait_for_locks_until(wanted->deadline);
    run_kept(start_statement, 2, types, values, parameters.isnull ? " n" : "  ");
    wanted->payment = DatumGetInt64(cell(1));
    const bool is_new = DatumGetBool(cell(2));
    pg::set_secret_subject(wanted->payment);
    if (is_new) {
        strlcpy(wanted->state, "creating", sizeof wanted->state);
        wanted->may_come = wanted->is_open = true;
    } else {
        ask_for_it(wanted);
    }
}

// ---- waiting

void claim(const Wanted* wanted) {
    if (!pg::claim_secret_slot(wanted->payment)) {
        ereport(ERROR, (errcode(sqlstate::too_many_secrets_wanted),
                        errmsg("too many sessions wait for client secrets"),
                        errdetail("At most %d at once are allowed; nothing was begun "
                                  "(secret_slots=%d).",
                                  pg::settings.secret_slots, pg::settings.secret_slots),
                        errhint("Try again in a moment, or raise pg_seats.secret_slots."),
                        err_generic_string(PG_DIAG_CONSTRAINT_NAME, "secret_slots")));
    }
}

bool is_over(const Wanted* wanted) {
    return wanted->news == pg::SecretNews::given || !wanted->may_come ||
           (wanted->news == pg::SecretNews::told && !wanted->is_open);
}

void wait_for_it(Wanted* wanted) {
    ConditionVariable* const settled = &pg::settled_condition(*pg::shared_state(), wanted->payment);
    bool timed_out = false;
    // Before the slot is looked into: what is handed over in between then wakes us at once.
    ConditionVariablePrepareToSleep(settled);
    for (;;) {
        CHECK_FOR_INTERRUPTS();
        // First what was handed over, then how the payment stands: what is open then is not over.
        // Who was woken for somebody else's (a condition has many) finds no news, and asks no
        // table.
        wanted->news = pg::take_secret(wanted->secret);
        const long slice_ms = next_slice_ms(wanted->deadline, true);
        const bool has_news = wanted->news != pg::SecretNews::none;
        if (has_news || timed_out || slice_ms == 0) {
            look(wanted);
        }
        const bool ends = is_over(wanted) || slice_ms == 0;
        if (!ends && timed_out && !wanted->is_open) {
            ask_for_it(wanted);  // the worker has ended between its commit and the hand-over
        }
        begin_next_transaction();
        if (ends) {
            break;
        }
        timed_out = ConditionVariableTimedSleep(settled, slice_ms, wait_event());
    }
    ConditionVariableCancelSleep();
}

Datum result_row(Wanted* wanted) {
    TupleDesc description = nullptr;
    if (get_call_result_type(wanted->fcinfo, nullptr, &description) != TYPEFUNC_COMPOSITE) {
        elog(ERROR, "pg_seats: function %u should return a row", wanted->fcinfo->flinfo->fn_oid);
    }
    // (As the state is that goes with it: while the secret was on its way the payment may have been
    // confirmed, paid or cancelled.)
    const bool has_secret = wanted->news == pg::SecretNews::given && wanted->may_be_given;
    text* const secret = has_secret ? cstring_to_text(wanted->secret) : nullptr;
    Datum values[] = {Int64GetDatum(wanted->payment), CStringGetTextDatum(wanted->state),
                      PointerGetDatum(secret)};
    bool nulls[] = {false, false, !has_secret};
    const int first = wanted->starts ? 0 : 1;
    HeapTuple const row =
        heap_form_tuple(BlessTupleDesc(description), values + first, nulls + first);
    if (has_secret) {
        explicit_bzero(secret, VARSIZE(secret));
    }
    return HeapTupleGetDatum(row);
}

// Between claiming and freeing the slot.
Datum get_it(Wanted* wanted) {
    claim(wanted);
    if (!wanted->only_looks) {
        take_place();
    }
    if (wanted->starts) {
        start(wanted);
    } else {
        ask_for_it(wanted);
    }
    begin_next_transaction();
    wait_for_it(wanted);
    SPI_finish();
    return result_row(wanted);
}

Datum get_client_secret(Wanted* wanted) {
    FunctionCallInfo fcinfo = wanted->fcinfo;
    refuse_atomic(fcinfo);
    refuse_without_worker();
    const long timeout = timeout_ms(fcinfo, timeout_argument, longest_wait_ms);
    wanted->only_looks = timeout == 0;
    wanted->deadline = core::Clock::now() + core::Duration{timeout};
    if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT) {
        elog(ERROR, "could not connect to SPI");
    }
    if (IsolationUsesXactSnapshot()) {
        begin_next_transaction();
    }
    // (A null is nobody's.)
    refuse_others(wanted);
    if (!wanted->starts) {
        wanted->payment = PG_GETARG_INT64(0);
    }
    Datum volatile row{0};
    PG_TRY();
    { row = get_it(wanted); }
    PG_FINALLY();
    {
        pg::free_secret_slot();
        explicit_bzero(wanted->secret, sizeof wanted->secret);
        leave_place();
    }
    PG_END_TRY();
    return row;
}

}  // namespace

PG_SEATS_FUNCTION(pg_seats_start_payment_and_wait) {
    Wanted wanted{};
    wanted.fcinfo = fcinfo;
    wanted.starts = true;
    return pg::guard(get_client_secret, &wanted);
}

PG_SEATS_FUNCTION(pg_seats_fetch_client_secret) {
    Wanted wanted{};
    wanted.fcinfo = fcinfo;
    return pg::guard(get_client_secret, &wanted);
}
