// What the SQL of setting up and of grants needs from C++: the timeline, the checks of URLs and
// paths that stand between a table's text and a request.
#include "core/form.hpp"

#include "pg/arguments.hpp"
#include "pg/error.hpp"

extern "C" {
#include "access/xlog.h"
}

namespace {

using pg_seats::pg::bytes_argument;
using pg_seats::pg::guard;
using pg_seats::pg::SqlError;

// Documented in docs/errors.md.
constexpr int sqlstate_invalid_url = MAKE_SQLSTATE('P', 'S', '0', '0', '5');
constexpr int sqlstate_in_recovery = MAKE_SQLSTATE('P', 'S', '0', '0', '9');
constexpr int sqlstate_invalid_parameters = MAKE_SQLSTATE('P', 'S', '1', '0', '5');
constexpr int sqlstate_invalid_path = MAKE_SQLSTATE('P', 'S', '2', '0', '2');

// Raising, without C++ objects: called through guard().
Datum text_result(const char* data, std::size_t size) {
    return PointerGetDatum(cstring_to_text_with_len(data, static_cast<int>(size)));
}

std::string first_argument(FunctionCallInfo fcinfo) {
    return std::string(guard(bytes_argument, fcinfo, 0));
}

Datum returned(const std::string& value) {
    return guard(text_result, value.data(), value.size());
}

// Runs a check of core's, whose complaint becomes an error with its hint.
template <class Check>
void checked(int sqlstate, Check&& check) {
    try {
        check();
    } catch (const pg_seats::core::InvalidInput& invalid) {
        throw SqlError(sqlstate, invalid.message, {}, invalid.hint);
    }
}

}  // namespace

// seats_internal.current_timeline() returns integer
PG_SEATS_FUNCTION(pg_seats_current_timeline) {
    if (RecoveryInProgress()) {
        throw SqlError(sqlstate_in_recovery, "this server is a standby, or still recovering",
                       "The timeline on which it will write is not decided yet.",
                       "Run this on the primary.");
    }
    return Int32GetDatum(static_cast<std::int32_t>(pg_seats::pg::current_timeline()));
}

// seats_internal.checked_base_url(text) returns text: as it is to be stored
PG_SEATS_FUNCTION(pg_seats_checked_base_url) {
    const std::string url = first_argument(fcinfo);
    std::string result;
    checked(sqlstate_invalid_url, [&] { result = pg_seats::core::checked_base_url(url); });
    return returned(result);
}

// seats_internal.fold_step(total, confirmed, operation, quantity) returns integer: `set` counts
// from anew, `add` from the total so far, which begins with what is confirmed. In C because it is
// called for every open change of a team whenever the team is folded.
PG_SEATS_FUNCTION(pg_seats_fold_step) {
    if (PG_ARGISNULL(2) || PG_ARGISNULL(3)) {
        throw SqlError(ERRCODE_NULL_VALUE_NOT_ALLOWED, "a change has an operation and a quantity");
    }
    const std::string_view operation = guard(bytes_argument, fcinfo, 2);
    const std::int64_t quantity = PG_GETARG_INT32(3);
    if (operation == "set") {
        return Int32GetDatum(static_cast<std::int32_t>(quantity));
    }
    const int base = PG_ARGISNULL(0) ? 1 : 0;
    const std::int64_t total = (PG_ARGISNULL(base) ? 0 : PG_GETARG_INT32(base)) + quantity;
    if (total > INT32_MAX || total < INT32_MIN) {
        throw SqlError(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, "so many seats cannot be counted");
    }
    return Int32GetDatum(static_cast<std::int32_t>(total));
}

// seats_internal.encoded_form(jsonb) returns text: parameters as Stripe wants them
PG_SEATS_FUNCTION(pg_seats_encoded_form) {
    const std::string_view json = guard(pg_seats::pg::jsonb_argument, fcinfo, 0);
    std::string result;
    checked(sqlstate_invalid_parameters, [&] { result = pg_seats::core::encode_form(json); });
    return returned(result);
}

// seats_internal.checked_path(text) returns text: the same, or an error
PG_SEATS_FUNCTION(pg_seats_checked_path) {
    const std::string path = first_argument(fcinfo);
    checked(sqlstate_invalid_path, [&] { pg_seats::core::check_path(path); });
    return returned(path);
}

// seats_internal.checked_path_pattern(text) returns text: the same, or an error
PG_SEATS_FUNCTION(pg_seats_checked_path_pattern) {
    const std::string pattern = first_argument(fcinfo);
    checked(sqlstate_invalid_path, [&] { pg_seats::core::check_path_pattern(pattern); });
    return returned(pattern);
}
