// seats.add_seats(), remove_seats() and set_seats(): the door to the functions of the same names in
// seats_internal (entry.hpp), and a plain way beside it.
//
// They are on the application's path, and nearly always there is nothing special about a change: an
// owner of the team asks for it, the team has seats of the type, no rule is broken. That is two
// statements with kept plans: the team's lane, and, in a new snapshot, one that looks at everything
// and writes the row and the line. The rules are those of SQL (schema/seats/allowed.sql), inlined
// when the statement is planned. Where it finds anything else, it writes nothing, and
// seats_internal.make_change does all of it: what it does in the plain case must be what is done
// here (test/scenarios/82_plain_changes.pl compares them), and errors are worded there alone.
#include "functions/entry.hpp"
#include "functions/kept_plan.hpp"
#include "functions/put_jsonb.hpp"
#include "functions/seat_rows.hpp"
#include "functions/setup_rows.hpp"
#include "pg/error.hpp"
#include "pg/identity_switch.hpp"
#include "pg/settings.hpp"
#include "pg/shared_state.hpp"
#include "pg/wake.hpp"

extern "C" {
#include "funcapi.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
}

namespace pg_seats {
namespace {

enum Argument {
    team,
    seat_type,
    quantity,
    actor,
    request_key,
    expected_quantity,
    on_done,
    on_refused,
    context,
    keep_settings
};

constexpr std::int32_t largest_quantity = 1'000'000;
constexpr std::size_t largest_request_key = 255;

struct Verb {
    const char* name;
    const char* operation;  // as the change's line names it
    std::int32_t least;     // of the argument
    std::int32_t sign;
    bool is_set;
};

constexpr Verb add{"add_seats", "add", 1, 1, false};
constexpr Verb remove_some{"remove_seats", "add", 1, -1, false};
constexpr Verb set{"set_seats", "set", 0, 1, true};

// All of it raises, and holds no C++ objects. Every schema is named, of operators too: these run as
// the extension's owner, under the caller's search_path.

// The team's lock, as make_change takes it: before anything is read that counts, and before an id
// is drawn. Under REPEATABLE READ a team that moved on is a serialisation failure.
KeptPlan take_lane{
    "UPDATE seats_internal.lane AS l SET version = l.version OPERATOR(pg_catalog.+) 1"
    " WHERE l.id OPERATOR(pg_catalog.=) $1",
    nullptr, Finds::by_index};

KeptPlan count_seats_in_use{"SELECT seats_internal.seats_in_use($1, $2)", nullptr};

// No row without its line: a type of which nobody has any seats may be dropped at this moment.
KeptPlan write_change{
    "WITH changed AS ("
    "    UPDATE seats_internal.seat_line AS l SET quantity = $11"
    "     WHERE l.team_id OPERATOR(pg_catalog.=) $5 AND l.seat_type OPERATOR(pg_catalog.=) $7"
    "    RETURNING l.team_id"
    ") INSERT INTO seats_internal.outbox"
    "      (lane_id, installation, destination, method, path, body, verifier, enqueued_by, kind,"
    "       team_id, actor, lines, acting_person)"
    "  SELECT $1, $2, $3, 'POST', $4, '', 'object', $6, 'change', c.team_id, $8, $9, $10"
    "    FROM changed AS c"
    "  RETURNING id",
    nullptr, Finds::by_index};

KeptPlan note_request{
    "INSERT INTO seats_internal.request_key (team_id, function_name, request_key, arguments, "
    "result)"
    " VALUES ($1, $2, $3, $4, $5)",
    nullptr};

struct Change {
    const Verb* verb;
    TeamRow team;
    pg_uuid_t installation;
    std::int64_t asked, previous, resulting;
    std::int64_t id;
};

std::string_view view(Datum datum) {
    const text* value = DatumGetTextPP(datum);
    return {VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value)};
}

Datum first_value() {
    bool is_null = false;
    return SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null);
}

Datum integer(std::int64_t value) {
    return Int32GetDatum(static_cast<std::int32_t>(value));
}

bool take_lane_of(const TeamRow& team) {
    const Oid types[] = {INT8OID};
    const Datum values[] = {Int64GetDatum(team.lane_id)};
    return run_kept(take_lane, 1, types, values) == 1;
}

std::int64_t seats_in_use(FunctionCallInfo fcinfo, std::int64_t team_id) {
    const Oid types[] = {INT8OID, TEXTOID};
    const Datum values[] = {Int64GetDatum(team_id), PG_GETARG_DATUM(seat_type)};
    run_kept(count_seats_in_use, 2, types, values);
    return DatumGetInt32(first_value());
}

// breaks_a_limit and is_purchase_to_check of schema/seats/allowed.sql, where nothing is special.
bool is_allowed(const LineRow& line, const Change& change) {
    const std::int64_t more = change.resulting - change.previous;
    if (line.is_held || line.missing != 0 || std::abs(more) > line.largest_change) {
        return false;
    }
    return more <= 0 ||
           (change.resulting <= line.largest_total && !change.team.has_count_problem &&
            line.confirmed > 0 && change.resulting - line.confirmed <= line.largest_unconfirmed);
}

// False where anything is missing.
bool read(FunctionCallInfo fcinfo, Change* change, LineRow* line) {
    Snapshot const snapshot = RegisterSnapshot(GetTransactionSnapshot());
    TeamRow& row = change->team;
    const bool is_complete =
        find_team(snapshot, PG_GETARG_DATUM(team), &row) &&
        is_active_owner(snapshot, row.id, PG_GETARG_DATUM(actor)) &&
        find_line(snapshot, row.id, PG_GETARG_DATUM(seat_type), line) &&
        find_installation(&change->installation) &&
        (PG_ARGISNULL(request_key) ||
         !is_known_request(snapshot, row.id, change->verb->name, PG_GETARG_DATUM(request_key)));
    UnregisterSnapshot(snapshot);
    return is_complete;
}

// Whether there is nothing special about it.
bool look(FunctionCallInfo fcinfo, Change* change) {
    const std::int64_t lane_id = change->team.lane_id;
    LineRow line{};
    // The lane may have been waited for, and the team registered with another subscription
    // meanwhile.
    if (!read(fcinfo, change, &line) || change->team.lane_id != lane_id || !change->team.is_open ||
        (!PG_ARGISNULL(expected_quantity) && PG_GETARG_INT32(expected_quantity) != line.quantity)) {
        return false;
    }
    change->previous = line.quantity;
    change->resulting = change->verb->is_set ? change->asked : line.quantity + change->asked;
    return change->resulting >= 0 && change->resulting <= PG_INT32_MAX &&
           is_allowed(line, *change) &&
           (change->resulting >= change->previous ||
            change->resulting >= seats_in_use(fcinfo, change->team.id));
}

bool take_and_look(FunctionCallInfo fcinfo, Change* change) {
    Snapshot const snapshot = RegisterSnapshot(GetTransactionSnapshot());
    const bool is_found = find_team(snapshot, PG_GETARG_DATUM(team), &change->team);
    UnregisterSnapshot(snapshot);
    return is_found && take_lane_of(change->team) && look(fcinfo, change);
}

void put_asked(JsonbState* state, FunctionCallInfo fcinfo, const Change& change) {
    put_member(state, "seat_type", view(PG_GETARG_DATUM(seat_type)));
    put_member(state, "operation", std::string_view{change.verb->operation});
    put_member(state, "quantity", change.asked);
}

Datum put_lines(JsonbState* state, FunctionCallInfo fcinfo, const Change& change) {
    put_token(state, WJB_BEGIN_ARRAY);
    put_token(state, WJB_BEGIN_OBJECT);
    put_asked(state, fcinfo, change);
    put_member(state, "previous_quantity", change.previous);
    put_member(state, "new_quantity", change.resulting);
    put_token(state, WJB_END_OBJECT);
    JsonbValue* const lines = pushJsonbValue(state, WJB_END_ARRAY, nullptr);
    return *state == nullptr ? JsonbPGetDatum(JsonbValueToJsonb(lines)) : Datum{0};
}

// What was asked for, as make_change notes it.
Datum arguments_of(FunctionCallInfo fcinfo, const Change& change) {
    JsonbState state = nullptr;
    put_token(&state, WJB_BEGIN_OBJECT);
    put_string(&state, WJB_KEY, "changes");
    put_token(&state, WJB_BEGIN_ARRAY);
    put_token(&state, WJB_BEGIN_OBJECT);
    put_asked(&state, fcinfo, change);
    if (!PG_ARGISNULL(expected_quantity)) {
        put_member(&state, "expected", std::int64_t{PG_GETARG_INT32(expected_quantity)});
    }
    put_token(&state, WJB_END_OBJECT);
    put_token(&state, WJB_END_ARRAY);
    put_member(&state, "actor", view(PG_GETARG_DATUM(actor)));
    return put_end(&state, WJB_END_OBJECT);
}

Datum result_of(FunctionCallInfo fcinfo, const Change& change) {
    JsonbState state = nullptr;
    put_token(&state, WJB_BEGIN_OBJECT);
    put_member(&state, "change", change.id);
    put_string(&state, WJB_KEY, "lines");
    (void)put_lines(&state, fcinfo, change);
    return put_end(&state, WJB_END_OBJECT);
}

void note(FunctionCallInfo fcinfo, const Change& change) {
    const Oid types[] = {INT8OID, TEXTOID, TEXTOID, JSONBOID, JSONBOID};
    const Datum values[] = {Int64GetDatum(change.team.id), CStringGetTextDatum(change.verb->name),
                            PG_GETARG_DATUM(request_key), arguments_of(fcinfo, change),
                            result_of(fcinfo, change)};
    run_kept(note_request, 5, types, values);
}

bool write(FunctionCallInfo fcinfo, Datum caller, Change* change) {
    const char* const person = pg::settings.person;
    const bool is_known = person != nullptr && *person != '\0';
    JsonbState state = nullptr;
    const Oid types[] = {INT8OID, UUIDOID, TEXTOID,  TEXTOID, INT8OID, TEXTOID,
                         TEXTOID, TEXTOID, JSONBOID, TEXTOID, INT4OID};
    const Datum values[] = {
        Int64GetDatum(change->team.lane_id),
        UUIDPGetDatum(&change->installation),
        change->team.destination,
        CStringGetTextDatum(psprintf("/v1/subscriptions/%s", change->team.subscription)),
        Int64GetDatum(change->team.id),
        caller,
        PG_GETARG_DATUM(seat_type),
        PG_GETARG_DATUM(actor),
        put_lines(&state, fcinfo, *change),
        is_known ? CStringGetTextDatum(person) : Datum{0},
        integer(change->resulting)};
    if (run_kept(write_change, 11, types, values, is_known ? nullptr : "         n ") != 1) {
        return false;
    }
    change->id = DatumGetInt64(first_value());
    if (!PG_ARGISNULL(request_key)) {
        note(fcinfo, *change);
    }
    return true;
}

bool is_possible_key(FunctionCallInfo fcinfo) {
    const std::size_t size = view(PG_GETARG_DATUM(request_key)).size();
    return size > 0 && size <= largest_request_key;
}

// What no look into a table is needed for.
bool may_be_plain(FunctionCallInfo fcinfo, const Verb& verb) {
    return !PG_ARGISNULL(team) && !PG_ARGISNULL(seat_type) && !PG_ARGISNULL(quantity) &&
           !PG_ARGISNULL(actor) && PG_ARGISNULL(on_done) && PG_ARGISNULL(on_refused) &&
           PG_ARGISNULL(context) && PG_ARGISNULL(keep_settings) &&
           PG_GETARG_INT32(quantity) >= verb.least &&
           PG_GETARG_INT32(quantity) <= largest_quantity &&
           (PG_ARGISNULL(request_key) || is_possible_key(fcinfo));
}

// The type of what is returned, made once for the session: looked up, it would cost as much as a
// statement.
TupleDesc row_type() {
    static TupleDesc type = nullptr;
    if (type == nullptr) {
        MemoryContext const before = MemoryContextSwitchTo(TopMemoryContext);
        TupleDesc const made = CreateTemplateTupleDesc(4);
        TupleDescInitEntry(made, 1, "change", INT8OID, -1, 0);
        TupleDescInitEntry(made, 2, "previous_quantity", INT4OID, -1, 0);
        TupleDescInitEntry(made, 3, "new_quantity", INT4OID, -1, 0);
        TupleDescInitEntry(made, 4, "repeated", BOOLOID, -1, 0);
        type = BlessTupleDesc(made);
        MemoryContextSwitchTo(before);
    }
    return type;
}

Datum change_seats(FunctionCallInfo fcinfo, const Verb* verb) {
    if (!may_be_plain(fcinfo, *verb)) {
        return call_internal(fcinfo, pg::wake_rows);
    }
    const Datum caller = CStringGetTextDatum(GetUserNameFromId(GetUserId(), false));
    const pg::Identity before = pg::become(pg::owner_of_function(fcinfo->flinfo->fn_oid));
    if (SPI_connect() != SPI_OK_CONNECT) {
        elog(ERROR, "could not connect to SPI");
    }
    Change change{};
    change.verb = verb;
    change.asked = std::int64_t{verb->sign} * PG_GETARG_INT32(quantity);
    const bool is_made = take_and_look(fcinfo, &change) && write(fcinfo, caller, &change);
    SPI_finish();
    pg::become_again(before);
    if (!is_made) {
        return call_internal(fcinfo, pg::wake_rows);
    }
    pg::wake_worker_at_commit(pg::wake_rows);
    Datum values[] = {Int64GetDatum(change.id), integer(change.previous), integer(change.resulting),
                      BoolGetDatum(false)};
    bool nulls[] = {false, false, false, false};
    return HeapTupleGetDatum(heap_form_tuple(row_type(), values, nulls));
}

}  // namespace
}  // namespace pg_seats

PG_SEATS_FUNCTION(pg_seats_add_seats) {
    return pg_seats::pg::guard(pg_seats::change_seats, fcinfo, &pg_seats::add);
}

PG_SEATS_FUNCTION(pg_seats_remove_seats) {
    return pg_seats::pg::guard(pg_seats::change_seats, fcinfo, &pg_seats::remove_some);
}

PG_SEATS_FUNCTION(pg_seats_set_seats) {
    return pg_seats::pg::guard(pg_seats::change_seats, fcinfo, &pg_seats::set);
}
