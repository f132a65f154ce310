// What differs between the supported versions of PostgreSQL, and nothing else. Included by
// postgres.hpp, after the server's headers.
#pragma once

extern "C" {
#if PG_VERSION_NUM >= 180000
#include "storage/waiteventset.h"
#endif
#if PG_VERSION_NUM >= 170000
#include "storage/procnumber.h"
#endif
#include "access/tableam.h"
#include "access/xlog.h"
#include "catalog/pg_database.h"
#include "executor/executor.h"
#include "postmaster/bgworker.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/regproc.h"
#include "utils/wait_event.h"
}

namespace pg_seats::pg {

// The wait event set belongs to a memory context until 16, to a resource owner from 17.
inline WaitEventSet* create_wait_event_set(int events) {
#if PG_VERSION_NUM >= 170000
    return CreateWaitEventSet(nullptr, events);
#else
    return CreateWaitEventSet(TopMemoryContext, events);
#endif
}

// A process's index in ProcGlobal->allProcs, by which another process finds its latch.
inline int my_proc_number() {
#if PG_VERSION_NUM >= 170000
    return static_cast<int>(MyProcNumber);
#else
    return MyProc->pgprocno;
#endif
}

// Named wait events exist from 17; before, everything of an extension is one event.
inline uint32 new_wait_event([[maybe_unused]] const char* name) {
#if PG_VERSION_NUM >= 170000
    return WaitEventExtensionNew(name);
#else
    return PG_WAIT_EXTENSION;
#endif
}

// Ownership of a database, superusers and members of the owner included.
inline bool owns_database(Oid database, Oid role) {
#if PG_VERSION_NUM >= 160000
    return object_ownercheck(DatabaseRelationId, database, role);
#else
    return pg_database_ownercheck(database, role);
#endif
}

// transaction_timeout exists from 17; 0: none.
inline int transaction_timeout_ms() {
#if PG_VERSION_NUM >= 170000
    return TransactionTimeout;
#else
    return 0;
#endif
}

// Until 16 no background worker can be connected as a role without LOGIN.
#if PG_VERSION_NUM >= 170000
inline constexpr bool connects_without_login = true;
inline constexpr uint32 connect_as_any_role =
    BGWORKER_BYPASS_ALLOWCONN | BGWORKER_BYPASS_ROLELOGINCHECK;
#else
inline constexpr bool connects_without_login = false;
inline constexpr uint32 connect_as_any_role = BGWORKER_BYPASS_ALLOWCONN;
#endif

// "a"."b" as a list of names.
inline List* split_qualified_name(const char* name) {
#if PG_VERSION_NUM >= 160000
    return stringToQualifiedNameList(name, nullptr);
#else
    return stringToQualifiedNameList(name);
#endif
}

inline void ignore_transaction_timeout() {
#if PG_VERSION_NUM >= 170000
    SetConfigOption("transaction_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
#endif
}

// From 16 an update may concern the indexes alone that know ranges of pages, not rows.
#if PG_VERSION_NUM >= 160000
using UpdatedIndexes = TU_UpdateIndexes;
inline constexpr UpdatedIndexes no_indexes = TU_None;
inline constexpr UpdatedIndexes all_indexes = TU_All;
#else
using UpdatedIndexes = bool;
inline constexpr UpdatedIndexes no_indexes = false;
inline constexpr UpdatedIndexes all_indexes = true;
#endif

inline void insert_index_entries(ResultRelInfo* table, TupleTableSlot* slot, EState* state,
                                 bool is_update, [[maybe_unused]] UpdatedIndexes which) {
#if PG_VERSION_NUM >= 160000
    (void)ExecInsertIndexTuples(table, slot, state, is_update, false, nullptr, NIL,
                                which == TU_Summarizing);
#else
    (void)ExecInsertIndexTuples(table, slot, state, is_update, false, nullptr, NIL);
#endif
}

inline TimeLineID current_timeline() {
    return GetWALInsertionTimeLine();
}

}  // namespace pg_seats::pg
