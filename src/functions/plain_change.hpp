// A change of seats with nothing special about it, for the doors that make changes
// (change_doors.cpp).
#pragma once

#include "functions/seat_rows.hpp"

extern "C" {
#include "utils/uuid.h"
}

namespace pg_seats {

// What is asked for. Values are those of the call's arguments, and texts where it is not said.
struct Order {
    const char* function;  // in schema seats
    Datum team, seat_type, actor;
    NullableDatum request_key;
    NullableDatum expected;  // integer: the quantity that the caller has seen
    bool is_set;             // else added
    std::int64_t asked;
};

struct PlainChange {
    TeamRow team;
    LineRow line;
    pg_uuid_t installation;
    std::int64_t id, previous, resulting;
};

// False: nothing was written, and nothing is locked but the lane of the team. Then the function
// behind the door does all of it, or says what is wrong. `door` is the function that was called;
// its owner is the extension's. Raises, and holds no C++ objects.
bool change_plainly(const Order& order, Oid door, PlainChange* change);

}  // namespace pg_seats
