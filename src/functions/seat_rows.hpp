// What a change of seats depends on: rows of team, member, seat_line, seat_type and request_key,
// read as setup_rows.hpp reads the tables of setting up, for the same reason, but through their
// indexes and with a snapshot of their caller's.
//
// These raise and hold no C++ objects: they are called below a guard. They need no privilege. Texts
// live in the memory context of the call.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "utils/snapshot.h"
}

namespace pg_seats {

// `tuple`: the row itself, for whoever writes its next version (own_rows.hpp).
struct LaneRow {
    std::int64_t id, version;
    HeapTuple tuple;
};

struct TeamRow {
    std::int64_t id, lane_id;
    Datum destination;  // text
    const char* subscription;
    bool is_open;  // its seats are known, and can be changed
    bool has_count_problem;
};

// Of a team's seats of a type. Where there is no bound, the largest number stands.
struct LineRow {
    std::int64_t quantity, confirmed, missing;
    bool is_held;
    std::int64_t largest_change, largest_total, largest_unconfirmed;
    HeapTuple tuple;
};

bool find_lane(Snapshot snapshot, std::int64_t id, LaneRow* row);

bool find_lane_by_name(Snapshot snapshot, Datum destination, Datum name, LaneRow* row);

bool find_team(Snapshot snapshot, Datum name, TeamRow* row);

bool is_active_owner(Snapshot snapshot, std::int64_t team_id, Datum user_id);

// False where the team never had seats of that type.
bool find_line(Snapshot snapshot, std::int64_t team_id, Datum seat_type, LineRow* row);

// Whether this function has answered to that key before.
bool is_known_request(Snapshot snapshot, std::int64_t team_id, const char* function, Datum key);

}  // namespace pg_seats
