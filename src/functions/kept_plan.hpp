// A statement of a C function, prepared at its first use and kept for the session.
//
// Raises; call it where no C++ object is alive that would have to be destroyed.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "executor/spi.h"
}

namespace pg_seats {

struct KeptPlan {
    const char* sql;
    SPIPlanPtr plan;
};

enum class Sees { newest, active_snapshot };

// A plan for all parameters alike, from the first use on: a plan made for the values at hand would
// be made again by each of the first five calls of a session.
inline uint64 run_kept(KeptPlan& kept, int count, const Oid* types, const Datum* values,
                       const char* nulls = nullptr, Sees sees = Sees::newest) {
    if (kept.plan == nullptr) {
        SPIPlanPtr made =
            SPI_prepare_cursor(kept.sql, count, const_cast<Oid*>(types), CURSOR_OPT_GENERIC_PLAN);
        if (made == nullptr || SPI_keepplan(made) != 0) {
            elog(ERROR, "could not prepare a statement of pg_seats: %s",
                 SPI_result_code_string(SPI_result));
        }
        kept.plan = made;
    }
    const int code = SPI_execute_plan(kept.plan, const_cast<Datum*>(values), nulls,
                                      sees == Sees::active_snapshot, 0);
    if (code < 0) {
        elog(ERROR, "could not run a statement of pg_seats: %s", SPI_result_code_string(code));
    }
    return SPI_processed;
}

}  // namespace pg_seats
