// The door between the people who call and the engine: every public verb of schema `seats` is a
// C-language function with this one symbol. It finds the function of the same name in schema
// `seats_internal` that takes the caller's name in front, and calls it as the extension's owner.
//
// Why neither plain functions nor SECURITY DEFINER (src/functions/README.md has the whole story):
// a plain function would need privileges on our tables for every application, and in a SECURITY
// DEFINER one current_user is the definer, while session_user is the login role behind SET ROLE.
// GetUserId(), read here before the switch, is the one role whose privileges count at this moment.
#include "functions/entry.hpp"

#include "pg/error.hpp"
#include "pg/identity_switch.hpp"
#include "pg/shared_state.hpp"
#include "pg/wake.hpp"

extern "C" {
#include "catalog/namespace.h"
}

namespace pg_seats {
namespace {

constexpr const char* public_schema = "seats";
constexpr const char* internal_schema = "seats_internal";

// What was found out about the function behind the door; lives as long as the caller's FmgrInfo.
struct Target {
    FmgrInfo function;
    Oid owner;
    bool changes_something;
};

// From here on: functions that may raise and hold no C++ object, below one guard.

// The arguments' types of the function behind the door: text, and then those of the door.
oidvector* internal_arguments(const oidvector* arguments, const char* name) {
    Oid types[FUNC_MAX_ARGS];
    if (arguments->dim1 >= FUNC_MAX_ARGS) {
        elog(ERROR, "pg_seats: function %s has too many arguments", name);
    }
    types[0] = TEXTOID;
    memcpy(types + 1, arguments->values, static_cast<std::size_t>(arguments->dim1) * sizeof(Oid));
    return buildoidvector(types, arguments->dim1 + 1);
}

// A function of ours answers for another one only if they belong to the same role, and promise the
// same; the doors are made by the install script, so anything else is a mistake of ours.
void check_match(Form_pg_proc door, Form_pg_proc behind) {
    if (behind->proowner != door->proowner || behind->prokind != PROKIND_FUNCTION ||
        behind->prorettype != door->prorettype || behind->proretset != door->proretset ||
        behind->proisstrict || door->proisstrict) {
        elog(ERROR, "pg_seats: function %s.%s does not fit %s.%s", internal_schema,
             NameStr(behind->proname), public_schema, NameStr(door->proname));
    }
}

// Through the system cache by name, types and schema: no search_path takes part, and no privilege
// of the caller's on the internal schema is needed.
Target* find_target(const FmgrInfo* info) {
    HeapTuple const door_tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(info->fn_oid));
    if (!HeapTupleIsValid(door_tuple)) {
        elog(ERROR, "cache lookup failed for function %u", info->fn_oid);
    }
    auto* const door = reinterpret_cast<Form_pg_proc>(GETSTRUCT(door_tuple));
    if (door->pronamespace != get_namespace_oid(public_schema, false)) {
        elog(ERROR, "pg_seats: function %s is not in schema %s", NameStr(door->proname),
             public_schema);
    }
    oidvector* const types = internal_arguments(&door->proargtypes, NameStr(door->proname));
    HeapTuple const tuple =
        SearchSysCache3(PROCNAMEARGSNSP, NameGetDatum(&door->proname), PointerGetDatum(types),
                        ObjectIdGetDatum(get_namespace_oid(internal_schema, false)));
    if (!HeapTupleIsValid(tuple)) {
        elog(ERROR, "pg_seats: there is no function %s.%s for %s.%s", internal_schema,
             NameStr(door->proname), public_schema, NameStr(door->proname));
    }
    auto* const behind = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
    check_match(door, behind);

    auto* const target =
        static_cast<Target*>(MemoryContextAllocZero(info->fn_mcxt, sizeof(Target)));
    fmgr_info_cxt(behind->oid, &target->function, info->fn_mcxt);
    target->owner = behind->proowner;
    target->changes_something = door->provolatile == PROVOLATILE_VOLATILE;
    ReleaseSysCache(tuple);
    ReleaseSysCache(door_tuple);
    return target;
}

}  // namespace

// resultinfo goes on as it came, so set-returning functions and OUT parameters work: the function
// behind the door declares the same ones, and looks its row type up by its own OID.
Datum call_internal(FunctionCallInfo fcinfo, std::uint32_t wakes) {
    auto* target = static_cast<Target*>(fcinfo->flinfo->fn_extra);
    if (target == nullptr) {
        target = find_target(fcinfo->flinfo);
        fcinfo->flinfo->fn_extra = target;
    }
    LOCAL_FCINFO(inner, FUNC_MAX_ARGS);
    InitFunctionCallInfoData(*inner, &target->function, static_cast<short>(fcinfo->nargs + 1),
                             fcinfo->fncollation, fcinfo->context, fcinfo->resultinfo);
    inner->args[0].value = CStringGetTextDatum(GetUserNameFromId(GetUserId(), false));
    inner->args[0].isnull = false;
    memcpy(inner->args + 1, fcinfo->args,
           static_cast<std::size_t>(fcinfo->nargs) * sizeof(NullableDatum));

    // A restriction that holds for the caller (a user's handler, an index expression) holds on.
    const pg::Identity before = pg::become(target->owner);
    Datum const result = FunctionCallInvoke(inner);
    pg::become_again(before);

    if (target->changes_something && wakes != 0) {
        pg::wake_worker_at_commit(wakes);
    }
    fcinfo->isnull = inner->isnull;
    return result;
}

}  // namespace pg_seats

PG_SEATS_FUNCTION(pg_seats_entry) {
    return pg_seats::pg::guard(
        pg_seats::call_internal, fcinfo,
        static_cast<std::uint32_t>(pg_seats::pg::wake_rows | pg_seats::pg::wake_configuration));
}

// The same for the application's functions, which leave rows and touch no setting of the worker's.
PG_SEATS_FUNCTION(pg_seats_application_entry) {
    return pg_seats::pg::guard(pg_seats::call_internal, fcinfo,
                               static_cast<std::uint32_t>(pg_seats::pg::wake_rows));
}

// The same for what leaves the worker nothing to do, or wakes it by itself if it does.
PG_SEATS_FUNCTION(pg_seats_quiet_entry) {
    return pg_seats::pg::guard(pg_seats::call_internal, fcinfo, std::uint32_t{0});
}

PG_SEATS_FUNCTION(pg_seats_wake_for_webhooks) {
    pg_seats::pg::guard(pg_seats::pg::wake_worker_at_commit,
                        static_cast<std::uint32_t>(pg_seats::pg::wake_webhooks));
    PG_RETURN_VOID();
}

PG_SEATS_FUNCTION(pg_seats_wake_for_news) {
    pg_seats::pg::guard(pg_seats::pg::wake_worker_at_commit,
                        static_cast<std::uint32_t>(pg_seats::pg::wake_news));
    PG_RETURN_VOID();
}
