// What every change needs is looked at here, and nearly always there is nothing special about one:
// an owner of the team asks for it, the team has seats of the type, no rule is met. Then a few rows
// are read and three written: the team's lane, the line, the row (own_rows.hpp). Whatever is
// special is left to seats_internal.make_change, and the words of every error are. What that does
// in the plain case is done here, to the byte: sql/plain_changes.sql compares the two.
#include "functions/plain_change.hpp"

#include "functions/kept_plan.hpp"
#include "functions/own_rows.hpp"
#include "functions/put_jsonb.hpp"
#include "functions/setup_rows.hpp"
#include "functions/texts.hpp"
#include "pg/identity_switch.hpp"
#include "pg/settings.hpp"

extern "C" {
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

constexpr GivenColumn row_columns[] = {
    {"lane_id", INT8OID},      {"installation", UUIDOID}, {"destination", TEXTOID},
    {"method", TEXTOID},       {"path", TEXTOID},         {"body", TEXTOID},
    {"verifier", TEXTOID},     {"enqueued_by", TEXTOID},  {"kind", TEXTOID},
    {"team_id", INT8OID},      {"actor", TEXTOID},        {"lines", JSONBOID},
    {"acting_person", TEXTOID}};
RowWriter row_writer{
    "outbox",
    row_columns,
    {"INSERT INTO seats_internal.outbox"
     "   (lane_id, installation, destination, method, path, body, verifier, enqueued_by, kind,"
     "    team_id, actor, lines, acting_person)"
     " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) RETURNING id",
     nullptr}};

constexpr GivenColumn request_columns[] = {{"team_id", INT8OID},
                                           {"function_name", TEXTOID},
                                           {"request_key", TEXTOID},
                                           {"arguments", JSONBOID},
                                           {"result", JSONBOID}};
RowWriter request_writer{
    "request_key",
    request_columns,
    {"INSERT INTO seats_internal.request_key"
     "   (team_id, function_name, request_key, arguments, result) VALUES ($1, $2, $3, $4, $5)",
     nullptr}};

// (Where somebody has had it until now, the statement waits no more, and takes the newest version.)
bool take_lane_of(Snapshot snapshot, const TeamRow& team) {
    LaneRow lane{};
    if (!find_lane(snapshot, team.lane_id, &lane)) {
        return false;
    }
    const NewValue more[] = {{"version", Int64GetDatum(lane.version + 1)}};
    if (change_row("lane", lane.tuple, more)) {
        return true;
    }
    const Oid types[] = {INT8OID};
    const Datum values[] = {Int64GetDatum(team.lane_id)};
    const int level = begin_statements();
    const bool is_taken = run_kept(take_lane, 1, types, values) == 1;
    end_statements(level);
    return is_taken;
}

std::int64_t seats_in_use(const Order& order, std::int64_t team_id) {
    const Oid types[] = {INT8OID, TEXTOID};
    const Datum values[] = {Int64GetDatum(team_id), order.seat_type};
    const int level = begin_statements();
    run_kept(count_seats_in_use, 2, types, values);
    const std::int64_t count = DatumGetInt32(first_value());
    end_statements(level);
    return count;
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
    LineRow& line = change->line;
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
    const bool is_plain = find_team(snapshot, order.team, &change->team) &&
                          take_lane_of(snapshot, change->team) && look(order, change);
    UnregisterSnapshot(snapshot);
    return is_plain;
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
    const NullableDatum values[] = {{Int64GetDatum(change.team.id), false},
                                    {CStringGetTextDatum(order.function), false},
                                    order.request_key,
                                    {arguments_of(order), false},
                                    {result_of(order, change), false}};
    (void)add_row(request_writer, values, nullptr);
}

bool write_line(const Order& order, const PlainChange& change) {
    const NewValue quantity[] = {
        {"quantity", Int32GetDatum(static_cast<std::int32_t>(change.resulting))}};
    if (change_row("seat_line", change.line.tuple, quantity)) {
        return true;
    }
    const int level = begin_statements();
    const Oid types[] = {INT8OID, TEXTOID, INT4OID};
    const Datum values[] = {Int64GetDatum(change.team.id), order.seat_type,
                            Int32GetDatum(static_cast<std::int32_t>(change.resulting))};
    const bool is_written = run_kept(change_line, 3, types, values) == 1;
    end_statements(level);
    return is_written;
}

bool write(const Order& order, Datum caller, PlainChange* change) {
    // No row without its line: a type of which nobody has any seats may be dropped at this moment.
    if (!write_line(order, *change)) {
        return false;
    }
    const char* const person = pg::settings.person;
    const bool is_known = person != nullptr && *person != '\0';
    JsonbState state = nullptr;
    const NullableDatum values[] = {
        {Int64GetDatum(change->team.lane_id), false},
        {UUIDPGetDatum(&change->installation), false},
        {change->team.destination, false},
        {text_datum("POST"), false},
        {CStringGetTextDatum(psprintf("/v1/subscriptions/%s", change->team.subscription)), false},
        {text_datum(""), false},
        {text_datum("object"), false},
        {caller, false},
        {text_datum("change"), false},
        {Int64GetDatum(change->team.id), false},
        {order.actor, false},
        {put_lines(&state, order, *change), false},
        {is_known ? CStringGetTextDatum(person) : Datum{0}, !is_known}};
    if (!add_row(row_writer, values, &change->id)) {
        elog(ERROR, "pg_seats: a trigger keeps changes out of the outbox");
    }
    if (!order.request_key.isnull) {
        note(order, *change);
    }
    return true;
}

bool is_possible_key(Datum key) {
    const std::size_t size = text_view(key).size();
    return size > 0 && size <= largest_request_key;
}

}  // namespace

bool change_plainly(const Order& order, Oid door, PlainChange* change) {
    if (!order.request_key.isnull && !is_possible_key(order.request_key.value)) {
        return false;
    }
    const Datum caller = CStringGetTextDatum(GetUserNameFromId(GetUserId(), false));
    const pg::Identity before = pg::become(pg::owner_of_function(door));
    const bool is_made = take_and_look(order, change) && write(order, caller, change);
    pg::become_again(before);
    return is_made;
}

}  // namespace pg_seats
