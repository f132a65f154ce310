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
    std::unordered_map<std::int64_t, GoingOn*> going_on;            // those that are busy still
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

// One of each destination after the other, and each time another one begins. Gives what is left of
// the limit.
int choose_in_turns(Engine& engine, int limit, TimePoint now, Chosen& chosen) {
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
    return limit;
}

void choose_going_on(Engine& engine, int limit, TimePoint now, std::span<GoingOn> lanes,
                     Chosen& chosen) {
    for (GoingOn& lane : lanes) {
        Destination& destination = *lane.destination;
        if (limit > 0 && destination.ready() == 0 && destination.takes_calls() &&
            room_for(engine, destination) > 0 && destination.bucket.take(now)) {
            ++destination.chosen;
            --limit;
            lane.is_asked = true;
            chosen.lanes.push_back(lane.lane_id);
            chosen.above.push_back(lane.above);
            chosen.going_on[lane.lane_id] = &lane;
        }
    }
}

void forget_room(Engine& engine) {
    for (auto& [name, destination] : engine.destinations) {
        destination.chosen = 0;
    }
}

void offer_again(Engine& engine, const Candidate& candidate) {
    Destination& destination = *candidate.destination;
    if (candidate.lane_id != 0) {
        free_lane(engine, destination, candidate.lane_id);
        engine.lanes[candidate.lane_id].queued = true;
        destination.ready_lanes.push_front(candidate.lane_id);
    } else if (candidate.beside_lane_id != 0) {
        free_lane(engine, destination, candidate.beside_lane_id);
        destination.ready_reads.emplace_front(candidate.id, candidate.beside_lane_id);
    } else {
        destination.ready_rows.push_front(candidate.id);
    }
}

pg::Rows heads_of(Engine& engine, const Chosen& chosen, pg::Statement::Sees sees) {
    try {
        return find_lane_heads(engine, chosen.lanes, chosen.above, sees);
    } catch (...) {
        // Popped and not yet candidates: nobody else would remember these lanes.
        for (const auto& [lane, destination] : chosen.destination_of) {
            free_lane(engine, *destination, lane);
            destination->ready_lanes.push_back(lane);
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
}

// (Of a lane that goes on nothing is remembered here: should its settlement fail, it is as it was.)
void take_going_on(GoingOn& lane, Candidate head, bool is_suspect, Chosen& chosen) {
    if (is_suspect) {
        lane.is_asked = false;  // it goes alone, when its lane is free
        lane.destination->bucket.give_back();
        return;
    }
    lane.row = head.id;
    head.goes_on = true;
    head.destination = lane.destination;
    chosen.candidates.push_back(head);
}

ChosenBeside take_heads(Engine& engine, Chosen& chosen, pg::Statement::Sees sees) {
    if (chosen.lanes.empty()) {
        return {std::move(chosen.candidates), {}};
    }
    const pg::Rows heads = heads_of(engine, chosen, sees);
    for (std::size_t row = 0; row < heads.size(); ++row) {
        const std::int64_t lane_id = heads.bigint(row, 1);
        Candidate head{heads.bigint(row, 2), lane_id, nullptr};
        head.may_be_held = heads.boolean(row, 4);
        head.is_to_be_planned = heads.boolean(row, 5);
        const bool is_suspect = heads.integer(row, 3) >= suspect_after;
        if (const auto lane = chosen.going_on.find(lane_id); lane != chosen.going_on.end()) {
            take_going_on(*lane->second, head, is_suspect, chosen);
            continue;
        }
        LaneMemory& lane = engine.lanes[lane_id];
        lane.queued = false;
        head.destination = chosen.destination_of[lane_id];
        chosen.destination_of.erase(lane_id);
        if (is_suspect) {
            head.is_suspect = true;
            engine.suspects.push_back(head);
            head.destination->bucket.give_back();
        } else {
            chosen.candidates.push_back(head);
        }
    }
    ChosenBeside found{std::move(chosen.candidates), {}};
    // Empty, paused or blocked. Whatever changes that makes one of its rows an arrival.
    for (const auto& [lane_id, destination] : chosen.destination_of) {
        destination->bucket.give_back();
        free_lane(engine, *destination, lane_id);
        engine.lanes[lane_id].queued = false;
        found.without_row.emplace_back(lane_id, destination);
    }
    for (const auto& [lane_id, lane] : chosen.going_on) {
        if (lane->is_asked && !lane->row) {
            lane->destination->bucket.give_back();
        }
    }
    return found;
}

}  // namespace

std::vector<Candidate> choose_candidates(Engine& engine, int limit) {
    Chosen chosen;
    (void)choose_in_turns(engine, limit, steady_now(), chosen);
    forget_room(engine);
    return take_heads(engine, chosen, pg::Statement::Sees::transaction_snapshot).candidates;
}

ChosenBeside choose_beside(Engine& engine, int limit, std::span<GoingOn> going_on) {
    const TimePoint now = steady_now();
    Chosen chosen;
    limit = choose_in_turns(engine, limit, now, chosen);
    choose_going_on(engine, limit, now, going_on, chosen);
    forget_room(engine);
    return take_heads(engine, chosen, pg::Statement::Sees::fresh);
}

void give_back(Engine& engine, const ChosenBeside& chosen) {
    for (auto candidate = chosen.candidates.rbegin(); candidate != chosen.candidates.rend();
         ++candidate) {
        candidate->destination->bucket.give_back();
        if (!candidate->goes_on) {
            offer_again(engine, *candidate);
        }
    }
    for (const auto& [lane_id, destination] : chosen.without_row) {
        if (LaneMemory& lane = engine.lanes[lane_id]; !lane.busy && !lane.queued) {
            lane.queued = true;
            destination->ready_lanes.push_back(lane_id);
        }
    }
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
