#include "engine/ready.hpp"

#include <algorithm>

namespace pg_seats::engine {
namespace {

LaneMemory& lane_of(Engine& engine, std::int64_t lane_id) {
    if (engine.lanes.size() > most_lanes) {
        std::erase_if(engine.lanes, [](const auto& entry) { return entry.second.is_idle(); });
    }
    return engine.lanes[lane_id];
}

}  // namespace

bool wants_backlog(const Engine& engine, const Destination& destination) {
    return destination.missed_above && destination.takes_calls() &&
           destination.ready() < most_ready / 2 && engine.second_looks.size() < most_ready;
}

void missed(Destination& destination, std::int64_t above) {
    destination.missed_above = std::min(destination.missed_above.value_or(above), above);
}

void free_lane(Engine& engine, Destination& destination, std::int64_t lane_id) {
    LaneMemory& lane = engine.lanes[lane_id];
    lane.busy = false;
    for (const std::int64_t read : std::exchange(lane.reads, {})) {
        destination.ready_reads.emplace_back(read, lane_id);
    }
}

void offer_row(Engine& engine, Destination& destination, std::int64_t id, int interrupted) {
    if (destination.ready() >= most_ready) {
        missed(destination, id - 1);
    } else if (interrupted >= suspect_after) {
        engine.suspects.push_back({id, 0, &destination, true});
    } else {
        destination.ready_rows.push_back(id);
    }
}

void offer_read(Engine& engine, Destination& destination, std::int64_t id, std::int64_t lane_id,
                int interrupted) {
    if (destination.ready() >= most_ready) {
        missed(destination, id - 1);
    } else if (interrupted >= suspect_after) {
        engine.suspects.push_back({id, 0, &destination, true, lane_id});
    } else if (LaneMemory& lane = lane_of(engine, lane_id); lane.busy) {
        lane.reads.push_back(id);
    } else {
        destination.ready_reads.emplace_back(id, lane_id);
    }
}

void offer_lane(Engine& engine, Destination& destination, std::int64_t lane_id, std::int64_t id) {
    LaneMemory& lane = lane_of(engine, lane_id);
    if (id <= lane.above) {
        // Ids that went back: a sequence was set, or rows were restored.
        lane.above = id - 1;
        lane.lowered = lane.busy;
    }
    if (lane.busy || lane.queued) {
        return;  // its next row is looked up when the lane is released
    }
    if (destination.ready() >= most_ready) {
        missed(destination, id - 1);
        return;
    }
    lane.queued = true;
    destination.ready_lanes.push_back(lane_id);
}

void release_lane(Engine& engine, Destination& destination, std::int64_t lane_id,
                  std::optional<std::int64_t> settled_id) {
    if (lane_id == 0) {
        return;
    }
    free_lane(engine, destination, lane_id);
    LaneMemory& lane = engine.lanes[lane_id];
    if (settled_id && !lane.lowered) {
        lane.above = *settled_id;
    }
    lane.lowered = false;
    if (!lane.queued) {
        lane.queued = true;
        destination.ready_lanes.push_back(lane_id);
    }
}

void look_again(Engine& engine, const Candidate& candidate) {
    if (candidate.lane_id != 0) {
        free_lane(engine, *candidate.destination, candidate.lane_id);
    } else if (candidate.beside_lane_id != 0) {
        release_lane(engine, *candidate.destination, candidate.beside_lane_id, std::nullopt);
    }
    engine.second_looks.push_back({steady_now() + core::Duration{250}, candidate});
}

}  // namespace pg_seats::engine
