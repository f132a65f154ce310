// Which of what is ready goes next: destinations take turns, and so do rows, lanes and reads.
#pragma once

#include <span>

#include "engine/memory.hpp"

namespace pg_seats::engine {

// The rows to try now, at most `limit`: pops them off the ready lists, looks up the first rows of
// lanes, takes a token of its destination for each.
std::vector<Candidate> choose_candidates(Engine& engine, int limit);

// A lane whose call is settled in the transaction that is open: busy until it is committed.
struct GoingOn {
    std::int64_t lane_id;
    std::int64_t above;  // what is settled then
    Destination* destination;
    bool is_asked = false;              // its first row was looked up,
    std::optional<std::int64_t> row{};  // and this one is chosen
};

// What was chosen within the transaction of a settlement, and can be given back if that fails:
// what lanes have shown there may not be so.
struct ChosenBeside {
    std::vector<Candidate> candidates;
    std::vector<std::pair<std::int64_t, Destination*>> without_row;  // lanes
};

// The same where the answers of other calls were settled just before, in the same transaction.
// Their lanes, `going_on`, come last, where nothing else waits for their destination.
ChosenBeside choose_beside(Engine& engine, int limit, std::span<GoingOn> going_on);

// Undoes it: everything is ready as it was before.
void give_back(Engine& engine, const ChosenBeside& chosen);

// The first suspect whose destination takes calls: it goes alone, before everybody else.
std::deque<Candidate>::iterator ready_suspect(Engine& engine);

// True if a claim could find something to do without being woken.
bool has_ready(Engine& engine, TimePoint now);

// When to look again without being woken.
std::optional<core::Duration> until_ready(Engine& engine, TimePoint now);

}  // namespace pg_seats::engine
