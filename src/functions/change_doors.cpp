// seats.add_seats(), remove_seats(), set_seats() and change_seats(): doors to the functions of the
// same names in seats_internal (entry.hpp), with a plain way beside them (plain_change.hpp).
#include "functions/entry.hpp"
#include "functions/plain_change.hpp"
#include "functions/put_jsonb.hpp"
#include "functions/texts.hpp"
#include "pg/error.hpp"
#include "pg/shared_state.hpp"
#include "pg/wake.hpp"

extern "C" {
#include "funcapi.h"
#include "utils/memutils.h"
}

namespace pg_seats {
namespace {

// All of it raises, and holds no C++ objects.

constexpr std::int64_t largest_quantity = 1'000'000;

enum Argument { team, seat_type, quantity, actor, request_key, expected_quantity };

struct Verb {
    const char* function;
    std::int32_t least;  // quantity
    std::int32_t sign;
    bool is_set;
};

constexpr Verb add{"add_seats", 1, 1, false};
constexpr Verb remove_some{"remove_seats", 1, -1, false};
constexpr Verb set{"set_seats", 0, 1, true};

// Handlers and what belongs to them, the date of a preview: always special.
bool are_null(FunctionCallInfo fcinfo, int first) {
    for (int number = first; number < PG_NARGS(); ++number) {
        if (!PG_ARGISNULL(number)) {
            return false;
        }
    }
    return true;
}

// False: it has something special about it, or something wrong.
bool read_simple(FunctionCallInfo fcinfo, const Verb& verb, Order* order) {
    if (PG_ARGISNULL(team) || PG_ARGISNULL(seat_type) || PG_ARGISNULL(quantity) ||
        PG_ARGISNULL(actor) || !are_null(fcinfo, expected_quantity + 1) ||
        PG_GETARG_INT32(quantity) < verb.least || PG_GETARG_INT32(quantity) > largest_quantity) {
        return false;
    }
    order->function = verb.function;
    order->team = PG_GETARG_DATUM(team);
    order->seat_type = PG_GETARG_DATUM(seat_type);
    order->actor = PG_GETARG_DATUM(actor);
    order->request_key = fcinfo->args[request_key];
    order->expected = fcinfo->args[expected_quantity];
    order->is_set = verb.is_set;
    order->asked = std::int64_t{verb.sign} * PG_GETARG_INT32(quantity);
    return true;
}

enum LinesArgument { lines_team, changes, lines_actor, lines_request_key, expected };

// A whole number, as small as a quantity is; else -1.
std::int64_t quantity_of(const JsonbValue& value) {
    if (value.type != jbvNumeric) {
        return -1;
    }
    const std::string_view digits =
        DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value.val.numeric)));
    if (digits.size() > 7 || digits.find_first_not_of("0123456789") != std::string_view::npos) {
        return -1;
    }
    std::int64_t number = 0;
    for (const char digit : digits) {
        number = 10 * number + (digit - '0');
    }
    return number;
}

// {"team": {"add": 3}}: one type, one verb. False: it is another thing.
bool read_line(const Jsonb* wanted, Order* order) {
    auto* const root = const_cast<JsonbContainer*>(&wanted->root);
    if (!JsonContainerIsObject(root) || JsonContainerSize(root) != 1) {
        return false;
    }
    JsonbIterator* iterator = JsonbIteratorInit(root);
    JsonbValue type;
    JsonbValue verb;
    JsonbValue number;
    (void)JsonbIteratorNext(&iterator, &type, false);
    (void)JsonbIteratorNext(&iterator, &type, false);
    if (JsonbIteratorNext(&iterator, &verb, false) != WJB_BEGIN_OBJECT ||
        verb.val.object.nPairs != 1 || JsonbIteratorNext(&iterator, &verb, false) != WJB_KEY ||
        JsonbIteratorNext(&iterator, &number, true) != WJB_VALUE) {
        return false;
    }
    const std::string_view operation{verb.val.string.val,
                                     static_cast<std::size_t>(verb.val.string.len)};
    order->asked = quantity_of(number);
    order->is_set = operation == "set";
    if (order->asked < (order->is_set ? 0 : 1) || order->asked > largest_quantity ||
        (!order->is_set && operation != "add" && operation != "remove")) {
        return false;
    }
    if (operation == "remove") {
        order->asked = -order->asked;
    }
    order->seat_type =
        text_datum({type.val.string.val, static_cast<std::size_t>(type.val.string.len)});
    return true;
}

bool read_lines(FunctionCallInfo fcinfo, Order* order) {
    if (PG_ARGISNULL(lines_team) || PG_ARGISNULL(changes) || PG_ARGISNULL(lines_actor) ||
        !are_null(fcinfo, expected)) {
        return false;
    }
    order->function = "change_seats";
    order->team = PG_GETARG_DATUM(lines_team);
    order->actor = PG_GETARG_DATUM(lines_actor);
    order->request_key = fcinfo->args[lines_request_key];
    order->expected.isnull = true;
    return read_line(PG_GETARG_JSONB_P(changes), order);
}

// The type of what a door returns, made once for the session: looked up, it would cost as much as a
// statement.
TupleDesc row_type(TupleDesc* kept, std::initializer_list<std::pair<const char*, Oid>> columns) {
    if (*kept == nullptr) {
        MemoryContext const before = MemoryContextSwitchTo(TopMemoryContext);
        TupleDesc const made = CreateTemplateTupleDesc(static_cast<int>(columns.size()));
        AttrNumber number = 0;
        for (const auto& [name, type] : columns) {
            TupleDescInitEntry(made, ++number, name, type, -1, 0);
        }
        *kept = BlessTupleDesc(made);
        MemoryContextSwitchTo(before);
    }
    return *kept;
}

Datum change_simply(FunctionCallInfo fcinfo, const Verb* verb) {
    static TupleDesc kept = nullptr;
    Order order{};
    PlainChange change{};
    if (!read_simple(fcinfo, *verb, &order) ||
        !change_plainly(order, fcinfo->flinfo->fn_oid, &change)) {
        return call_internal(fcinfo, pg::wake_rows);
    }
    pg::wake_worker_at_commit(pg::wake_rows);
    Datum values[] = {
        Int64GetDatum(change.id), Int32GetDatum(static_cast<std::int32_t>(change.previous)),
        Int32GetDatum(static_cast<std::int32_t>(change.resulting)), BoolGetDatum(false)};
    bool nulls[] = {false, false, false, false};
    TupleDesc const type = row_type(&kept, {{"change", INT8OID},
                                            {"previous_quantity", INT4OID},
                                            {"new_quantity", INT4OID},
                                            {"repeated", BOOLOID}});
    return HeapTupleGetDatum(heap_form_tuple(type, values, nulls));
}

// {"team": {"previous_quantity": 5, "new_quantity": 8}}
Datum seats_of(const Order& order, const PlainChange& change) {
    JsonbState state = nullptr;
    put_token(&state, WJB_BEGIN_OBJECT);
    put_string(&state, WJB_KEY, text_view(order.seat_type));
    put_token(&state, WJB_BEGIN_OBJECT);
    put_member(&state, "previous_quantity", change.previous);
    put_member(&state, "new_quantity", change.resulting);
    put_token(&state, WJB_END_OBJECT);
    return put_end(&state, WJB_END_OBJECT);
}

Datum change_lines(FunctionCallInfo fcinfo) {
    static TupleDesc kept = nullptr;
    Order order{};
    PlainChange change{};
    if (!read_lines(fcinfo, &order) || !change_plainly(order, fcinfo->flinfo->fn_oid, &change)) {
        return call_internal(fcinfo, pg::wake_rows);
    }
    pg::wake_worker_at_commit(pg::wake_rows);
    Datum values[] = {Int64GetDatum(change.id), seats_of(order, change), BoolGetDatum(false)};
    bool nulls[] = {false, false, false};
    TupleDesc const type =
        row_type(&kept, {{"change", INT8OID}, {"seats", JSONBOID}, {"repeated", BOOLOID}});
    return HeapTupleGetDatum(heap_form_tuple(type, values, nulls));
}

}  // namespace
}  // namespace pg_seats

PG_SEATS_FUNCTION(pg_seats_add_seats) {
    return pg_seats::pg::guard(pg_seats::change_simply, fcinfo, &pg_seats::add);
}

PG_SEATS_FUNCTION(pg_seats_remove_seats) {
    return pg_seats::pg::guard(pg_seats::change_simply, fcinfo, &pg_seats::remove_some);
}

PG_SEATS_FUNCTION(pg_seats_set_seats) {
    return pg_seats::pg::guard(pg_seats::change_simply, fcinfo, &pg_seats::set);
}

PG_SEATS_FUNCTION(pg_seats_change_seats) {
    return pg_seats::pg::guard(pg_seats::change_lines, fcinfo);
}
