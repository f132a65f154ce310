#include "core/form.hpp"

#include "functions/setup_rows.hpp"

#include "functions/own_tables.hpp"
#include "functions/texts.hpp"

extern "C" {
#include "access/genam.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/pg_proc.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/fmgroids.h"
#include "utils/syscache.h"
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

// The tables have a handful of rows: no index is faster. The lock stays, as for any statement.
Scan begin(const char* name, const Wanted* wanted, int count) {
    Scan scan{table_open(own_relation(name), AccessShareLock), nullptr};
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

// To the role itself, by an ordinary grant: not to PUBLIC, nor to a role that it is a member of.
bool holds_execute(Oid function, Oid role) {
    HeapTuple const tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
    if (!HeapTupleIsValid(tuple)) {
        elog(ERROR, "cache lookup failed for function %u", function);
    }
    bool is_null = false;
    const Datum value = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_proacl, &is_null);
    bool holds = false;
    if (!is_null) {
        const Acl* acl = DatumGetAclP(value);
        for (int i = 0; i < ACL_NUM(acl) && !holds; ++i) {
            const AclItem& item = ACL_DAT(acl)[i];
            holds = item.ai_grantee == role && (ACLITEM_GET_PRIVS(item) & ACL_EXECUTE) != 0;
        }
    }
    ReleaseSysCache(tuple);
    return holds;
}

bool grant_fits(const Scan& scan, HeapTuple row, const Asker& asker, std::string_view path) {
    if (!core::path_matches(text_view(column(scan, row, "path")), path)) {
        return false;
    }
    // By name, and the role may be gone: then nobody has the grant, also not the next role of that
    // name. Its EXECUTE went with the one that was dropped.
    const Oid role = get_role_oid(TextDatumGetCString(column(scan, row, "grantee")), true);
    return OidIsValid(role) && has_privs_of_role(asker.role, role) &&
           holds_execute(asker.function, role);
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

int find_webhook_secrets(Datum endpoint, const char** names, int most) {
    const Wanted wanted[] = {{"name", endpoint}};
    const Scan scan = begin("webhook_endpoint", wanted, 1);
    HeapTuple const tuple = systable_getnext(scan.scan);
    int found = -1;
    if (HeapTupleIsValid(tuple)) {
        Datum* elements = nullptr;
        deconstruct_array(DatumGetArrayTypeP(column(scan, tuple, "secrets")), TEXTOID, -1, false,
                          TYPALIGN_INT, &elements, nullptr, &found);
        found = found < most ? found : most;
        for (int i = 0; i < found; ++i) {
            names[i] = TextDatumGetCString(elements[i]);
        }
    }
    end(scan);
    return found;
}

bool has_call_grant(const Asker& asker, Datum destination, Datum method, std::string_view path) {
    const Wanted wanted[] = {{"destination", destination}, {"method", method}};
    const Scan scan = begin("call_grant", wanted, 2);
    bool granted = false;
    while (!granted) {
        HeapTuple const tuple = systable_getnext(scan.scan);
        if (!HeapTupleIsValid(tuple)) {
            break;
        }
        granted = grant_fits(scan, tuple, asker, path);
    }
    end(scan);
    return granted;
}

}  // namespace pg_seats
