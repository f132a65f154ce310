// Tables of the extension, for those that read them as the server reads its catalogs (setup_rows,
// seat_rows). These raise and hold no C++ objects.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "catalog/namespace.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
}

namespace pg_seats {

// A table's, or an index's.
inline Oid own_relation(const char* name) {
    const Oid id = get_relname_relid(name, get_namespace_oid("seats_internal", false));
    if (!OidIsValid(id)) {
        elog(ERROR, "pg_seats: there is no relation seats_internal.%s", name);
    }
    return id;
}

inline AttrNumber column_number(Relation table, const char* name) {
    const int number = SPI_fnumber(RelationGetDescr(table), name);
    if (number <= 0) {
        elog(ERROR, "pg_seats: table %s has no column %s", RelationGetRelationName(table), name);
    }
    return static_cast<AttrNumber>(number);
}

}  // namespace pg_seats
