// seats.enqueue_call(): a call becomes a row of the outbox, in its caller's transaction.
//
// Cheap, because it is on the application's path: what can be checked without the database is
// checked first; setup tables are read as the server reads its catalogs; the lane and the row are
// written without statements (own_rows.hpp).
#include "core/call_rules.hpp"

#include "functions/kept_plan.hpp"
#include "functions/own_rows.hpp"
#include "functions/seat_rows.hpp"
#include "functions/setup_rows.hpp"
#include "functions/sqlstates.hpp"
#include "functions/texts.hpp"
#include "pg/arguments.hpp"
#include "pg/error.hpp"
#include "pg/identity_switch.hpp"
#include "pg/shared_state.hpp"
#include "pg/wake.hpp"

extern "C" {
#include "utils/acl.h"
#include "utils/date.h"
#include "utils/uuid.h"
}

namespace {

using namespace pg_seats;

enum Argument {
    destination,
    method,
    path,
    parameters,
    lane,
    context,
    verifier,
    on_done,
    on_refused,
    keep_settings
};

// What goes over the border: plain values that belong to others.
struct Order {
    FunctionCallInfo call;
    std::string_view path;
    std::string_view body;
    std::string_view lane;  // empty: none
    // What of a subscription it changes: the subscription's path, or the item's id; empty: nothing.
    std::string_view subscription, item;
};

// Below: functions that may raise and hold no C++ objects.

// Every schema is named, of operators too: these run as the extension's owner, under the caller's
// search_path.

// Locks the lane until the caller commits, before the row's id is drawn: ids of a lane are in the
// order of commits. Under REPEATABLE READ a lane that moved on is a serialisation failure.
//
// Nearly always it is there. An upsert, which finds out by itself, would draw an id for it and lock
// the row before it changes it.
KeptPlan take_known_lane{
    "UPDATE seats_internal.lane AS l"
    "   SET version = l.version OPERATOR(pg_catalog.+) 1, used_on = CURRENT_DATE"
    " WHERE l.destination OPERATOR(pg_catalog.=) $1 AND l.name OPERATOR(pg_catalog.=) $2"
    " RETURNING l.id",
    nullptr, Finds::by_index};

// Somebody else may make it at the same moment.
KeptPlan take_lane{
    "INSERT INTO seats_internal.lane AS l (destination, name) VALUES ($1, $2)"
    " ON CONFLICT ON CONSTRAINT lane_is_unique_by_destination"
    " DO UPDATE SET version = l.version OPERATOR(pg_catalog.+) 1, used_on = CURRENT_DATE"
    " RETURNING l.id",
    nullptr};

constexpr GivenColumn row_columns[] = {
    {"lane_id", INT8OID},  {"installation", UUIDOID}, {"destination", TEXTOID},
    {"method", TEXTOID},   {"path", TEXTOID},         {"body", TEXTOID},
    {"verifier", TEXTOID}, {"enqueued_by", TEXTOID},  {"context", JSONBOID}};
RowWriter row_writer{
    "outbox",
    row_columns,
    {"INSERT INTO seats_internal.outbox"
     " (lane_id, installation, destination, method, path, body, verifier, enqueued_by, context)"
     " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id",
     nullptr}};

KeptPlan make_handler{"SELECT seats_internal.make_handler($1, $2, $3, $4, ROW($5, $6, $7, $8))",
                      nullptr};

void check_grant(const Order& order, Oid caller) {
    const NullableDatum* args = order.call->args;
    if (superuser_arg(caller) ||
        has_call_grant({caller, order.call->flinfo->fn_oid}, args[destination].value,
                       args[method].value, order.path)) {
        return;
    }
    const char* role = GetUserNameFromId(caller, false);
    const char* wanted = TextDatumGetCString(args[method].value);
    const char* where = TextDatumGetCString(args[path].value);
    const char* whom = TextDatumGetCString(args[destination].value);
    ereport(ERROR,
            (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
             errmsg("permission denied to call %s %s at destination \"%s\"", wanted, where, whom),
             errdetail("No grant of calls to role \"%s\", or to one that it is a member of, fits.",
                       role),
             errhint("A superuser can grant it with seats.grant_call().")));
}

void check_destination(const Order& order) {
    const Datum name = order.call->args[destination].value;
    DestinationRow row{};
    if (!find_destination(name, &row)) {
        ereport(ERROR, (errcode(sqlstate::unknown_destination),
                        errmsg("there is no destination \"%s\"", TextDatumGetCString(name)),
                        errhint("seats.define_destination() makes one; the view "
                                "seats.destinations lists them.")));
    }
    if (strcmp(row.kind, "stripe") != 0) {
        ereport(ERROR, (errcode(sqlstate::destination_takes_no_calls),
                        errmsg("destination \"%s\" takes no calls", TextDatumGetCString(name)),
                        errdetail("It is a place where alerts are delivered, not Stripe.")));
    }
}

void read_installation(pg_uuid_t* uuid) {
    if (!find_installation(uuid)) {
        ereport(ERROR, (errcode(sqlstate::no_installation),
                        errmsg("this database has no installation of pg_seats yet"),
                        errdetail("A call is stamped with the installation that may send it."),
                        errhint("A superuser must run seats.create_installation() once.")));
    }
}

bool find_known_lane(Datum where, Datum name, LaneRow* lane) {
    Snapshot const snapshot = RegisterSnapshot(GetTransactionSnapshot());
    const bool is_found = find_lane_by_name(snapshot, where, name, lane);
    UnregisterSnapshot(snapshot);
    return is_found;
}

bool take_directly(const LaneRow& lane) {
    const NewValue used[] = {{"version", Int64GetDatum(lane.version + 1)},
                             {"used_on", DateADTGetDatum(GetSQLCurrentDate())}};
    return change_row("lane", lane.tuple, used);
}

std::int64_t lane_of(const Order& order, std::string_view name) {
    const Oid types[] = {TEXTOID, TEXTOID};
    const Datum values[] = {order.call->args[destination].value, text_datum(name)};
    LaneRow lane{};
    const bool is_known = find_known_lane(values[0], values[1], &lane);
    if (is_known && take_directly(lane)) {
        return lane.id;
    }
    if (!is_known || run_kept(take_known_lane, 2, types, values) == 0) {
        run_kept(take_lane, 2, types, values);
    }
    return DatumGetInt64(first_value());
}

// A subscription's own calls must not pass its team's changes by, nor they them.
KeptPlan lane_of_subscription{
    "SELECT l.name FROM seats_internal.lane AS l JOIN seats_internal.team AS t ON t.lane_id "
    "OPERATOR(pg_catalog.=) l.id"
    " WHERE l.destination OPERATOR(pg_catalog.=) $1 AND l.name OPERATOR(pg_catalog.=) $2",
    nullptr};

// Looks at all teams: an index of their items would move a team's row with every change of seats,
// and calls to single items are rare.
KeptPlan lane_of_item{
    "SELECT l.name FROM seats_internal.team AS t JOIN seats_internal.lane AS l ON l.id "
    "OPERATOR(pg_catalog.=) t.lane_id"
    " WHERE t.destination OPERATOR(pg_catalog.=) $1 AND t.items OPERATOR(pg_catalog.@>)"
    "     pg_catalog.jsonb_build_array(pg_catalog.jsonb_build_object('id', $2)) LIMIT 1",
    nullptr};

// The lane that a path belongs to, whatever the caller says: that of a registered subscription.
std::string_view own_lane(const Order& order) {
    const bool is_item = order.subscription.empty();
    if (is_item && order.item.empty()) {
        return order.lane;
    }
    const Oid types[] = {TEXTOID, TEXTOID};
    const Datum values[] = {order.call->args[destination].value,
                            text_datum(is_item ? order.item : order.subscription)};
    run_kept(is_item ? lane_of_item : lane_of_subscription, 2, types, values);
    if (SPI_processed == 0) {
        return order.lane;
    }
    const std::string_view own = text_view(first_value());
    if (!order.lane.empty() && order.lane != own) {
        ereport(ERROR,
                (errcode(sqlstate::invalid_lane),
                 errmsg("the subscription belongs to a team, and its calls to the team's lane"),
                 errhint("Leave the argument lane out.")));
    }
    return own;
}

// Its lane's id, or null.
NullableDatum lane_id_of(const Order& order) {
    const std::string_view lane = own_lane(order);
    if (lane.empty()) {
        return {Datum{0}, true};
    }
    return {Int64GetDatum(lane_of(order, lane)), false};
}

std::int64_t row_of(const Order& order, Datum caller, const NullableDatum& lane_id,
                    const pg_uuid_t* installation) {
    const NullableDatum* args = order.call->args;
    const NullableDatum values[] = {
        lane_id,      {UUIDPGetDatum(installation), false}, args[destination], args[method],
        args[path],   {text_datum(order.body), false},      args[verifier],    {caller, false},
        args[context]};
    std::int64_t id = 0;
    if (!add_row(row_writer, values, &id)) {
        elog(ERROR, "pg_seats: a trigger keeps calls out of the outbox");
    }
    return id;
}

void name_handlers(const Order& order, Datum caller, const NullableDatum& lane_id,
                   const pg_uuid_t* installation, std::int64_t call) {
    const NullableDatum* args = order.call->args;
    if (args[on_done].isnull && args[on_refused].isnull && args[keep_settings].isnull) {
        return;
    }
    char nulls[] = "        ";
    nulls[2] = lane_id.isnull ? 'n' : ' ';
    nulls[4] = args[on_done].isnull ? 'n' : ' ';
    nulls[5] = args[on_refused].isnull ? 'n' : ' ';
    nulls[6] = args[context].isnull ? 'n' : ' ';
    nulls[7] = args[keep_settings].isnull ? 'n' : ' ';
    const Oid types[] = {TEXTOID, INT8OID, INT8OID,  UUIDOID,
                         TEXTOID, TEXTOID, JSONBOID, TEXTARRAYOID};
    const Datum values[] = {caller,
                            Int64GetDatum(call),
                            lane_id.value,
                            UUIDPGetDatum(installation),
                            args[on_done].value,
                            args[on_refused].value,
                            args[context].value,
                            args[keep_settings].value};
    run_kept(make_handler, 8, types, values, nulls);
}

std::int64_t enqueue(const Order* order) {
    const Oid caller = GetUserId();
    check_grant(*order, caller);
    check_destination(*order);
    pg_uuid_t installation;
    read_installation(&installation);

    const pg::Identity before = pg::become(pg::owner_of_function(order->call->flinfo->fn_oid));
    if (SPI_connect() != SPI_OK_CONNECT) {
        elog(ERROR, "could not connect to SPI");
    }
    const Datum name = CStringGetTextDatum(GetUserNameFromId(caller, false));
    const NullableDatum lane_id = lane_id_of(*order);
    const std::int64_t id = row_of(*order, name, lane_id, &installation);
    name_handlers(*order, name, lane_id, &installation, id);
    SPI_finish();
    pg::become_again(before);
    pg::wake_worker_at_commit(pg::wake_rows);
    return id;
}

// From here on C++.

int sqlstate_of(core::CallRule rule) {
    switch (rule) {
        case core::CallRule::method:
            return sqlstate::invalid_method;
        case core::CallRule::path:
            return sqlstate::invalid_call_path;
        case core::CallRule::parameters:
            return sqlstate::invalid_parameters;
        case core::CallRule::size:
            return sqlstate::too_large;
        case core::CallRule::lane:
            return sqlstate::invalid_lane;
        case core::CallRule::verifier:
            return sqlstate::invalid_verifier;
    }
    return ERRCODE_INTERNAL_ERROR;
}

std::string_view text_of(FunctionCallInfo fcinfo, Argument number) {
    return pg::guard(pg::bytes_argument, fcinfo, static_cast<int>(number));
}

std::string_view required(FunctionCallInfo fcinfo, Argument number, const char* name) {
    if (PG_ARGISNULL(number)) {
        throw pg::SqlError(ERRCODE_NULL_VALUE_NOT_ALLOWED, std::string(name) + " must not be null");
    }
    return text_of(fcinfo, number);
}

std::optional<std::string_view> optional_text(FunctionCallInfo fcinfo, Argument number) {
    if (PG_ARGISNULL(number)) {
        return std::nullopt;
    }
    return text_of(fcinfo, number);
}

core::WantedCall wanted_call(FunctionCallInfo fcinfo) {
    core::WantedCall wanted;
    (void)required(fcinfo, destination, "destination");
    wanted.method = required(fcinfo, method, "method");
    wanted.path = required(fcinfo, path, "path");
    wanted.parameters = "{}";
    if (!PG_ARGISNULL(parameters)) {
        wanted.parameters = pg::guard(pg::jsonb_argument, fcinfo, static_cast<int>(parameters));
    }
    wanted.lane = optional_text(fcinfo, lane);
    wanted.verifier = optional_text(fcinfo, verifier);
    return wanted;
}

}  // namespace

PG_SEATS_FUNCTION(pg_seats_enqueue_call) {
    const core::WantedCall wanted = wanted_call(fcinfo);
    core::CheckedCall checked;
    try {
        checked = core::check_call(wanted);
    } catch (const core::BrokenRule& broken) {
        throw pg::SqlError(sqlstate_of(broken.rule), broken.message, broken.detail, broken.hint);
    }
    if (!PG_ARGISNULL(context) && pg::guard(pg::raw_size_of_argument, fcinfo,
                                            static_cast<int>(context)) > core::largest_body) {
        throw pg::SqlError(sqlstate::too_large, "the context is larger than 1 MB");
    }
    const Order order{fcinfo,       wanted.path,          checked.body,
                      checked.lane, checked.subscription, checked.item};
    return Int64GetDatum(pg::guard(enqueue, &order));
}
