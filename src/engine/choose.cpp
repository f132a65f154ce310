#include "engine/choose.hpp"

#include <algorithm>

#include "engine/find.hpp"
#include "engine/ready.hpp"

#include "pg/settings.hpp"
#include "pg/time.hpp"

namespace pg_seats::engine {
namespace {

// How much more of what may be on the wire a destination may take. Half of the whole is kept free
// in equal parts for those that take calls, so that nobody who hangs holds up the others, and
// nobody who is alone goes without the rest.
int room_for(const Engine& engine, const Destination& destination) {
    const auto takers = static_cast<int>(std::ranges::count_if(
        engine.destinations, [](const auto& entry) { return entry.second.takes_calls(); }));
    const int part = pg::settings.max_in_flight / (2 * std::max(takers, 1));
    int room = pg::settings.max_in_flight - engine.calls_under_way();
    for (const auto& [name, other] : engine.destinations) {
        room -= other.chosen;
        if (&other != &destination && other.takes_calls()) {
            room -= std::max(part - other.in_flight - other.chosen, 0);
        }
    }
    return room;
}

bool may_choose(Engine& engine, const Destination& destination) {
    return destination.ready() > 0 && destination.takes_calls() &&
           room_for(engine, destination) > 0;
}

struct Chosen {
    std::vector<Candidate> candidates;  // rows, and reads beside a lane
    std::vector<std::int64_t> lanes, above;
    std::unordered_map<std::int64_t, Destination*> destination_of;  // of the lanes
};

// Rows without a lane, lanes, and reads take turns, so that none starves another. A lane that
// overtakes its own read asks for its base first (when it is planned). False: not to be sent now.
bool choose_one(Engine& engine, Destination& destination, Chosen& chosen) {
    const std::size_t waiting[] = {destination.ready_rows.size(), destination.ready_lanes.size(),
                                   destination.ready_reads.size()};
    do {
        destination.turn = (destination.turn + 1) % std::size(waiting);
    } while (waiting[destination.turn] == 0);
    if (destination.turn == 0) {
        chosen.candidates.push_back({destination.ready_rows.front(), 0, &destination});
        destination.ready_rows.pop_front();
        return true;
    }
    if (destination.turn == 1) {
        const std::int64_t lane_id = destination.ready_lanes.front();
        destination.ready_lanes.pop_front();
        LaneMemory& lane = engine.lanes[lane_id];
        if (lane.busy) {  // by a read; it is queued again when that is back
            lane.queued = false;
            return false;
        }
        lane.busy = true;
        chosen.lanes.push_back(lane_id);
        chosen.above.push_back(lane.above);
        chosen.destination_of[lane_id] = &destination;
        return true;
    }
    const auto [read, lane_id] = destination.ready_reads.front();
    destination.ready_reads.pop_front();
    LaneMemory& lane = engine.lanes[lane_id];
    if (lane.busy) {
        lane.reads.push_back(read);
        return false;
    }
    lane.busy = true;
    chosen.candidates.push_back({read, 0, &destination, false, lane_id});
    return true;
}

// One of each destination after the other, and each time another one begins.
void choose_in_turns(Engine& engine, int limit, TimePoint now, Chosen& chosen) {
    std::vector<Destination*> turns;
    for (auto& [name, destination] : engine.destinations) {
        destination.chosen = 0;
        turns.push_back(&destination);
    }
    std::ranges::rotate(
        turns, turns.begin() +
                   static_cast<std::ptrdiff_t>(turns.empty() ? 0 : engine.turn++ % turns.size()));
    while (limit > 0 && !turns.empty()) {
        std::erase_if(turns, [&](Destination* destination) {
            if (limit == 0 || !may_choose(engine, *destination) || !destination->bucket.take(now)) {
                return true;
            }
            if (choose_one(engine, *destination, chosen)) {
                ++destination->chosen;
                --limit;
            } else {
                destination->bucket.give_back();
            }
            return false;
        });
    }
    for (auto& [name, destination] : engine.destinations) {
        destination.chosen = 0;
    }
}

}  // namespace

std::vector<Candidate> choose_candidates(Engine& engine, int limit) {
    const TimePoint now = steady_now();
    Chosen chosen;
    choose_in_turns(engine, limit, now, chosen);
    if (chosen.lanes.empty()) {
        return std::move(chosen.candidates);
    }
    const pg::Rows heads = [&] {
        try {
            return find_lane_heads(engine, chosen.lanes, chosen.above);
        } catch (...) {
            // Popped and not yet candidates: nobody else would remember these lanes.
            for (const std::int64_t lane : chosen.lanes) {
                free_lane(engine, *chosen.destination_of[lane], lane);
                chosen.destination_of[lane]->ready_lanes.push_back(lane);
            }
            for (const Candidate& candidate : chosen.candidates) {
                if (candidate.beside_lane_id != 0) {
                    look_again(engine, candidate);
                } else {
                    offer_row(engine, *candidate.destination, candidate.id, 0);
                }
            }
            throw;
        }
    }();
    for (std::size_t row = 0; row < heads.size(); ++row) {
        const std::int64_t lane_id = heads.bigint(row, 1);
        LaneMemory& lane = engine.lanes[lane_id];
        lane.queued = false;
        Destination* destination = chosen.destination_of[lane_id];
        chosen.destination_of.erase(lane_id);
        Candidate head{heads.bigint(row, 2), lane_id, destination};
        head.may_be_held = heads.boolean(row, 4);
        head.is_to_be_planned = heads.boolean(row, 5);
        if (heads.integer(row, 3) >= suspect_after) {
            head.is_suspect = true;
            engine.suspects.push_back(head);
            destination->bucket.give_back();
        } else {
            chosen.candidates.push_back(head);
        }
    }
    // Empty, paused or blocked. Whatever changes that makes one of its rows an arrival.
    for (const auto& [lane_id, destination] : chosen.destination_of) {
        destination->bucket.give_back();
        free_lane(engine, *destination, lane_id);
        engine.lanes[lane_id].queued = false;
    }
    return std::move(chosen.candidates);
}

std::deque<Candidate>::iterator ready_suspect(Engine& engine) {
    return std::ranges::find_if(engine.suspects, [&engine](const Candidate& candidate) {
        return candidate.destination->takes_calls() &&
               (candidate.beside_lane_id == 0 || !engine.lanes[candidate.beside_lane_id].busy);
    });
}

bool has_ready(Engine& engine, TimePoint now) {
    if (ready_suspect(engine) != engine.suspects.end()) {
        return true;
    }
    return std::ranges::any_of(engine.destinations, [&engine, now](auto& entry) {
        Destination& destination = entry.second;
        return engine.reading_backlog || wants_backlog(engine, destination) ||
               (may_choose(engine, destination) &&
                destination.bucket.until_token(now) <= core::Duration{0});
    });
}

std::optional<core::Duration> until_ready(Engine& engine, TimePoint now) {
    std::optional<core::Duration> until;
    const auto consider = [&until](core::Duration duration) {
        until = std::min(until.value_or(duration), std::max(duration, core::Duration{0}));
    };
    if (!engine.second_looks.empty()) {
        consider(std::chrono::ceil<core::Duration>(engine.second_looks.front().at - now));
    }
    if (engine.next_due != 0 && engine.next_due != DT_NOEND) {
        consider(core::Duration{(engine.next_due - pg::now()) / 1000 + 1});
    }
    if (ready_suspect(engine) != engine.suspects.end()) {
        consider(core::Duration{0});
    }
    for (auto& [name, destination] : engine.destinations) {
        if (engine.reading_backlog || wants_backlog(engine, destination)) {
            consider(core::Duration{0});
        }
        if (may_choose(engine, destination)) {
            consider(destination.bucket.until_token(now));
        }
    }
    return until;
}

}  // namespace pg_seats::engine
