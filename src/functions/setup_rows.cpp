#include "core/form.hpp"

#include "functions/setup_rows.hpp"

extern "C" {
#include "access/genam.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "utils/acl.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
}

namespace pg_seats {
namespace {

// All of it raises, and holds no C++ objects.

struct Scan {
    Relation table;
    SysScanDesc scan;
};

struct Wanted {
    const char* column;
    Datum value;  // text
};

AttrNumber column_number(Relation table, const char* name) {
    const int number = SPI_fnumber(RelationGetDescr(table), name);
    if (number <= 0) {
        elog(ERROR, "pg_seats: table %s has no column %s", RelationGetRelationName(table), name);
    }
    return static_cast<AttrNumber>(number);
}

// The tables have a handful of rows: no index is faster. The lock stays, as for any statement.
Scan begin(const char* name, const Wanted* wanted, int count) {
    const Oid schema = get_namespace_oid("seats_internal", false);
    const Oid id = get_relname_relid(name, schema);
    if (!OidIsValid(id)) {
        elog(ERROR, "pg_seats: there is no table seats_internal.%s", name);
    }
    Scan scan{table_open(id, AccessShareLock), nullptr};
    ScanKeyData keys[2];
    for (int i = 0; i < count; ++i) {
        ScanKeyInit(&keys[i], column_number(scan.table, wanted[i].column), BTEqualStrategyNumber,
                    F_TEXTEQ, wanted[i].value);
    }
    scan.scan = systable_beginscan(scan.table, InvalidOid, false, nullptr, count, keys);
    return scan;
}

void end(const Scan& scan) {
    systable_endscan(scan.scan);
    table_close(scan.table, NoLock);
}

Datum column(const Scan& scan, HeapTuple row, const char* name) {
    bool is_null = false;
    const Datum value =
        heap_getattr(row, column_number(scan.table, name), RelationGetDescr(scan.table), &is_null);
    if (is_null) {
        elog(ERROR, "pg_seats: column %s of table %s is null", name,
             RelationGetRelationName(scan.table));
    }
    return value;
}

bool grant_fits(const Scan& scan, HeapTuple row, Oid caller, std::string_view path) {
    const text* pattern = DatumGetTextPP(column(scan, row, "path"));
    if (!core::path_matches({VARDATA_ANY(pattern), VARSIZE_ANY_EXHDR(pattern)}, path)) {
        return false;
    }
    // By name, and the role may be gone: then nobody has the grant.
    const Oid role = get_role_oid(TextDatumGetCString(column(scan, row, "grantee")), true);
    return OidIsValid(role) && has_privs_of_role(caller, role);
}

}  // namespace

bool find_destination(Datum name, DestinationRow* row) {
    const Wanted wanted[] = {{"name", name}};
    const Scan scan = begin("destination", wanted, 1);
    HeapTuple const tuple = systable_getnext(scan.scan);
    if (HeapTupleIsValid(tuple)) {
        strlcpy(row->kind, TextDatumGetCString(column(scan, tuple, "kind")), sizeof row->kind);
    }
    const bool found = HeapTupleIsValid(tuple);
    end(scan);
    return found;
}

bool find_installation(pg_uuid_t* uuid) {
    const Scan scan = begin("installation", nullptr, 0);
    HeapTuple const tuple = systable_getnext(scan.scan);
    const bool found = HeapTupleIsValid(tuple);
    if (found) {
        *uuid = *DatumGetUUIDP(column(scan, tuple, "uuid"));
    }
    end(scan);
    return found;
}

bool has_call_grant(Oid caller, Datum destination, Datum method, std::string_view path) {
    const Wanted wanted[] = {{"destination", destination}, {"method", method}};
    const Scan scan = begin("call_grant", wanted, 2);
    bool granted = false;
    while (!granted) {
        HeapTuple const tuple = systable_getnext(scan.scan);
        if (!HeapTupleIsValid(tuple)) {
            break;
        }
        granted = grant_fits(scan, tuple, caller, path);
    }
    end(scan);
    return granted;
}

}  // namespace pg_seats
