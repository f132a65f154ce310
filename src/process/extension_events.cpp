// Tells launcher and worker when the extension comes, changes or goes: by the server's object
// access hook, and at commit, so that nothing happens if the transaction is rolled back.
#include "pg/error.hpp"
#include "pg/shared_state.hpp"
#include "pg/wake.hpp"
#include "process/hooks.hpp"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
}

namespace pg_seats::process {
namespace {

object_access_hook_type next_hook = nullptr;

// SnapshotSelf, because the hook is called in the middle of CREATE EXTENSION, when the new row is
// not visible yet to any other snapshot, its own transaction's included.
bool is_our_extension(Oid oid) {
    Relation relation = table_open(ExtensionRelationId, AccessShareLock);
    ScanKeyData key;
    ScanKeyInit(&key, Anum_pg_extension_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(oid));
    SysScanDesc scan =
        systable_beginscan(relation, ExtensionOidIndexId, true, SnapshotSelf, 1, &key);
    bool ours = false;
    if (HeapTuple tuple = systable_getnext(scan); HeapTupleIsValid(tuple)) {
        const auto* row = reinterpret_cast<Form_pg_extension>(GETSTRUCT(tuple));
        ours = strcmp(NameStr(row->extname), "pg_seats") == 0;
    }
    systable_endscan(scan);
    table_close(relation, AccessShareLock);
    return ours;
}

void on_extension(ObjectAccessType access, Oid oid) {
    if (!is_our_extension(oid)) {
        return;
    }
    if (access == OAT_POST_CREATE) {
        pg::probe_at_commit(MyDatabaseId);
    } else {
        pg::wake_worker_at_commit(pg::wake_extension);
    }
}

void on_access(ObjectAccessType access, Oid catalog, Oid oid, int sub_id, void* argument) {
    if (next_hook != nullptr) {
        next_hook(access, catalog, oid, sub_id, argument);
    }
    const bool changes =
        access == OAT_POST_CREATE || access == OAT_POST_ALTER || access == OAT_DROP;
    if (!changes) {
        return;
    }
    if (catalog == ExtensionRelationId) {
        on_extension(access, oid);
    } else if (catalog == DatabaseRelationId && access != OAT_DROP) {
        // The template may have had the extension; or connections were not allowed until now.
        pg::probe_at_commit(oid);
    }
}

// Called by the server for nearly every object that any command touches.
void object_access(ObjectAccessType access, Oid catalog, Oid oid, int sub_id, void* argument) {
    pg::border(on_access, access, catalog, oid, sub_id, argument);
}

}  // namespace

void watch_extension_events() {
    next_hook = object_access_hook;
    object_access_hook = object_access;
}

}  // namespace pg_seats::process
