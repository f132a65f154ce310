// A row of a table of our own is written without a statement: by what a statement's executor does
// in the end. All that it does before (a plan is looked up, locked, made nodes and expressions of,
// and these are taken down again) costs three times what the row costs, and it is on every
// application's path.
//
// Only where a statement would do the same: what somebody has added to the table (a trigger, a
// rule, a policy, a check …) is a statement's to run. Then nothing is written, these return false,
// and their caller runs one. So it is for a transaction that may not write, whose error has its
// words there.
//
// These raise and hold no C++ objects: they are called below a guard. They need no privilege. What
// they have written is seen by whatever comes next in the transaction.
#pragma once

#include "functions/kept_plan.hpp"

namespace pg_seats {

struct NewValue {
    const char* column;
    Datum value;
};

// The row gets these values. It is as the caller has found it, with its place; false, too, if it is
// not the newest any more, or nobody can say yet: the statement finds the newest, or raises that it
// cannot, as the transaction's isolation wants it.
bool change_row(const char* table, HeapTuple row, std::span<const NewValue> changes);

struct GivenColumn {
    const char* name;
    Oid type;
};

// How rows are added to a table; what is looked up for that is kept for the session, until
// something of the table changes.
struct RowWriter {
    const char* table;
    std::span<const GivenColumn> columns;
    KeptPlan statement;  // does the same, with a value for each of these
    struct PreparedRows* prepared = nullptr;
    bool is_registered = false;
    bool is_stale = false;
    // A function in a default, or in an index, may call for a row itself: that is a statement's.
    bool is_busy = false;
};

// A row with these values in these columns; in the others are their defaults. `id`: what has become
// of its column of that name, if it is not null.
bool add_row(RowWriter& writer, const NullableDatum* values, std::int64_t* id);

}  // namespace pg_seats
