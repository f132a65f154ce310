// Acting as the extension's owner on behalf of a caller who has no privilege on our tables. What
// SECURITY DEFINER does, but after the caller was read: inside one, current_user would be the
// definer, and session_user is whoever logged in.
//
// These raise and are called below a guard. If something raises in between, the end of the
// (sub)transaction gives the caller his identity back.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "access/htup_details.h"
#include "catalog/pg_proc.h"
#include "utils/guc.h"
#include "utils/syscache.h"
}

namespace pg_seats::pg {

// The owner of one of our functions: who made the extension, or took it over.
inline Oid owner_of_function(Oid function) {
    HeapTuple const tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
    if (!HeapTupleIsValid(tuple)) {
        elog(ERROR, "cache lookup failed for function %u", function);
    }
    const Oid owner = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple))->proowner;
    ReleaseSysCache(tuple);
    return owner;
}

struct Identity {
    Oid role;
    int context;
};

// Our statements name every schema, of operators too: with that the caller's search_path decides
// nothing, and pinning it would only cost.
inline Identity become(Oid role) {
    Identity before{};
    GetUserIdAndSecContext(&before.role, &before.context);
    SetUserIdAndSecContext(role, before.context | SECURITY_LOCAL_USERID_CHANGE);
    return before;
}

// Stale statistics have chosen the wrong plan for hot tables before, and a plan that was made while
// there were few rows is kept: there is one index that fits each of our statements, and it is to be
// used. AtEOXact_GUC(true, level) takes this back.
inline int prefer_indexes() {
    const int level = NewGUCNestLevel();
    for (const char* name : {"enable_seqscan", "enable_bitmapscan"}) {
        (void)set_config_option(name, "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
                                false);
    }
    return level;
}

// For statements that would be planned anew under another one. AtEOXact_GUC(true, level) takes this
// back.
inline int pin_search_path() {
    const int level = NewGUCNestLevel();
    (void)set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
                            GUC_ACTION_SAVE, true, 0, false);
    return level;
}

inline void become_again(const Identity& before) {
    SetUserIdAndSecContext(before.role, before.context);
}

}  // namespace pg_seats::pg
