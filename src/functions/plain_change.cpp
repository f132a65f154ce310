// What every change needs is looked at here, and nearly always there is nothing special about one:
// an owner of the team asks for it, the team has seats of the type, no rule is met. Then it is
// three statements with kept plans: one takes the team's lane, two write the line and the row;
// before these a few rows are read. Whatever is special is left to seats_internal.make_change, and
// the words of every error are. What that does in the plain case is done here, to the byte:
// sql/plain_changes.sql compares the two.
#include "functions/plain_change.hpp"

#include "functions/kept_plan.hpp"
#include "functions/put_jsonb.hpp"
#include "functions/setup_rows.hpp"
#include "functions/texts.hpp"
#include "pg/identity_switch.hpp"
#include "pg/settings.hpp"

extern "C" {
#include "catalog/namespace.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
}

namespace pg_seats {
namespace {

constexpr std::size_t largest_request_key = 255;

// All of it raises, and holds no C++ objects. Every schema is named, of operators too: these run as
// the extension's owner, under the caller's search_path.

// The team's lock, as make_change takes it: before anything is read that counts, and before an id
// is drawn. Under REPEATABLE READ a team that moved on is a serialisation failure.
KeptPlan take_lane{
    "UPDATE seats_internal.lane AS l SET version = l.version OPERATOR(pg_catalog.+) 1"
    " WHERE l.id OPERATOR(pg_catalog.=) $1",
    nullptr, Finds::by_index};

KeptPlan count_seats_in_use{"SELECT seats_internal.seats_in_use($1, $2)", nullptr};

KeptPlan change_line{
    "UPDATE seats_internal.seat_line AS l SET quantity = $3"
    " WHERE l.team_id OPERATOR(pg_catalog.=) $1 AND l.seat_type OPERATOR(pg_catalog.=) $2",
    nullptr, Finds::by_index};

// (In one statement with the one above, by a WITH, both would cost more.)
KeptPlan write_row{
    "INSERT INTO seats_internal.outbox"
    "   (lane_id, installation, destination, method, path, body, verifier, enqueued_by, kind,"
    "    team_id, actor, lines, acting_person)"
    " VALUES ($1, $2, $3, 'POST', $4, '', 'object', $5, 'change', $6, $7, $8, $9)"
    " RETURNING id",
    nullptr};

KeptPlan note_request{
    "INSERT INTO seats_internal.request_key (team_id, function_name, request_key, arguments, "
    "result)"
    " VALUES ($1, $2, $3, $4, $5)",
    nullptr};

Datum first_value() {
    bool is_null = false;
    return SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null);
}

bool take_lane_of(const TeamRow& team) {
    const Oid types[] = {INT8OID};
    const Datum values[] = {Int64GetDatum(team.lane_id)};
    return run_kept(take_lane, 1, types, values) == 1;
}

std::int64_t seats_in_use(const Order& order, std::int64_t team_id) {
    const Oid types[] = {INT8OID, TEXTOID};
    const Datum values[] = {Int64GetDatum(team_id), order.seat_type};
    run_kept(count_seats_in_use, 2, types, values);
    return DatumGetInt32(first_value());
}

// breaks_a_limit and is_purchase_to_check of schema/seats/allowed.sql, where nothing is special.
bool is_allowed(const LineRow& line, const PlainChange& change) {
    const std::int64_t more = change.resulting - change.previous;
    if (line.is_held || line.missing != 0 || std::abs(more) > line.largest_change) {
        return false;
    }
    return more <= 0 ||
           (change.resulting <= line.largest_total && !change.team.has_count_problem &&
            line.confirmed > 0 && change.resulting - line.confirmed <= line.largest_unconfirmed);
}

bool is_new_request(Snapshot snapshot, const Order& order, const TeamRow& team) {
    return order.request_key.isnull ||
           !is_known_request(snapshot, team.id, order.function, order.request_key.value);
}

// False where anything is missing.
bool read(const Order& order, PlainChange* change, LineRow* line) {
    Snapshot const snapshot = RegisterSnapshot(GetTransactionSnapshot());
    const TeamRow& team = change->team;
    const bool is_complete = find_team(snapshot, order.team, &change->team) &&
                             is_active_owner(snapshot, team.id, order.actor) &&
                             find_line(snapshot, team.id, order.seat_type, line) &&
                             find_installation(&change->installation) &&
                             is_new_request(snapshot, order, team);
    UnregisterSnapshot(snapshot);
    return is_complete;
}

// Whether there is nothing special about it.
bool look(const Order& order, PlainChange* change) {
    const std::int64_t lane_id = change->team.lane_id;
    LineRow line{};
    // The lane may have been waited for, and the team registered with another subscription
    // meanwhile.
    if (!read(order, change, &line) || change->team.lane_id != lane_id || !change->team.is_open ||
        (!order.expected.isnull && DatumGetInt32(order.expected.value) != line.quantity)) {
        return false;
    }
    change->previous = line.quantity;
    change->resulting = order.is_set ? order.asked : line.quantity + order.asked;
    return change->resulting >= 0 && change->resulting <= PG_INT32_MAX &&
           is_allowed(line, *change) &&
           (change->resulting >= change->previous ||
            change->resulting >= seats_in_use(order, change->team.id));
}

bool take_and_look(const Order& order, PlainChange* change) {
    Snapshot const snapshot = RegisterSnapshot(GetTransactionSnapshot());
    const bool is_found = find_team(snapshot, order.team, &change->team);
    UnregisterSnapshot(snapshot);
    return is_found && take_lane_of(change->team) && look(order, change);
}

void put_asked(JsonbState* state, const Order& order) {
    put_member(state, "seat_type", text_view(order.seat_type));
    put_member(state, "operation", std::string_view{order.is_set ? "set" : "add"});
    put_member(state, "quantity", order.asked);
}

Datum put_lines(JsonbState* state, const Order& order, const PlainChange& change) {
    put_token(state, WJB_BEGIN_ARRAY);
    put_token(state, WJB_BEGIN_OBJECT);
    put_asked(state, order);
    put_member(state, "previous_quantity", change.previous);
    put_member(state, "new_quantity", change.resulting);
    put_token(state, WJB_END_OBJECT);
    JsonbValue* const lines = pushJsonbValue(state, WJB_END_ARRAY, nullptr);
    return *state == nullptr ? JsonbPGetDatum(JsonbValueToJsonb(lines)) : Datum{0};
}

// What was asked for, as make_change notes it.
Datum arguments_of(const Order& order) {
    JsonbState state = nullptr;
    put_token(&state, WJB_BEGIN_OBJECT);
    put_string(&state, WJB_KEY, "changes");
    put_token(&state, WJB_BEGIN_ARRAY);
    put_token(&state, WJB_BEGIN_OBJECT);
    put_asked(&state, order);
    if (!order.expected.isnull) {
        put_member(&state, "expected", std::int64_t{DatumGetInt32(order.expected.value)});
    }
    put_token(&state, WJB_END_OBJECT);
    put_token(&state, WJB_END_ARRAY);
    put_member(&state, "actor", text_view(order.actor));
    return put_end(&state, WJB_END_OBJECT);
}

Datum result_of(const Order& order, const PlainChange& change) {
    JsonbState state = nullptr;
    put_token(&state, WJB_BEGIN_OBJECT);
    put_member(&state, "change", change.id);
    put_string(&state, WJB_KEY, "lines");
    (void)put_lines(&state, order, change);
    return put_end(&state, WJB_END_OBJECT);
}

void note(const Order& order, const PlainChange& change) {
    const Oid types[] = {INT8OID, TEXTOID, TEXTOID, JSONBOID, JSONBOID};
    const Datum values[] = {Int64GetDatum(change.team.id), CStringGetTextDatum(order.function),
                            order.request_key.value, arguments_of(order), result_of(order, change)};
    run_kept(note_request, 5, types, values);
}

bool write_line(const Order& order, const PlainChange& change) {
    const Oid types[] = {INT8OID, TEXTOID, INT4OID};
    const Datum values[] = {Int64GetDatum(change.team.id), order.seat_type,
                            Int32GetDatum(static_cast<std::int32_t>(change.resulting))};
    return run_kept(change_line, 3, types, values) == 1;
}

bool write(const Order& order, Datum caller, PlainChange* change) {
    // No row without its line: a type of which nobody has any seats may be dropped at this moment.
    if (!write_line(order, *change)) {
        return false;
    }
    const char* const person = pg::settings.person;
    const bool is_known = person != nullptr && *person != '\0';
    JsonbState state = nullptr;
    const Oid types[] = {INT8OID, UUIDOID, TEXTOID,  TEXTOID, TEXTOID,
                         INT8OID, TEXTOID, JSONBOID, TEXTOID};
    const Datum values[] = {
        Int64GetDatum(change->team.lane_id),
        UUIDPGetDatum(&change->installation),
        change->team.destination,
        CStringGetTextDatum(psprintf("/v1/subscriptions/%s", change->team.subscription)),
        caller,
        Int64GetDatum(change->team.id),
        order.actor,
        put_lines(&state, order, *change),
        is_known ? CStringGetTextDatum(person) : Datum{0}};
    if (run_kept(write_row, 9, types, values, is_known ? nullptr : "        n") != 1) {
        elog(ERROR, "pg_seats: a trigger keeps changes out of the outbox");
    }
    change->id = DatumGetInt64(first_value());
    if (!order.request_key.isnull) {
        note(order, *change);
    }
    return true;
}

bool is_possible_key(Datum key) {
    const std::size_t size = text_view(key).size();
    return size > 0 && size <= largest_request_key;
}

// A plan is made anew where the search_path is another one than when it was made, though nothing in
// ours depends on that. A session that has several (functions that set their own, say) would plan
// all of them with each change. To pin it costs, too: only such sessions pay for that.
bool has_one_search_path() {
    static char* first = nullptr;
    static bool is_only_one = true;
    if (first == nullptr) {
        first = MemoryContextStrdup(TopMemoryContext, namespace_search_path);
    }
    is_only_one = is_only_one && strcmp(first, namespace_search_path) == 0;
    return is_only_one;
}

}  // namespace

bool change_plainly(const Order& order, Oid door, PlainChange* change) {
    if (!order.request_key.isnull && !is_possible_key(order.request_key.value)) {
        return false;
    }
    const Datum caller = CStringGetTextDatum(GetUserNameFromId(GetUserId(), false));
    const pg::Identity before = pg::become(pg::owner_of_function(door));
    const int level = has_one_search_path() ? 0 : pg::pin_search_path();
    if (SPI_connect() != SPI_OK_CONNECT) {
        elog(ERROR, "could not connect to SPI");
    }
    const bool is_made = take_and_look(order, change) && write(order, caller, change);
    SPI_finish();
    if (level != 0) {
        AtEOXact_GUC(true, level);
    }
    pg::become_again(before);
    return is_made;
}

}  // namespace pg_seats
