// A jsonb is put together, member by member. These raise and hold no C++ objects.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
}

namespace pg_seats {

using JsonbState = JsonbParseState*;

inline void put_token(JsonbState* state, JsonbIteratorToken token) {
    pushJsonbValue(state, token, nullptr);
}

inline void put_string(JsonbState* state, JsonbIteratorToken token, std::string_view text) {
    JsonbValue value{};
    value.type = jbvString;
    value.val.string.val = const_cast<char*>(text.data());
    value.val.string.len = static_cast<int>(text.size());
    pushJsonbValue(state, token, &value);
}

inline void put_member(JsonbState* state, const char* key, std::string_view text) {
    put_string(state, WJB_KEY, key);
    put_string(state, WJB_VALUE, text);
}

inline void put_member(JsonbState* state, const char* key, std::int64_t number) {
    put_string(state, WJB_KEY, key);
    JsonbValue value{};
    value.type = jbvNumeric;
    value.val.numeric = int64_to_numeric(number);
    pushJsonbValue(state, WJB_VALUE, &value);
}

// Ends the outermost object or array.
inline Datum put_end(JsonbState* state, JsonbIteratorToken token) {
    return JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(state, token, nullptr)));
}

}  // namespace pg_seats
