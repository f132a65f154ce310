// Calls have ended whose handlers can run: the worker is told at the commit.
#include "pg/error.hpp"
#include "pg/wake.hpp"

extern "C" {
#include "utils/array.h"
}

namespace pg_seats {
namespace {

// Raises, or has nothing to do, before anything is remembered.
void wake_for_handlers(FunctionCallInfo fcinfo) {
    ArrayType* const array = PG_GETARG_ARRAYTYPE_P(0);
    Datum* elements = nullptr;
    bool* nulls = nullptr;
    int count = 0;
    deconstruct_array(array, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &elements,
                      &nulls, &count);
    auto* const calls =
        static_cast<std::int64_t*>(palloc(sizeof(std::int64_t) * static_cast<std::size_t>(count)));
    int known = 0;
    for (int i = 0; i < count; ++i) {
        if (!nulls[i]) {
            calls[known++] = DatumGetInt64(elements[i]);
        }
    }
    if (known > 0) {
        pg::hand_over_at_commit(calls, known);
    }
}

}  // namespace
}  // namespace pg_seats

PG_SEATS_FUNCTION(pg_seats_wake_for_handlers) {
    pg_seats::pg::guard(pg_seats::wake_for_handlers, fcinfo);
    PG_RETURN_VOID();
}
