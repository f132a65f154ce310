// What is ready to be claimed: remembered in bounded memory, and chosen from it in turns. The
// database stays the truth: the freeze checks every row anew.
#pragma once

#include "engine/memory.hpp"

namespace pg_seats::engine {

// The rows to try now, at most `limit`: pops them off the ready lists, looks up the first rows of
// lanes, takes a token of its destination for each.
std::vector<Candidate> choose_candidates(Engine& engine, int limit);

// A candidate that was not taken after all (locked by somebody): looked at again a moment later.
void look_again(Engine& engine, const Candidate& candidate);

// `interrupted`: how often a worker ended while the row was on the wire.
void offer_row(Engine& engine, Destination& destination, std::int64_t id, int interrupted);
// A read that runs beside a lane, when nothing of the lane is on the wire.
void offer_read(Engine& engine, Destination& destination, std::int64_t id, std::int64_t lane_id,
                int interrupted);
// `id`: the row of the lane for whose sake it is looked at.
void offer_lane(Engine& engine, Destination& destination, std::int64_t lane_id, std::int64_t id);

// A lane's call was settled (or given up for now): its next row is looked up.
void release_lane(Engine& engine, Destination& destination, std::int64_t lane_id,
                  std::optional<std::int64_t> settled_id);

// A row that was on the wire twice when a worker ended is a suspect from then on.
constexpr int suspect_after = 2;

// The first suspect whose destination takes calls: it goes alone, before everybody else.
std::deque<Candidate>::iterator ready_suspect(Engine& engine);

// True if a claim could find something to do without being woken.
bool has_ready(Engine& engine, TimePoint now);

// When to look again without being woken.
std::optional<core::Duration> until_ready(Engine& engine, TimePoint now);

}  // namespace pg_seats::engine
