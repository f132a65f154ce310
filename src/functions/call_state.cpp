#include "functions/call_state.hpp"

#include "functions/kept_plan.hpp"
#include "functions/sqlstates.hpp"
#include "pg/error.hpp"
#include "pg/identity_switch.hpp"

extern "C" {
#include "mb/pg_wchar.h"
#include "utils/acl.h"
}

namespace pg_seats {
namespace {

// All of it raises, and holds no C++ objects.

// Every schema is named, of operators too: these run as the extension's owner, under the caller's
// search_path.

// What kind it is, is asked in SQL (src/schema/kinds.sql).
#define KIND_OF(row)                                                                       \
    "seats_internal.is_change(" row ".kind), seats_internal.is_shared(" row ".kind), " row \
    ".path OPERATOR(pg_catalog.=) '/v1/invoices/create_preview'"

KeptPlan open_call{
    "SELECT o.enqueued_by, o.state::pg_catalog.text, o.reason, NULL::pg_catalog.int4,"
    "       NULL::pg_catalog.bytea, " KIND_OF(
        "o") "  FROM seats_internal.outbox AS o WHERE o.id OPERATOR(pg_catalog.=) $1",
    nullptr};

// One arm for each slot of the ring: the key is (ring, id), so each is one look into an index.
#define SETTLED_IN(slot) \
    "SELECT h.enqueued_by, h.result, h.reason, h.http_status, h.answer, " KIND_OF("h") \
    "  FROM seats_internal.outbox_history AS h"                                 \
    " WHERE h.ring OPERATOR(pg_catalog.=) " slot                                \
    "::pg_catalog.int2"                                                         \
    "   AND h.id OPERATOR(pg_catalog.=) $1"
#define OR " UNION ALL "

KeptPlan settled_call{SETTLED_IN("0") OR SETTLED_IN("1") OR SETTLED_IN("2") OR SETTLED_IN("3")
                          OR SETTLED_IN("4") OR SETTLED_IN("5") OR SETTLED_IN("6")
                              OR SETTLED_IN("7"),
                      nullptr};

#undef OR
#undef SETTLED_IN

// An operator sees every call. He is known by what seats.grant_operator() gives him.
KeptPlan operator_right{
    "SELECT COALESCE(pg_catalog.bool_or(pg_catalog.has_function_privilege($1, p.oid, 'EXECUTE')),"
    "                false)"
    "  FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n"
    "    ON n.oid OPERATOR(pg_catalog.=) p.pronamespace"
    " WHERE n.nspname OPERATOR(pg_catalog.=) 'seats'::pg_catalog.name"
    "   AND p.proname OPERATOR(pg_catalog.=) 'retry'::pg_catalog.name",
    nullptr};

// A seat change in its application's words. One that went along with another one's call stands
// where that call stands: at the first row of the lane.
KeptPlan open_change{
    "SELECT o.enqueued_by, seats_internal.change_state(h.state::pg_catalog.text), h.reason,"
    "       NULL::pg_catalog.int4, NULL::pg_catalog.bytea, " KIND_OF("o")
    "  FROM seats_internal.outbox AS o"
    " CROSS JOIN LATERAL (SELECT CASE WHEN o.state OPERATOR(pg_catalog.=) 'carried'"
    "                                 THEN f.state ELSE o.state END AS state,"
    "                            CASE WHEN o.state OPERATOR(pg_catalog.=) 'carried'"
    "                                 THEN f.reason ELSE o.reason END AS reason"
    "                       FROM seats_internal.outbox AS f"
    "                      WHERE f.lane_id OPERATOR(pg_catalog.=) o.lane_id"
    "                      ORDER BY f.id LIMIT 1) AS h"
    " WHERE o.id OPERATOR(pg_catalog.=) $1 AND seats_internal.is_change(o.kind)",
    nullptr};

#undef KIND_OF

KeptPlan open_renewal{
    "SELECT seats_internal.open_renewal(h.team_id, h.context)"
    "  FROM seats_internal.settled_call($1) AS h",
    nullptr};

// The row leaves when its handler is committed, or when a person has decided that it is not to run.
KeptPlan open_handler{
    "SELECT h.review_since IS NOT NULL FROM seats_internal.handler AS h"
    " WHERE h.call_id OPERATOR(pg_catalog.=) $1",
    nullptr};

// With the snapshot that is active, and no other.
uint64 run(KeptPlan& kept, Oid type, Datum value) {
    return run_kept(kept, 1, &type, &value, nullptr, Sees::active_snapshot);
}

Datum cell(int column, bool* is_null) {
    return SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, is_null);
}

void copy_cell(int column, char* target, std::size_t size) {
    bool is_null = false;
    const Datum datum = cell(column, &is_null);
    target[0] = '\0';
    if (!is_null) {
        const char* whole = TextDatumGetCString(datum);
        const int length =
            pg_mbcliplen(whole, static_cast<int>(strlen(whole)), static_cast<int>(size) - 1);
        memcpy(target, whole, static_cast<std::size_t>(length));
        target[length] = '\0';
    }
}

bool is_operator(Oid caller) {
    bool is_null = false;
    return run(operator_right, OIDOID, ObjectIdGetDatum(caller)) == 1 &&
           DatumGetBool(cell(1, &is_null));
}

// By name, as it is stored: an OID means another role after a restore.
bool may_see(Oid caller, const char* enqueued_by) {
    if (superuser_arg(caller)) {
        return true;
    }
    const Oid role = get_role_oid(enqueued_by, true);
    return (OidIsValid(role) && has_privs_of_role(caller, role)) || is_operator(caller);
}

bool find(std::int64_t call, LookFor what, CallState* state) {
    memset(state, 0, sizeof *state);
    // One snapshot for both: a call is in one of the tables.
    if (run(what == LookFor::change ? open_change : open_call, INT8OID, Int64GetDatum(call)) == 0) {
        if (run(settled_call, INT8OID, Int64GetDatum(call)) == 0) {
            return false;
        }
        state->settled = true;
    }
    return true;
}

// done, refused: confirmed, reverted. What is no seat change is not found as one.
void say_as_change(bool is_change, CallState* state) {
    if (!is_change) {
        state->state[0] = '\0';
    } else if (strcmp(state->state, "done") == 0) {
        strlcpy(state->state, "confirmed", sizeof state->state);
    } else if (strcmp(state->state, "refused") == 0) {
        strlcpy(state->state, "reverted", sizeof state->state);
    }
}

// Who is told that it is done, or refused, may rely on what its handler does; so as long as that is
// not committed, he is not told so.
void say_of_handler(std::int64_t call, CallState* state) {
    if (!state->settled || state->state[0] == '\0' ||
        run(open_handler, INT8OID, Int64GetDatum(call)) == 0) {
        return;
    }
    bool is_null = false;
    state->settled = false;
    state->stands = DatumGetBool(cell(1, &is_null));
    strlcpy(state->state, state->stands ? "handler_in_review" : "handler_waiting",
            sizeof state->state);
}

// What a period costs is another call.
void look_for_renewal(std::int64_t call, CallState* state) {
    bool is_null = true;
    if (run(open_renewal, INT8OID, Int64GetDatum(call)) == 1) {
        const Datum renewal = cell(1, &is_null);
        state->renewal = is_null ? 0 : DatumGetInt64(renewal);
    }
}

// The caller must be known before: here we are the extension's owner.
bytea* look(std::int64_t call, LookFor what, Handlers handlers, Oid caller, CallState* state,
            MemoryContext answer_context) {
    if (!find(call, what, state)) {
        return nullptr;
    }
    bool is_null = false;
    const char* enqueued_by = TextDatumGetCString(cell(1, &is_null));
    copy_cell(2, state->state, sizeof state->state);
    copy_cell(3, state->reason, sizeof state->reason);
    const Datum http_status = cell(4, &is_null);
    state->has_http_status = !is_null;
    state->http_status = is_null ? 0 : DatumGetInt32(http_status);
    const bool is_change = DatumGetBool(cell(6, &is_null));
    // A read of a subscription is everybody's who has asked for it, and may be an earlier one's.
    const bool is_shared = DatumGetBool(cell(7, &is_null));
    const bool is_preview = DatumGetBool(cell(8, &is_null));
    if (what == LookFor::change && state->settled) {
        say_as_change(is_change, state);
    }
    state->stands = !state->settled && (strcmp(state->state, "review") == 0 ||
                                        strcmp(state->state, "in_review") == 0 ||
                                        strncmp(state->state, "awaiting", 8) == 0);
    const Datum answer = cell(5, &is_null);
    bytea* copy = nullptr;
    if (answer_context != nullptr && !is_null) {
        MemoryContext const before = MemoryContextSwitchTo(answer_context);
        copy = DatumGetByteaPCopy(answer);
        MemoryContextSwitchTo(before);
    }
    if (is_preview && state->settled) {
        look_for_renewal(call, state);
    }
    if (handlers == Handlers::belong_to_it) {
        say_of_handler(call, state);
    }
    state->found = state->state[0] != '\0' && (is_shared || may_see(caller, enqueued_by));
    return state->found ? copy : nullptr;
}

bytea* look_as_owner(std::int64_t call, LookFor what, Handlers handlers, Oid function,
                     CallState* state, MemoryContext answer_context) {
    const Oid caller = GetUserId();
    PushActiveSnapshot(GetTransactionSnapshot());
    const pg::Identity before = pg::become(pg::owner_of_function(function));
    const int nest_level = pg::prefer_indexes();
    // A session of its own for each look: it frees what the look has read.
    if (SPI_connect() != SPI_OK_CONNECT) {
        elog(ERROR, "could not connect to SPI");
    }
    bytea* const answer = look(call, what, handlers, caller, state, answer_context);
    SPI_finish();
    AtEOXact_GUC(true, nest_level);
    pg::become_again(before);
    PopActiveSnapshot();
    return answer;
}

}  // namespace

void look_up_call(std::int64_t call, LookFor what, Handlers handlers, Oid function,
                  CallState* state) {
    (void)look_as_owner(call, what, handlers, function, state, nullptr);
}

bytea* look_up_answer(std::int64_t call, Oid function, CallState* state) {
    return look_as_owner(call, LookFor::call, Handlers::ignored, function, state,
                         CurrentMemoryContext);
}

void raise_no_such_call(std::int64_t call, LookFor what) {
    if (what == LookFor::change) {
        ereport(ERROR, (errcode(sqlstate::no_such_change),
                        errmsg("there is no change %lld", static_cast<long long>(call)),
                        errdetail("It never existed, is older than pg_seats.history_days, or "
                                  "belongs to a role whose privileges you do not have.")));
    }
    ereport(ERROR, (errcode(sqlstate::no_such_call),
                    errmsg("there is no call %lld", static_cast<long long>(call)),
                    errdetail("It never existed, is older than pg_seats.history_days, or belongs "
                              "to a role whose privileges you do not have.")));
    pg_unreachable();
}

Datum change_state_row(FunctionCallInfo fcinfo, const CallState* state, const MadeChange* made) {
    TupleDesc description = nullptr;
    if (get_call_result_type(fcinfo, nullptr, &description) != TYPEFUNC_COMPOSITE) {
        elog(ERROR, "pg_seats: function %u should return a row", fcinfo->flinfo->fn_oid);
    }
    const MadeChange known = made != nullptr ? *made : MadeChange{};
    const Datum values[] = {Int64GetDatum(known.change), CStringGetTextDatum(state->state),
                            CStringGetTextDatum(state->reason), BoolGetDatum(known.repeated)};
    const bool nulls[] = {false, false, state->reason[0] == '\0', false};
    const int first = made == nullptr ? 1 : 0;
    HeapTuple const row =
        heap_form_tuple(BlessTupleDesc(description), const_cast<Datum*>(values) + first,
                        const_cast<bool*>(nulls) + first);
    return HeapTupleGetDatum(row);
}

Datum call_state_row(FunctionCallInfo fcinfo, const CallState* state) {
    TupleDesc description = nullptr;
    if (get_call_result_type(fcinfo, nullptr, &description) != TYPEFUNC_COMPOSITE) {
        elog(ERROR, "pg_seats: function %u should return a row", fcinfo->flinfo->fn_oid);
    }
    const Datum values[] = {CStringGetTextDatum(state->state), Int32GetDatum(state->http_status),
                            CStringGetTextDatum(state->reason)};
    const bool nulls[] = {false, !state->has_http_status, state->reason[0] == '\0'};
    HeapTuple const row = heap_form_tuple(BlessTupleDesc(description), const_cast<Datum*>(values),
                                          const_cast<bool*>(nulls));
    return HeapTupleGetDatum(row);
}

}  // namespace pg_seats
