// Rows of what a function returns as a set.
#pragma once

#include "pg/postgres.hpp"

namespace pg_seats {

// Raises if the library and the SQL that declares the function are of two versions.
inline void put_row(FunctionCallInfo fcinfo, Datum* values, bool* nulls, int count) {
    auto* const result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
    if (result->setDesc->natts != count) {
        elog(ERROR, "pg_seats: the function has %d columns in SQL and %d in the library",
             result->setDesc->natts, count);
    }
    tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

}  // namespace pg_seats
