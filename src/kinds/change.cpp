#include "engine/seats.hpp"

#include <algorithm>

#include "core/answer.hpp"

#include "engine/ready.hpp"

#include "pg/settings.hpp"
#include "pg/sql.hpp"

namespace pg_seats::engine {
namespace {

using pg::Rows;
using pg::Statement;

Statement plan_statement{
    "SELECT f.call, f.outcome"
    "  FROM seats_internal.freeze_changes($1, $2::uuid, $3 * interval '1 millisecond', $4) AS f"};

Statement take_lanes_statement{"SELECT unnest(seats_internal.take_lanes($1, $2))"};

Statement dissolve_statement{
    "SELECT seats_internal.dissolve_calls($1, $2, $3, $4::timestamptz[], $5::uuid)"};

Statement settle_statement{
    "SELECT seats_internal.settle_changes($1, $2, $3::timestamptz[], $4::uuid)"};

Statement await_statement{"SELECT seats_internal.await_payment($1, $2::jsonb, $3, $4::uuid)"};

Statement read_statement{"SELECT seats_internal.settle_read($1, $2::jsonb, $3, $4::uuid, $5)"};

Statement read_failed_statement{"SELECT seats_internal.read_failed($1, $2, $3)"};

Statement price_statement{"SELECT seats_internal.settle_price($1, $2, $3::jsonb, $4, $5)"};

Statement changed_statement{"SELECT seats_internal.subscription_was_changed($1)"};

Statement told_statement{"SELECT seats_internal.verify_if_told($1)"};

Statement void_statement{"SELECT seats_internal.settle_void($1)"};

constexpr int most_base_reads_in_a_row = 2;
constexpr int looks_between_patience = 20;

bool contains(const std::vector<std::int64_t>& ids, std::int64_t id) {
    return std::ranges::find(ids, id) != ids.end();
}

bool touches_team(const Settlement& item) {
    const Call& call = item.flight.call;
    return call.is_change() || (call.is_subscription_read() && !item.decision.facts.empty());
}

// A call that fell apart, or falls apart: its changes are pending again.
bool dissolves(const Settlement& item) {
    return item.flight.call.is_change() && item.decision.kind == Decision::Kind::change &&
           item.decision.state == "pending";
}

void store_dissolved(Engine& engine, std::span<const Settlement* const> items,
                     const std::vector<std::int64_t>& left) {
    std::vector<std::int64_t> calls, refused;
    std::vector<std::string_view> facts;
    std::vector<TimestampTz> as_of;
    for (const Settlement* item : items) {
        if (dissolves(*item) && !contains(left, item->flight.call.id)) {
            calls.push_back(item->flight.call.id);
            facts.emplace_back(item->decision.facts);
            as_of.push_back(item->decision.facts_as_of);
            if (item->decision.split) {
                refused.push_back(item->flight.call.id);
            }
        }
    }
    if (!calls.empty()) {
        dissolve_statement.run({pg::bigints(calls), pg::bigints(refused), pg::texts(facts),
                                pg::timestamps(as_of), pg::text(engine.run)});
        engine.announce = engine.wake_all_waiters = true;  // some may have become impossible
        engine.look_for_arrivals = engine.events_expected = true;
    }
}

void store_settled(Engine& engine, std::span<const Settlement* const> items,
                   const std::vector<std::int64_t>& left) {
    std::vector<std::int64_t> calls;
    std::vector<std::string_view> facts;
    std::vector<TimestampTz> as_of;
    for (const Settlement* item : items) {
        if (item->flight.call.is_change() && item->decision.kind == Decision::Kind::finish &&
            !contains(left, item->flight.call.id)) {
            calls.push_back(item->flight.call.id);
            facts.emplace_back(item->decision.facts);
            as_of.push_back(item->decision.facts_as_of);
        }
    }
    if (!calls.empty()) {
        settle_statement.run(
            {pg::bigints(calls), pg::texts(facts), pg::timestamps(as_of), pg::text(engine.run)});
        engine.announce = true;  // the journal tells of them
        engine.events_expected = true;
        engine.look_for_arrivals = true;  // where there are no facts, a read was left
    }
}

// Sent, and no answer that tells: perhaps its event has come before.
void heed_early_events(Engine& engine, std::span<const Settlement* const> items) {
    std::vector<std::int64_t> calls;
    for (const Settlement* item : items) {
        if (item->flight.call.is_change() && item->flight.purpose == Purpose::send &&
            item->decision.kind == Decision::Kind::change && item->decision.state == "waiting") {
            calls.push_back(item->flight.call.id);
        }
    }
    if (!calls.empty()) {
        told_statement.run({pg::bigints(calls)});
        engine.look_for_arrivals = true;
    }
}

void store_read_problem(Engine& engine, const Settlement& item) {
    const auto& [flight, decision] = item;
    if (!decision.read_problem.empty()) {
        read_failed_statement.run({pg::bigint(flight.call.busy_lane()),
                                   pg::text(core::safe_text(decision.read_problem, 300)),
                                   pg::boolean(decision.problem_lasts)});
        engine.announce = true;
    }
}

void store_learned(Engine& engine, const Settlement& item) {
    const auto& [flight, decision] = item;
    if (decision.facts.empty()) {
        if (flight.call.is_subscription_read() && decision.result == "refused") {
            read_failed_statement.run({pg::bigint(flight.call.beside_lane_id),
                                       pg::text(decision.error), pg::boolean(true)});
            engine.announce = true;
            engine.look_for_arrivals = true;  // it may be repeated
        }
        return;
    }
    if (decision.state == "awaiting") {
        await_statement.run({pg::bigint(flight.call.id), pg::text(decision.facts),
                             pg::timestamp(decision.facts_as_of), pg::text(engine.run)});
    } else {
        read_statement.run({pg::bigint(flight.call.team_id), pg::text(decision.facts),
                            pg::timestamp(decision.facts_as_of), pg::text(engine.run),
                            flight.call.is_subscription_read() ? pg::bigint(flight.call.id)
                                                               : pg::null_of(INT8OID)});
        engine.wake_all_waiters = true;  // of other reads, which it may have answered
        if (flight.call.is_subscription_read()) {
            engine.look_for_arrivals = true;  // prices that it has wanted, changes that may go on
        }
        engine.events_expected = true;  // of calls, which it may have proved
    }
    engine.announce = true;
}

void store_price(Engine& engine, const Settlement& item) {
    const auto& [flight, decision] = item;
    price_statement.run({pg::text(flight.destination->name), pg::text(flight.call.path),
                         decision.facts.empty() ? pg::null_of(TEXTOID) : pg::text(decision.facts),
                         pg::timestamp(decision.facts_as_of), pg::text(decision.error)});
    engine.announce = true;
    engine.look_for_arrivals = true;  // of changes that have waited for it
}

}  // namespace

bool SeatPlans::is_settled_or_waits(std::int64_t id) const {
    return contains(over, id) || contains(locked, id) || contains(later, id) ||
           contains(to_read, id);
}

namespace {

// A base that was read and is not fresh all the same (a clock that was set, a lifetime shorter than
// the way to Stripe) is not read at once again and again.
bool may_read_base(Engine& engine, const std::vector<Candidate>& candidates, std::int64_t id) {
    const auto candidate = std::ranges::find(candidates, id, &Candidate::id);
    if (candidate == candidates.end()) {
        return true;
    }
    LaneMemory& lane = engine.lanes[candidate->lane_id];
    if (++lane.base_reads <= most_base_reads_in_a_row) {
        return true;
    }
    lane.base_reads = 0;
    return false;
}

}  // namespace

SeatPlans plan_seat_changes(Engine& engine, const std::vector<Candidate>& candidates) {
    SeatPlans plans;
    std::vector<std::int64_t> ids;
    for (const Candidate& candidate : candidates) {
        if (candidate.lane_id != 0) {  // seats are always in a lane
            ids.push_back(candidate.id);
        }
    }
    if (ids.empty()) {
        return plans;
    }
    const Rows rows = plan_statement.run({pg::bigints(ids), pg::text(engine.run),
                                          pg::integer(pg::settings.base_lifetime_ms),
                                          pg::bigint(engine.patient_for)});
    for (std::size_t row = 0; row < rows.size(); ++row) {
        const std::int64_t id = rows.bigint(row, 1);
        const std::string_view outcome = rows.bytes(row, 2);
        if (outcome == "read") {
            (may_read_base(engine, candidates, id) ? plans.to_read : plans.locked).push_back(id);
        } else if (outcome == "locked") {
            plans.locked.push_back(id);
        } else if (outcome == "later") {
            plans.later.push_back(id);
        } else if (outcome != "frozen") {
            plans.over.push_back(id);
        }
    }
    return plans;
}

void heed_seat_plans(Engine& engine, const std::vector<Candidate>& candidates,
                     const SeatPlans& plans) {
    for (const Candidate& candidate : candidates) {
        if (contains(plans.locked, candidate.id)) {
            candidate.destination->bucket.give_back();
            // Queued up for once, and then from time to time: a team that is always being changed
            // is got like that, and one that somebody just holds costs little.
            LaneMemory& lane = engine.lanes[candidate.lane_id];
            if (lane.locked_looks++ % looks_between_patience == 0) {
                engine.patient_for = candidate.lane_id;
            }
            look_again(engine, candidate);
        } else if (contains(plans.later, candidate.id)) {
            candidate.destination->bucket.give_back();
            release_lane(engine, *candidate.destination, candidate.lane_id, std::nullopt);
        } else if (contains(plans.over, candidate.id)) {
            candidate.destination->bucket.give_back();
            release_lane(engine, *candidate.destination, candidate.lane_id, std::nullopt);
            engine.announce = engine.wake_all_waiters = true;
        } else if (candidate.lane_id != 0 && !contains(plans.to_read, candidate.id)) {
            LaneMemory& lane = engine.lanes[candidate.lane_id];
            lane.base_reads = lane.locked_looks = 0;
        }
    }
    if (!plans.over.empty()) {
        engine.next_due = 0;              // those that wait have a due_at now
        engine.look_for_arrivals = true;  // of reads of prices that they wait for
    }
}

std::vector<const Settlement*> lock_teams(Engine& engine,
                                          std::span<const Settlement* const> items) {
    std::vector<const Settlement*> locked;
    std::vector<std::int64_t> lanes;
    for (const Settlement* item : items) {
        if (touches_team(*item)) {
            lanes.push_back(item->flight.call.busy_lane());
        }
    }
    if (lanes.empty()) {
        return locked;
    }
    const Rows rows =
        take_lanes_statement.run({pg::bigints(lanes), pg::bigint(engine.patient_for)});
    std::vector<std::int64_t> taken;
    for (std::size_t row = 0; row < rows.size(); ++row) {
        taken.push_back(rows.bigint(row, 1));
    }
    for (const Settlement* item : items) {
        if (touches_team(*item) && !contains(taken, item->flight.call.busy_lane())) {
            locked.push_back(item);
        }
    }
    return locked;
}

void store_seats(Engine& engine, std::span<const Settlement* const> items,
                 const std::vector<std::int64_t>& left) {
    store_dissolved(engine, items, left);
    store_settled(engine, items, left);
    heed_early_events(engine, items);
    for (const Settlement* item : items) {
        const Call& call = item->flight.call;
        const bool is_settled_change =
            call.is_change() && item->decision.kind == Decision::Kind::finish;
        if (call.kind == "call" && item->decision.result == "done" && call.lane_id != 0 &&
            call.is_mutation() && call.path.starts_with("/v1/subscription")) {  // and its items
            changed_statement.run({pg::bigints({call.lane_id})});
            engine.look_for_arrivals = true;
        }
        store_read_problem(engine, *item);
        if ((call.is_change() && !is_settled_change && !dissolves(*item)) ||
            call.is_subscription_read()) {
            store_learned(engine, *item);
        } else if (call.kind == "void" && item->decision.kind == Decision::Kind::finish) {
            void_statement.run({pg::bigint(call.id)});
            engine.look_for_arrivals = true;
        } else if (call.is_price_read() && item->decision.kind == Decision::Kind::finish) {
            store_price(engine, *item);
        }
    }
}

}  // namespace pg_seats::engine
