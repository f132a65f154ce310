// What is ready to be claimed, remembered in bounded memory. The database stays the truth: the
// freeze checks every row anew.
#pragma once

#include "engine/memory.hpp"

namespace pg_seats::engine {

// A candidate that was not taken after all (locked by somebody): looked at again a moment later.
void look_again(Engine& engine, const Candidate& candidate);

// `interrupted`: how often a worker ended while the row was on the wire.
void offer_row(Engine& engine, Destination& destination, std::int64_t id, int interrupted);
// A read that runs beside a lane, when nothing of the lane is on the wire.
void offer_read(Engine& engine, Destination& destination, std::int64_t id, std::int64_t lane_id,
                int interrupted);
// `id`: the row of the lane for whose sake it is looked at.
void offer_lane(Engine& engine, Destination& destination, std::int64_t lane_id, std::int64_t id);

// Nothing of it is on the wire any more; what waited for that goes on.
void free_lane(Engine& engine, Destination& destination, std::int64_t lane_id);

// A lane's call was settled (or given up for now): its next row is looked up.
void release_lane(Engine& engine, Destination& destination, std::int64_t lane_id,
                  std::optional<std::int64_t> settled_id);

// A row that was on the wire twice when a worker ended is a suspect from then on.
constexpr int suspect_after = 2;

// There is more in the table for this destination, above that id, than the lists can hold.
void missed(Destination& destination, std::int64_t above);

// It misses something, and has room for it.
bool wants_backlog(const Engine& engine, const Destination& destination);

}  // namespace pg_seats::engine
