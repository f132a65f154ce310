#include "pg/extension.hpp"

#include "pg/log.hpp"
#include "pg/own_slot.hpp"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "storage/lmgr.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
}

namespace pg_seats::pg {
namespace {

// Of the process: there is one worker, for one extension, in it.
Oid extension = InvalidOid;
bool mismatch_logged = false;

struct ExtensionRow {
    bool found;
    char version[64];
};

Oid look_for_extension() {
    return get_extension_oid("pg_seats", true);
}

// The lock comes before the look: a lock on the tables instead would be taken in another order than
// DROP EXTENSION does, and deadlock with it. pg_extension is in no cache, so what is read here is
// what is committed after the lock was had.
void lock_and_read(Oid oid, ExtensionRow* row) {
    LockDatabaseObject(ExtensionRelationId, oid, 0, AccessShareLock);
    row->found = false;
    row->version[0] = '\0';
    Relation relation = table_open(ExtensionRelationId, AccessShareLock);
    ScanKeyData key;
    ScanKeyInit(&key, Anum_pg_extension_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(oid));
    SysScanDesc scan = systable_beginscan(relation, ExtensionOidIndexId, true, nullptr, 1, &key);
    if (HeapTuple tuple = systable_getnext(scan); HeapTupleIsValid(tuple)) {
        row->found = true;
        bool is_null = false;
        const Datum version =
            heap_getattr(tuple, Anum_pg_extension_extversion, RelationGetDescr(relation), &is_null);
        if (!is_null) {
            text_to_cstring_buffer(DatumGetTextPP(version), row->version, sizeof row->version);
        }
    }
    systable_endscan(scan);
    table_close(relation, AccessShareLock);
}

void log_mismatch(const char* version) {
    if (mismatch_logged) {
        return;
    }
    mismatch_logged = true;
    const std::string trouble = std::string("the library is of version " PG_SEATS_VERSION
                                            " and the extension in this database of version ") +
                                version + ": nothing is sent";
    set_trouble(trouble);
    log_warning(trouble,
                "Run ALTER EXTENSION pg_seats UPDATE in this database, or install the library "
                "of the extension's version; the worker goes on by itself.");
}

}  // namespace

Oid own_extension() noexcept {
    return extension;
}

Oid find_extension() {
    extension = guard(look_for_extension);
    return extension;
}

ExtensionState check_extension(Oid expected) {
    if (!OidIsValid(expected)) {
        return ExtensionState::gone;
    }
    ExtensionRow row;
    guard(lock_and_read, expected, &row);
    if (!row.found) {
        return ExtensionState::gone;
    }
    if (strcmp(row.version, PG_SEATS_VERSION) != 0) {
        log_mismatch(row.version);
        return ExtensionState::version_mismatch;
    }
    if (mismatch_logged) {
        mismatch_logged = false;
        set_trouble({});
        log_line("library and extension are of the same version again: the worker goes on");
    }
    return ExtensionState::present;
}

}  // namespace pg_seats::pg
