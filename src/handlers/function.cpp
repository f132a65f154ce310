#include "handlers/function.hpp"

#include "pg/identity_switch.hpp"

extern "C" {
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "parser/parse_func.h"
#include "storage/lmgr.h"
}

namespace pg_seats::handlers {
namespace {

constexpr int parameters = 3;
const Oid types[parameters] = {INT8OID, JSONBOID, JSONBOID};

// The statements of the last functions that ran, for the next ones: a role has few. The server
// keeps the plans right when a function is replaced.
struct KnownFunction {
    char name[4 * NAMEDATALEN + 8];  // every character of both names may be a doubled quote
    SPIPlanPtr plan;
};
KnownFunction known[8];
int next_known = 0;

Oid find_function(const char* name) {
    return LookupFuncName(pg::split_qualified_name(name), parameters, types, false);
}

// Who can drop a function can put another one in its place, between the look at whose it is and the
// call: the owner of its schema can. From here on nobody can, nor give it to somebody else.
void hold_function(const char* name, Oid owner) {
    const Oid function = find_function(name);
    LockDatabaseObject(ProcedureRelationId, function, 0, AccessShareLock);
    if (find_function(name) != function || pg::owner_of_function(function) != owner) {
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("function %s was changed while it was to be called", name)));
    }
}

SPIPlanPtr plan_of(const char* name) {
    for (const KnownFunction& each : known) {
        if (each.plan != nullptr && strcmp(each.name, name) == 0) {
            return each.plan;
        }
    }
    SPIPlanPtr plan =
        SPI_prepare(psprintf("SELECT %s($1, $2, $3)", name), parameters, const_cast<Oid*>(types));
    if (plan == nullptr || SPI_keepplan(plan) != 0) {
        elog(ERROR, "could not prepare the call of %s: %s", name,
             SPI_result_code_string(SPI_result));
    }
    KnownFunction& place = known[next_known];
    next_known = (next_known + 1) % lengthof(known);
    if (place.plan != nullptr) {
        SPI_freeplan(place.plan);
    }
    strlcpy(place.name, name, sizeof place.name);
    place.plan = plan;
    return plan;
}

void execute(const char* name, Oid owner, const Datum* values, const char* nulls) {
    hold_function(name, owner);
    const int code = SPI_execute_plan(plan_of(name), const_cast<Datum*>(values), nulls, false, 0);
    if (code < 0) {
        elog(ERROR, "could not call %s: %s", name, SPI_result_code_string(code));
    }
}

}  // namespace

void call_function(const Call& call) {
    const Datum values[parameters] = {Int64GetDatum(call.id), call.outcome.datum,
                                      call.context.datum};
    const char nulls[parameters] = {' ', call.outcome.is_null ? 'n' : ' ',
                                    call.context.is_null ? 'n' : ' '};
    pg::guard(execute, call.function.c_str(), call.owner, &values[0], &nulls[0]);
}

}  // namespace pg_seats::handlers
