// seats.call_answer(): what Stripe answered, as far as it was kept.
#include "core/parsed_body.hpp"

#include "functions/call_state.hpp"
#include "pg/error.hpp"

namespace {

using namespace pg_seats;

struct Answer {
    const char* data;  // nullptr: there is none
    std::size_t size;
};

Answer read_answer(FunctionCallInfo fcinfo) {
    if (PG_ARGISNULL(0)) {
        return {nullptr, 0};
    }
    CallState state;
    const bytea* answer = look_up_answer(PG_GETARG_INT64(0), fcinfo->flinfo->fn_oid, &state);
    if (!state.found) {
        raise_no_such_call(PG_GETARG_INT64(0));
    }
    if (answer == nullptr) {
        return {nullptr, 0};
    }
    return {VARDATA_ANY(answer), static_cast<std::size_t>(VARSIZE_ANY_EXHDR(answer))};
}

Datum as_text(const char* data, std::size_t size) {
    return PointerGetDatum(cstring_to_text_with_len(data, static_cast<int>(size)));
}

}  // namespace

PG_SEATS_FUNCTION(pg_seats_call_answer) {
    const Answer answer = pg::guard(read_answer, fcinfo);
    // The bytes are stored as they came: a proxy's page or an answer cut short is no JSON.
    if (answer.data == nullptr || !core::is_json({answer.data, answer.size})) {
        PG_RETURN_NULL();
    }
    return pg::guard(as_text, answer.data, answer.size);
}
