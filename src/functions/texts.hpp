// Values of type text, as C++ has them. These raise and hold no C++ objects.
#pragma once

#include "pg/postgres.hpp"

namespace pg_seats {

// Lives as long as the value, or the memory context of the call.
inline std::string_view text_view(Datum datum) {
    const text* value = DatumGetTextPP(datum);
    return {VARDATA_ANY(value), static_cast<std::size_t>(VARSIZE_ANY_EXHDR(value))};
}

inline Datum text_datum(std::string_view value) {
    return PointerGetDatum(cstring_to_text_with_len(value.data(), static_cast<int>(value.size())));
}

}  // namespace pg_seats
