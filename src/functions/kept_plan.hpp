// A statement of a C function, prepared at its first use and kept for the session.
//
// Raises; call it where no C++ object is alive that would have to be destroyed.
#pragma once

#include "pg/identity_switch.hpp"

extern "C" {
#include "catalog/namespace.h"
#include "executor/spi.h"
}

namespace pg_seats {

enum class Finds { as_planned, by_index };

struct KeptPlan {
    const char* sql;
    SPIPlanPtr plan;
    // Planned to go through indexes, whatever the statistics say at that moment: the plan is kept.
    Finds finds = Finds::as_planned;
};

enum class Sees { newest, active_snapshot };

// A plan for all parameters alike, from the first use on: a plan made for the values at hand would
// be made again by each of the first five calls of a session.
inline uint64 run_kept(KeptPlan& kept, int count, const Oid* types, const Datum* values,
                       const char* nulls = nullptr, Sees sees = Sees::newest) {
    const bool is_new = kept.plan == nullptr;
    if (is_new) {
        SPIPlanPtr made =
            SPI_prepare_cursor(kept.sql, count, const_cast<Oid*>(types), CURSOR_OPT_GENERIC_PLAN);
        if (made == nullptr || SPI_keepplan(made) != 0) {
            elog(ERROR, "could not prepare a statement of pg_seats: %s",
                 SPI_result_code_string(SPI_result));
        }
        kept.plan = made;
    }
    // (Else the plan of the last time is taken.)
    const bool plans = kept.finds == Finds::by_index && (is_new || !SPI_plan_is_valid(kept.plan));
    const int level = plans ? pg::prefer_indexes() : 0;
    const int code = SPI_execute_plan(kept.plan, const_cast<Datum*>(values), nulls,
                                      sees == Sees::active_snapshot, 0);
    if (plans) {
        AtEOXact_GUC(true, level);
    }
    if (code < 0) {
        elog(ERROR, "could not run a statement of pg_seats: %s", SPI_result_code_string(code));
    }
    return SPI_processed;
}

// The first column of the first row of what it has returned; it is not null.
inline Datum first_value() {
    bool is_null = false;
    return SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null);
}

// A plan is made anew where the search_path is another one than when it was made, though nothing in
// ours depends on that. A session that has several (functions that set their own, say) would plan
// all of them with each change. To pin it costs, too: only such sessions pay for that.
inline bool has_one_search_path() {
    static char* first = nullptr;
    static bool is_only_one = true;
    if (first == nullptr) {
        first = MemoryContextStrdup(TopMemoryContext, namespace_search_path);
    }
    is_only_one = is_only_one && strcmp(first, namespace_search_path) == 0;
    return is_only_one;
}

// Around statements of a function that mostly needs none.
inline int begin_statements() {
    const int level = has_one_search_path() ? 0 : pg::pin_search_path();
    if (SPI_connect() != SPI_OK_CONNECT) {
        elog(ERROR, "could not connect to SPI");
    }
    return level;
}

inline void end_statements(int level) {
    SPI_finish();
    if (level != 0) {
        AtEOXact_GUC(true, level);
    }
}

}  // namespace pg_seats
