// The server's time, which counts microseconds since 2000, also as Unix counts: seconds since 1970.
#pragma once

#include "pg/postgres.hpp"

namespace pg_seats::pg {

inline TimestampTz now() {
    return GetCurrentTimestamp();
}

inline std::int64_t unix_seconds(TimestampTz moment) {
    return moment / USECS_PER_SEC +
           static_cast<std::int64_t>(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY;
}

}  // namespace pg_seats::pg
