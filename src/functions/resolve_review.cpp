// seats.resolve_review(): a door like the others, but for one decision. That a function runs
// instead of a handler is its caller's doing: with his rights, in his session and his transaction.
// So the mark is made as the extension's owner, and then the function runs as the caller.
#include "functions/entry.hpp"
#include "functions/kept_plan.hpp"
#include "pg/error.hpp"
#include "pg/identity_switch.hpp"
#include "pg/kept_settings.hpp"
#include "pg/shared_state.hpp"
#include "pg/wake.hpp"

extern "C" {
#include "funcapi.h"
}

namespace pg_seats {
namespace {

enum Argument { call, decision, reason, function };

constexpr std::uint32_t wakes = pg::wake_rows | pg::wake_configuration;

KeptPlan take_handler{
    "SELECT t.function, t.outcome, t.context, t.settings, t.role_oid"
    "  FROM seats_internal.take_handler_for_operator($1, $2, $3, $4) AS t",
    nullptr};

// From here on: functions that may raise and hold no C++ object, below one guard.

bool wants_to_run(FunctionCallInfo fcinfo) {
    return !PG_ARGISNULL(decision) &&
           strcmp(text_to_cstring(PG_GETARG_TEXT_PP(decision)), "run") == 0;
}

// As the extension's owner. The row lives until SPI ends.
SPITupleTable* take(FunctionCallInfo fcinfo) {
    const Datum caller = CStringGetTextDatum(GetUserNameFromId(GetUserId(), false));
    const pg::Identity before = pg::become(pg::owner_of_function(fcinfo->flinfo->fn_oid));
    const Oid types[] = {TEXTOID, INT8OID, TEXTOID, TEXTOID};
    const Datum values[] = {caller, fcinfo->args[call].value, fcinfo->args[reason].value,
                            fcinfo->args[function].value};
    const char nulls[] = {' ', PG_ARGISNULL(call) ? 'n' : ' ', PG_ARGISNULL(reason) ? 'n' : ' ',
                          PG_ARGISNULL(function) ? 'n' : ' ', '\0'};
    run_kept(take_handler, 4, types, values, nulls);
    pg::become_again(before);
    return SPI_tuptable;
}

// As the caller. But his privileges are not lent to settings that another role has named.
void run(FunctionCallInfo fcinfo, SPITupleTable* taken) {
    Datum values[5];
    bool is_null[5];
    heap_deform_tuple(taken->vals[0], taken->tupdesc, values, is_null);
    pg::set_kept_settings(values[3], DatumGetObjectId(values[4]));
    Oid types[] = {INT8OID, JSONBOID, JSONBOID};
    Datum arguments[] = {fcinfo->args[call].value, values[1], values[2]};
    const char* const statement = psprintf("SELECT %s($1, $2, $3)", TextDatumGetCString(values[0]));
    if (SPI_execute_with_args(statement, 3, types, arguments, is_null[2] ? "  n" : "   ", false,
                              0) != SPI_OK_SELECT) {
        elog(ERROR, "could not run: %s", statement);
    }
}

Datum run_instead(FunctionCallInfo fcinfo) {
    TupleDesc row_type = nullptr;
    if (get_call_result_type(fcinfo, nullptr, &row_type) != TYPEFUNC_COMPOSITE) {
        elog(ERROR, "pg_seats: resolve_review returns no row");
    }
    if (SPI_connect() != SPI_OK_CONNECT) {
        elog(ERROR, "could not connect to SPI");
    }
    run(fcinfo, take(fcinfo));
    SPI_finish();
    pg::wake_worker_at_commit(wakes);
    Datum values[] = {fcinfo->args[call].value, CStringGetTextDatum("ran")};
    bool nulls[] = {false, false};
    return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(row_type), values, nulls));
}

Datum resolve(FunctionCallInfo fcinfo) {
    return wants_to_run(fcinfo) ? run_instead(fcinfo) : call_internal(fcinfo, wakes);
}

}  // namespace
}  // namespace pg_seats

PG_SEATS_FUNCTION(pg_seats_resolve_review) {
    return pg_seats::pg::guard(pg_seats::resolve, fcinfo);
}
