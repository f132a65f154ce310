#include "engine/ready.hpp"

#include <algorithm>

#include "pg/log.hpp"
#include "pg/settings.hpp"
#include "pg/sql.hpp"

namespace pg_seats::engine {
namespace {

using pg::Rows;
using pg::Statement;

// More arrivals at once than this are not listed one by one; the table is read by id instead.
constexpr int most_arrivals = 20'000;
constexpr int backlog_chunk = 2'000;
// So many are read within one transaction, whose memory they take until its end.
constexpr int most_chunks_per_claim = 5;

// No statement here reads an index from its head, where dead entries gather while an old snapshot
// is held: each has a lower bound that has moved on since the last time.

Statement snapshot_statement{"SELECT pg_catalog.pg_current_snapshot()::text"};

// The upper bound keeps out rows that were restored from another cluster, whose transaction numbers
// may lie in our future.
#define READY_COLUMNS "o.id, o.lane_id, o.destination, o.interrupted, o.due_at, o.beside_lane_id"
#define OPEN_CONDITION \
    "o.state IN ('pending', 'waiting', 'verifying', 'awaiting') AND o.installation = $2::uuid"

Statement arrivals_statement{
    "SELECT " READY_COLUMNS
    "  FROM seats_internal.outbox AS o"
    " WHERE o.eligible_xid = ANY (ARRAY(SELECT pg_catalog.pg_snapshot_xip($1::pg_snapshot)))"
    "   AND " OPEN_CONDITION
    " UNION ALL "
    "SELECT " READY_COLUMNS
    "  FROM seats_internal.outbox AS o"
    " WHERE o.eligible_xid >= pg_catalog.pg_snapshot_xmax($1::pg_snapshot)"
    "   AND o.eligible_xid < pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())"
    "   AND " OPEN_CONDITION};

Statement due_statement{"SELECT " READY_COLUMNS
                        "  FROM seats_internal.outbox AS o"
                        " WHERE o.due_at > $1 AND o.due_at <= $3 AND " OPEN_CONDITION};

Statement next_due_statement{
    "SELECT o.due_at FROM seats_internal.outbox AS o"
    " WHERE o.due_at > $1 ORDER BY o.due_at LIMIT 1"};

Statement backlog_statement{
    "SELECT " READY_COLUMNS ", " OPEN_CONDITION
    "  FROM seats_internal.outbox AS o WHERE o.id > $1 ORDER BY o.id LIMIT $3"};

// A delivery is no suspect: alone on the wire, one to a receiver that hangs would hold up
// everybody. (The lane is named by its bounds: with an equality, the order by id alone would do,
// and that is the primary key's, which reads the rows of all other lanes.)
Statement lane_heads_statement{
    "SELECT wanted.lane_id, head.id, head.interrupted"
    "  FROM unnest($1::bigint[], $3::bigint[]) AS wanted (lane_id, above)"
    " CROSS JOIN LATERAL (SELECT FROM seats_internal.lane"
    "         WHERE lane.id = wanted.lane_id AND lane.paused_at IS NULL LIMIT 1) AS lane"
    " CROSS JOIN LATERAL (SELECT o.id, " OPEN_CONDITION
    "               AND (o.due_at IS NULL OR o.due_at <= pg_catalog.clock_timestamp()) AS is_ready,"
    "               CASE o.kind WHEN 'delivery' THEN 0::smallint ELSE o.interrupted END"
    "                   AS interrupted"
    "          FROM seats_internal.outbox AS o"
    "         WHERE (o.lane_id, o.id) > (wanted.lane_id, wanted.above)"
    "           AND o.lane_id <= wanted.lane_id"
    "         ORDER BY o.lane_id, o.id LIMIT 1) AS head"
    " WHERE head.is_ready"};

// A row of READY_COLUMNS. Rows that are not yet due are found again by their due_at.
void offer(Engine& engine, const Rows& rows, std::size_t row) {
    const std::int64_t id = rows.bigint(row, 1);
    engine.highest_seen = std::max(engine.highest_seen, id);
    if (const TimestampTz due_at = rows.timestamp(row, 5); due_at > pg::now()) {
        if (engine.next_due != 0) {
            engine.next_due = std::min(engine.next_due, due_at);
        }
        return;
    }
    Destination* destination = engine.find_destination(rows.bytes(row, 3));
    if (destination == nullptr) {
        engine.configuration_is_stale = true;  // defined a moment ago; the row comes with a rescan
        return;
    }
    if (!rows.is_null(row, 2)) {
        offer_lane(engine, *destination, rows.bigint(row, 2), id);
    } else if (!rows.is_null(row, 6)) {
        offer_read(engine, *destination, id, rows.bigint(row, 6), rows.smallint(row, 4));
    } else {
        offer_row(engine, *destination, id, rows.smallint(row, 4));
    }
}

bool wants_backlog(const Engine& engine, const Destination& destination) {
    return destination.missed_above && destination.takes_calls() &&
           destination.ready() < most_ready / 2 && engine.second_looks.size() < most_ready;
}

void missed(Destination& destination, std::int64_t above) {
    destination.missed_above = std::min(destination.missed_above.value_or(above), above);
}

void start_reading_backlog(Engine& engine) {
    engine.backlog_of.clear();
    for (auto& [name, destination] : engine.destinations) {
        if (wants_backlog(engine, destination)) {
            const std::int64_t above = *destination.missed_above;
            engine.backlog_above =
                engine.backlog_of.empty() ? above : std::min(engine.backlog_above, above);
            engine.backlog_of.push_back({&destination, above});
            destination.missed_above.reset();
        }
    }
    engine.reading_backlog = !engine.backlog_of.empty();
}

// Who has no room, or is paused meanwhile, reads on later, from here: nobody waits for him.
void let_full_readers_go(Engine& engine) {
    std::erase_if(engine.backlog_of, [&engine](const BacklogReader& reader) {
        Destination& destination = *reader.destination;
        if (destination.takes_calls() && destination.ready() + backlog_chunk <= most_ready) {
            return false;
        }
        missed(destination, std::max(reader.above, engine.backlog_above));
        return true;
    });
    engine.reading_backlog = !engine.backlog_of.empty();
}

bool is_read_for(const Engine& engine, const Rows& rows, std::size_t row) {
    const std::string_view name = rows.bytes(row, 3);
    return std::ranges::any_of(engine.backlog_of, [&](const BacklogReader& reader) {
        return reader.destination->name == name && engine.backlog_above > reader.above;
    });
}

// Reads on in the table by id, for the destinations that miss something and have room.
void read_backlog(Engine& engine) {
    for (int chunk = 0; chunk < most_chunks_per_claim; ++chunk) {
        let_full_readers_go(engine);
        if (!engine.reading_backlog) {
            start_reading_backlog(engine);
        }
        if (!engine.reading_backlog) {
            return;
        }
        const Rows rows =
            backlog_statement.run({pg::bigint(engine.backlog_above), pg::text(engine.installation),
                                   pg::bigint(backlog_chunk)},
                                  Statement::Sees::transaction_snapshot);
        for (std::size_t row = 0; row < rows.size(); ++row) {
            engine.backlog_above = rows.bigint(row, 1);
            if (rows.boolean(row, 7) && is_read_for(engine, rows, row)) {
                offer(engine, rows, row);
            }
        }
        engine.highest_seen = std::max(engine.highest_seen, engine.backlog_above);
        if (rows.size() < backlog_chunk) {
            engine.backlog_of.clear();
            engine.reading_backlog = false;
        }
        pg::check_interrupts();
    }
}

void miss_everything(Engine& engine) {
    for (auto& [name, destination] : engine.destinations) {
        missed(destination, 0);
    }
}

void find_arrivals(Engine& engine) {
    const Rows snapshot = snapshot_statement.run({}, Statement::Sees::transaction_snapshot);
    std::string current = snapshot.string(0, 1);
    if (engine.last_snapshot.empty()) {
        // The first look: the whole table is backlog, and arrivals are counted from here.
        miss_everything(engine);
    } else {
        const Rows rows =
            arrivals_statement.run({pg::text(engine.last_snapshot), pg::text(engine.installation)},
                                   Statement::Sees::transaction_snapshot, most_arrivals);
        for (std::size_t row = 0; row < rows.size(); ++row) {
            offer(engine, rows, row);
        }
        if (rows.size() == most_arrivals) {
            miss_everything(engine);
        }
    }
    engine.last_snapshot = std::move(current);
}

void find_due(Engine& engine) {
    const TimestampTz now = pg::now();
    if (now < engine.last_due_look) {
        // The clock was set back. What falls due from now on lies below the last look.
        engine.last_due_look = engine.next_due = 0;
    }
    if (engine.next_due != 0 && now < engine.next_due) {
        return;
    }
    const Rows rows =
        due_statement.run({pg::timestamp(std::max<TimestampTz>(engine.last_due_look, 1)),
                           pg::text(engine.installation), pg::timestamp(now)},
                          Statement::Sees::transaction_snapshot, most_arrivals);
    for (std::size_t row = 0; row < rows.size(); ++row) {
        offer(engine, rows, row);
    }
    if (rows.size() == most_arrivals) {
        miss_everything(engine);
    }
    engine.last_due_look = now;
    const Rows next =
        next_due_statement.run({pg::timestamp(now)}, Statement::Sees::transaction_snapshot);
    engine.next_due = next.empty() ? DT_NOEND : next.timestamp(0, 1);
}

LaneMemory& lane_of(Engine& engine, std::int64_t lane_id) {
    if (engine.lanes.size() > most_lanes) {
        std::erase_if(engine.lanes, [](const auto& entry) { return entry.second.is_idle(); });
    }
    return engine.lanes[lane_id];
}

// Nothing of it is on the wire any more; what waited for that goes on.
void free_lane(Engine& engine, Destination& destination, std::int64_t lane_id) {
    LaneMemory& lane = engine.lanes[lane_id];
    lane.busy = false;
    for (const std::int64_t read : std::exchange(lane.reads, {})) {
        destination.ready_reads.emplace_back(read, lane_id);
    }
}

// How much more of what may be on the wire a destination may take. Half of the whole is kept free
// in equal parts for those that take calls, so that nobody who hangs holds up the others, and
// nobody who is alone goes without the rest.
int room_for(const Engine& engine, const Destination& destination) {
    const auto takers = static_cast<int>(std::ranges::count_if(
        engine.destinations, [](const auto& entry) { return entry.second.takes_calls(); }));
    const int part = pg::settings.max_in_flight / (2 * std::max(takers, 1));
    int room = pg::settings.max_in_flight -
               static_cast<int>(engine.flights.size() + engine.answered.size());
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
// overtakes its own read asks for its base first (freeze_changes). False: not to be sent now.
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

void will_be_due(Engine& engine, TimestampTz due) {
    engine.last_due_look = std::min(engine.last_due_look, due - 1);
    if (engine.next_due != 0) {
        engine.next_due = std::min(engine.next_due, due);
    }
}

void expect_unseen(Engine& engine) {
    for (auto& [name, destination] : engine.destinations) {
        missed(destination, engine.highest_seen);
    }
}

void forget_what_was_seen(Engine& engine) {
    engine.last_snapshot.clear();
    engine.last_due_look = engine.next_due = 0;
    engine.look_for_arrivals = true;
}

void find_ready(Engine& engine) {
    const TimePoint now = steady_now();
    while (!engine.second_looks.empty() && engine.second_looks.front().at <= now) {
        const Candidate candidate = engine.second_looks.front().candidate;
        engine.second_looks.pop_front();
        const int interrupted = candidate.is_suspect ? suspect_after : 0;
        if (candidate.lane_id != 0) {
            offer_lane(engine, *candidate.destination, candidate.lane_id, candidate.id);
        } else if (candidate.beside_lane_id != 0) {
            offer_read(engine, *candidate.destination, candidate.id, candidate.beside_lane_id,
                       interrupted);
        } else {
            offer_row(engine, *candidate.destination, candidate.id, interrupted);
        }
    }
    if (engine.look_for_arrivals) {
        engine.look_for_arrivals = false;
        find_arrivals(engine);
    }
    find_due(engine);
    read_backlog(engine);
}

std::vector<Candidate> choose_candidates(Engine& engine, int limit) {
    const TimePoint now = steady_now();
    Chosen chosen;
    choose_in_turns(engine, limit, now, chosen);
    if (chosen.lanes.empty()) {
        return std::move(chosen.candidates);
    }
    const Rows heads = [&] {
        try {
            return lane_heads_statement.run(
                {pg::bigints(chosen.lanes), pg::text(engine.installation),
                 pg::bigints(chosen.above)},
                Statement::Sees::transaction_snapshot);
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
        if (heads.integer(row, 3) >= suspect_after) {
            engine.suspects.push_back({heads.bigint(row, 2), lane_id, destination, true});
            destination->bucket.give_back();
        } else {
            chosen.candidates.push_back({heads.bigint(row, 2), lane_id, destination});
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

void look_again(Engine& engine, const Candidate& candidate) {
    if (candidate.lane_id != 0) {
        free_lane(engine, *candidate.destination, candidate.lane_id);
    } else if (candidate.beside_lane_id != 0) {
        release_lane(engine, *candidate.destination, candidate.beside_lane_id, std::nullopt);
    }
    engine.second_looks.push_back({steady_now() + core::Duration{250}, candidate});
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
