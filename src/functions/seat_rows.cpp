#include "functions/seat_rows.hpp"

#include "functions/own_tables.hpp"
#include "functions/texts.hpp"

extern "C" {
#include "access/genam.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "utils/fmgroids.h"
}

namespace pg_seats {
namespace {

// All of it raises, and holds no C++ objects.

struct Key {
    const char* column;
    Datum value;
    bool is_text;  // else bigint
};

// The first row of an index that has these values in its first columns.
struct Found {
    Relation table;
    SysScanDesc scan;
    bool is_found;
    HeapTuple tuple;
    Datum* values;
    bool* nulls;
};

Found find(Snapshot snapshot, const char* table, const char* index, const Key* keys, int count) {
    Found found{};
    found.table = table_open(own_relation(table), AccessShareLock);
    const TupleDesc columns = RelationGetDescr(found.table);
    ScanKeyData wanted[3];
    for (int i = 0; i < count; ++i) {
        const AttrNumber number = column_number(found.table, keys[i].column);
        ScanKeyEntryInitialize(&wanted[i], 0, number, BTEqualStrategyNumber, InvalidOid,
                               TupleDescAttr(columns, number - 1)->attcollation,
                               keys[i].is_text ? F_TEXTEQ : F_INT8EQ, keys[i].value);
    }
    found.scan =
        systable_beginscan(found.table, own_relation(index), true, snapshot, count, wanted);
    HeapTuple const row = systable_getnext(found.scan);
    found.is_found = HeapTupleIsValid(row);
    if (found.is_found) {
        const auto size = static_cast<std::size_t>(columns->natts);
        found.values = static_cast<Datum*>(palloc(size * sizeof(Datum)));
        found.nulls = static_cast<bool*>(palloc(size * sizeof(bool)));
        heap_deform_tuple(row, columns, found.values, found.nulls);
        found.tuple = row;
    }
    return found;
}

// The lock stays, as for any statement.
void end(const Found& found) {
    systable_endscan(found.scan);
    table_close(found.table, NoLock);
}

bool is_null(const Found& found, const char* name) {
    return found.nulls[column_number(found.table, name) - 1];
}

Datum value(const Found& found, const char* name) {
    const int number = column_number(found.table, name) - 1;
    if (found.nulls[number]) {
        elog(ERROR, "pg_seats: column %s of table %s is null", name,
             RelationGetRelationName(found.table));
    }
    return found.values[number];
}

bool has_text(const Found& found, const char* name, std::string_view wanted) {
    const int number = column_number(found.table, name) - 1;
    if (found.nulls[number]) {
        return false;
    }
    return text_view(found.values[number]) == wanted;
}

std::int64_t bound(const Found& found, const char* name) {
    return is_null(found, name) ? PG_INT64_MAX : DatumGetInt32(value(found, name));
}

bool read_lane(const Found& found, LaneRow* row) {
    if (found.is_found) {
        row->id = DatumGetInt64(value(found, "id"));
        row->version = DatumGetInt64(value(found, "version"));
        row->tuple = heap_copytuple(found.tuple);
    }
    end(found);
    return found.is_found;
}

}  // namespace

bool find_lane(Snapshot snapshot, std::int64_t id, LaneRow* row) {
    const Key keys[] = {{"id", Int64GetDatum(id), false}};
    return read_lane(find(snapshot, "lane", "lane_pkey", keys, 1), row);
}

bool find_lane_by_name(Snapshot snapshot, Datum destination, Datum name, LaneRow* row) {
    const Key keys[] = {{"destination", destination, true}, {"name", name, true}};
    return read_lane(find(snapshot, "lane", "lane_is_unique_by_destination", keys, 2), row);
}

bool find_team(Snapshot snapshot, Datum name, TeamRow* row) {
    const Key keys[] = {{"kind", CStringGetTextDatum("team"), true}, {"name", name, true}};
    const Found found = find(snapshot, "team", "team_is_unique_by_name", keys, 2);
    if (found.is_found) {
        row->id = DatumGetInt64(value(found, "id"));
        row->lane_id = DatumGetInt64(value(found, "lane_id"));
        row->destination = CStringGetTextDatum(TextDatumGetCString(value(found, "destination")));
        row->subscription = TextDatumGetCString(value(found, "subscription"));
        row->is_open = !is_null(found, "items") && (has_text(found, "status", "active") ||
                                                    has_text(found, "status", "trialing") ||
                                                    has_text(found, "status", "past_due"));
        row->has_count_problem = !is_null(found, "count_problem");
    }
    end(found);
    return found.is_found;
}

bool is_active_owner(Snapshot snapshot, std::int64_t team_id, Datum user_id) {
    const Key keys[] = {{"team_id", Int64GetDatum(team_id), false}, {"user_id", user_id, true}};
    // (Of a member there is one active row, and the index has no others. A session that ignores the
    // indexes of catalogs, ignore_system_indexes, reads the table, where former ones are, too.)
    const Found found = find(snapshot, "member", "member_active_by_team", keys, 2);
    const bool is_owner =
        found.is_found && has_text(found, "role", "owner") && has_text(found, "status", "active");
    end(found);
    return is_owner;
}

bool find_line(Snapshot snapshot, std::int64_t team_id, Datum seat_type, LineRow* row) {
    const Key type_keys[] = {{"name", seat_type, true}};
    const Found type = find(snapshot, "seat_type", "seat_type_pkey", type_keys, 1);
    if (type.is_found) {
        row->largest_change = bound(type, "largest_change");
        row->largest_total = bound(type, "largest_total");
        row->largest_unconfirmed = bound(type, "largest_unconfirmed");
    }
    end(type);
    if (!type.is_found) {
        return false;
    }
    const Key keys[] = {{"team_id", Int64GetDatum(team_id), false}, {"seat_type", seat_type, true}};
    const Found line = find(snapshot, "seat_line", "seat_line_pkey", keys, 2);
    if (line.is_found) {
        row->quantity = DatumGetInt32(value(line, "quantity"));
        row->confirmed = DatumGetInt32(value(line, "confirmed"));
        row->missing = DatumGetInt32(value(line, "missing"));
        row->is_held = DatumGetBool(value(line, "held"));
        row->tuple = heap_copytuple(line.tuple);
    }
    end(line);
    return line.is_found;
}

bool is_known_request(Snapshot snapshot, std::int64_t team_id, const char* function, Datum key) {
    const Key keys[] = {{"team_id", Int64GetDatum(team_id), false},
                        {"function_name", CStringGetTextDatum(function), true},
                        {"request_key", key, true}};
    const Found found = find(snapshot, "request_key", "request_key_pkey", keys, 3);
    end(found);
    return found.is_found;
}

}  // namespace pg_seats
