// Arguments of functions that SQL calls. To be called through guard(), as reading one may raise;
// what is given lives until the call ends.
#pragma once

#include "pg/error.hpp"

extern "C" {
#include "access/detoast.h"
#include "utils/fmgrprotos.h"
}

namespace pg_seats::pg {

// Of type text, or bytea.
inline std::string_view bytes_argument(FunctionCallInfo fcinfo, int number) {
    const struct varlena* value = PG_GETARG_VARLENA_PP(number);
    return {VARDATA_ANY(value), static_cast<std::size_t>(VARSIZE_ANY_EXHDR(value))};
}

inline std::string_view jsonb_argument(FunctionCallInfo fcinfo, int number) {
    return DatumGetCString(DirectFunctionCall1(jsonb_out, PG_GETARG_DATUM(number)));
}

// Uncompressed, with the header that it would have, and without reading it.
inline Size raw_size_of_argument(FunctionCallInfo fcinfo, int number) {
    return toast_raw_datum_size(PG_GETARG_DATUM(number));
}

}  // namespace pg_seats::pg
