// The server's regime: no C++ objects with destructors in this file.
#include "handlers/identity.hpp"

#include "pg/error.hpp"

extern "C" {
#include "access/table.h"
#include "catalog/pg_db_role_setting.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "utils/syscache.h"
}

namespace pg_seats::handlers {
namespace {

Oid role = InvalidOid;
bool is_borrowed = false;   // a connection of the bootstrap superuser
bool is_superuser = false;  // as the server has noted it for the session

void set(const char* name, const char* value) {
    SetConfigOption(name, value, PGC_SUSET, PGC_S_OVERRIDE);
}

// What is set before the connection holds against the role's and the database's own settings, and
// RESET ALL comes back to it. All other settings of the role hold as in its own sessions.
void settle_settings() {
    set("application_name", "pg_seats handler");
    set("role", "none");
    set("default_transaction_read_only", "off");
    set("exit_on_error", "off");  // an error is the handler's, and no end of its process
    pg::ignore_transaction_timeout();
    // A web request waits for what a handler has locked; a handler has time.
    set("lock_timeout", "500ms");
    set("deadlock_timeout", "100ms");
    // The limit of memory is this process's: others that work for it would have none. And a
    // compiler that finds no memory ends its process.
    set("max_parallel_workers_per_gather", "0");
    set("jit", "off");
    // What a function fails with is to be told, and not that its process has ended.
    set("exit_on_error", "off");
}

// As ALTER ROLE … SET has it, which the connection of another role has not looked at.
void take_settings_of_role() {
    Relation relation = table_open(DbRoleSettingRelationId, AccessShareLock);
    Snapshot snapshot = RegisterSnapshot(GetCatalogSnapshot(DbRoleSettingRelationId));
    // Those of this database come last, as of two that are equally strong the later one holds.
    ApplySetting(snapshot, InvalidOid, role, relation, PGC_S_DATABASE_USER);
    ApplySetting(snapshot, MyDatabaseId, role, relation, PGC_S_DATABASE_USER);
    UnregisterSnapshot(snapshot);
    table_close(relation, AccessShareLock);
}

void borrow_connection() {
    StartTransactionCommand();
    if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(role))) {
        ereport(FATAL, (errmsg("role with OID %u does not exist", role)));
    }
    SetSessionAuthorization(role, superuser_arg(role));
    take_settings_of_role();
    CommitTransactionCommand();
}

}  // namespace

void connect(const Place& place) {
    role = place.role;
    is_borrowed = place.without_login;
    settle_settings();
    BackgroundWorkerInitializeConnectionByOid(place.database, is_borrowed ? InvalidOid : role,
                                              pg::connect_as_any_role);
    if (is_borrowed) {
        borrow_connection();
    }
    // A database may have been given a session_authorization.
    if (GetSessionUserId() != role || GetUserId() != role) {
        ereport(FATAL, (errmsg("settings of the database make another role of the one with OID %u",
                               role)));
    }
    is_superuser = strcmp(GetConfigOption("is_superuser", false, false), "on") == 0;
    pgstat_report_activity(STATE_IDLE, nullptr);
}

// Until PostgreSQL 16 a session that began as a superuser's may become anybody, for as long as it
// lives.
void require_same_rights() {
    if (superuser_arg(role) != is_superuser) {
        ereport(FATAL, (errmsg("the role with OID %u has become a superuser, or is none any more, "
                               "since its process was connected",
                               role)));
    }
}

void assume_role() noexcept {
    if (is_borrowed) {
        SetUserIdAndSecContext(role, SECURITY_LOCAL_USERID_CHANGE);
    }
}

// After an abort it is so already.
void after_transaction() noexcept {
    if (is_borrowed) {
        SetUserIdAndSecContext(role, 0);
    }
}

bool is_own_role() noexcept {
    return GetUserId() == role && GetSessionUserId() == role;
}

Oid own_role() noexcept {
    return role;
}

}  // namespace pg_seats::handlers
