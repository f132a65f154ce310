// A change of seats: planned when it is claimed, on a base that was proven in this run, together
// with those behind it; settled by what the subscription shows. The rules of seats themselves stand
// in SQL (src/schema/seats).
#include <algorithm>
#include <chrono>

#include "core/contains.hpp"
#include "kinds/kind.hpp"

#include "kinds/subscription.hpp"
#include "pg/settings.hpp"

extern "C" {
#include "catalog/pg_type.h"
}

namespace pg_seats::kinds {
namespace {

using pg::Statement;

constexpr std::chrono::milliseconds longest_planning{20};

// The order of locks: lanes, then their rows. Whoever holds a team keeps up that team alone; one is
// queued up for, shortly, and while no other is held.
Statement queue_statement{"SELECT seats_internal.wait_for_lane($1)"};

Statement lock_statement{
    "SELECT l.id FROM seats_internal.lane AS l WHERE l.id = ANY ($1)"
    " ORDER BY l.id FOR NO KEY UPDATE SKIP LOCKED"};

Statement plain_statement{
    "SELECT p.call, p.outcome, p.body, p.base, p.target, p.last_id, p.last_uuid"
    "  FROM seats_internal.plain_plans($1, $2::uuid, $3 * interval '1 millisecond') AS p"};

Statement want_statement{
    "UPDATE seats_internal.outbox AS o SET base_wanted_at = pg_catalog.clock_timestamp()"
    " WHERE o.id = ANY ($1)"};

Statement plan_statement{
    "SELECT f.call, f.outcome"
    "  FROM seats_internal.freeze_changes($1, $2::uuid, $3 * interval '1 millisecond',"
    "                                     $4 * interval '1 millisecond') AS f"};

Statement dissolve_statement{
    "SELECT seats_internal.dissolve_calls($1, $2, $3, $4::timestamptz[], $5::uuid)"};

Statement settle_statement{
    "SELECT s.has_numbered, s.all_plain"
    "  FROM seats_internal.changes_settled($1, $2, $3, $4::timestamptz[], $5::uuid,"
    "    $6::pg_snapshot) AS s"};

Statement told_statement{"SELECT seats_internal.verify_if_told($1)"};

Statement await_statement{"SELECT seats_internal.await_payment($1, $2::jsonb, $3, $4::uuid)"};

// Locks the lanes of what is to be planned, and gives the rows of those that nobody else holds.
std::vector<std::int64_t> lock(Planning& planning, const std::vector<ToPlan>& rows) {
    std::vector<std::int64_t> lanes, locked, free;
    for (const ToPlan& row : rows) {
        if (row.lane_id != planning.queue_for_lane ||
            queue_statement.run({pg::bigint(row.lane_id)}).boolean(0, 1)) {
            lanes.push_back(row.lane_id);
        }
    }
    const pg::Rows got = lock_statement.run({pg::bigints(lanes)});
    for (std::size_t row = 0; row < got.size(); ++row) {
        locked.push_back(got.bigint(row, 1));  // in order
    }
    for (const ToPlan& row : rows) {
        (std::ranges::binary_search(locked, row.lane_id) ? free : planning.plans.locked)
            .push_back(row.id);
    }
    return free;
}

// The plain ones, all at once; gives those that are to be looked at one by one.
std::vector<std::int64_t> plan_plain(Planning& planning, const std::vector<std::int64_t>& ids) {
    Plans& plans = planning.plans;
    const pg::Rows rows = plain_statement.run(
        {pg::bigints(ids), pg::text(planning.run), pg::integer(pg::settings.base_lifetime_ms)});
    std::vector<std::int64_t> planned, to_read;
    for (std::size_t row = 0; row < rows.size(); ++row) {
        (rows.bytes(row, 2) == "read" ? to_read : planned).push_back(rows.bigint(row, 1));
    }
    if (!planned.empty()) {
        plans.unwritten = {.calls = planned,
                           .ids = rows.values(1, INT8OID),
                           .bodies = rows.values(3, TEXTOID),
                           .bases = rows.values(4, JSONBOID),
                           .targets = rows.values(5, JSONBOID),
                           .last_ids = rows.values(6, INT8OID),
                           .last_uuids = rows.values(7, UUIDOID)};
    }
    if (!to_read.empty()) {
        want_statement.run({pg::bigints(to_read)});
    }
    std::vector<std::int64_t> left;
    for (const std::int64_t id : ids) {
        if (!core::contains(planned, id) && !core::contains(to_read, id)) {
            left.push_back(id);
        }
    }
    plans.to_read.insert(plans.to_read.end(), to_read.begin(), to_read.end());
    return left;
}

void plan_one_by_one(Planning& planning, const std::vector<std::int64_t>& ids,
                     std::chrono::milliseconds time_for) {
    Plans& plans = planning.plans;
    const pg::Rows rows = plan_statement.run(
        {pg::bigints(ids), pg::text(planning.run), pg::integer(pg::settings.base_lifetime_ms),
         pg::integer(static_cast<std::int32_t>(time_for.count()))});
    for (std::size_t row = 0; row < rows.size(); ++row) {
        const std::int64_t id = rows.bigint(row, 1);
        const std::string_view outcome = rows.bytes(row, 2);
        if (outcome == "read") {
            plans.to_read.push_back(id);
        } else if (outcome == "locked") {
            plans.locked.push_back(id);
        } else if (outcome == "later") {
            plans.later.push_back(id);
        } else if (outcome != "frozen") {
            plans.settled_or_waits.push_back(id);
        }
    }
}

// All lanes are locked from the first to the commit; applications wait for that. So what is not
// planned in that time is left for later. (One is, of those that take long.)
void plan(Planning& planning, const std::vector<ToPlan>& rows) {
    using Clock = std::chrono::steady_clock;
    const auto begun = Clock::now();
    const std::vector<std::int64_t> left = plan_plain(planning, lock(planning, rows));
    if (!left.empty()) {
        const auto spent =
            std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begun);
        plan_one_by_one(planning, left, std::max(longest_planning - spent, {}));
    }
}

bool wants_lane(const Settlement&) {
    return true;
}

// A call that fell apart, or falls apart: its changes are pending again.
bool dissolves(const Settlement& item) {
    return item.stays() && item.decision.state == State::pending;
}

void store_dissolved(Storing& storing, Settlements items) {
    std::vector<std::int64_t> calls, refused;
    std::vector<std::string_view> facts;
    std::vector<TimestampTz> as_of;
    for (const Settlement* item : items) {
        if (dissolves(*item) && !storing.is_left(*item)) {
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
                                pg::timestamps(as_of), pg::text(storing.run)});
        storing.follow.news = storing.follow.all_waiters = true;  // some may be impossible by now
        storing.follow.arrivals = storing.follow.events = true;
    }
}

// Its subscription was read for it.
bool is_base(const Settlement& item) {
    return !item.is_over() && !dissolves(item) && !item.decision.facts.empty() &&
           item.decision.state != State::awaiting;
}

// Those that are over, and what was read for others. (Of rows that were left, what was read of
// their subscription is stored all the same: it is so.)
void store_settled(Storing& storing, Settlements items) {
    std::vector<std::int64_t> calls, teams;
    std::vector<std::string_view> facts;
    std::vector<TimestampTz> as_of;
    for (const Settlement* item : items) {
        const bool is_over = item->is_over() && !storing.is_left(*item);
        if (is_over || is_base(*item)) {
            calls.push_back(is_over ? item->flight.call.id : 0);
            teams.push_back(item->flight.call.team_id);
            facts.emplace_back(item->decision.facts);
            as_of.push_back(item->decision.facts_as_of);
        }
    }
    if (!calls.empty()) {
        const pg::Rows rows = settle_statement.run(
            {pg::bigints(calls), pg::bigints(teams), pg::texts(facts), pg::timestamps(as_of),
             pg::text(storing.run), pg::text_or_null(storing.journal_seen)});
        const bool has_ended = std::ranges::any_of(calls, [](std::int64_t id) { return id != 0; });
        const bool all_plain = rows.boolean(0, 2);
        storing.follow.numbers |= rows.boolean(0, 1);
        // (Of a read that has found everything as it was there is nothing to tell.)
        storing.follow.news |= has_ended || !all_plain;
        storing.follow.events |= has_ended || !all_plain;
        // Others were settled along with it, or a read was left.
        storing.follow.all_waiters |= !all_plain;
        storing.follow.arrivals |= !all_plain;
    }
}

// Sent, and no answer that tells: perhaps its event has come before.
void look_for_early_events(Storing& storing, Settlements items) {
    std::vector<std::int64_t> calls;
    for (const Settlement* item : items) {
        if (item->flight.leg.purpose == Purpose::send && item->stays() &&
            item->decision.state == State::waiting) {
            calls.push_back(item->flight.call.id);
        }
    }
    if (!calls.empty()) {
        told_statement.run({pg::bigints(calls)});
        storing.follow.arrivals = true;
    }
}

// Its payment is waited for.
void store_awaiting(Storing& storing, const Settlement& item) {
    const auto& [flight, decision] = item;
    if (!item.is_over() && !decision.facts.empty() && decision.state == State::awaiting) {
        await_statement.run({pg::bigint(flight.call.id), pg::text(decision.facts),
                             pg::timestamp(decision.facts_as_of), pg::text(storing.run)});
        storing.follow.news = true;
    }
}

void store(Storing& storing, Settlements items) {
    store_dissolved(storing, items);
    store_settled(storing, items);
    look_for_early_events(storing, items);
    for (const Settlement* item : items) {
        store_problem(storing, *item);
        store_awaiting(storing, *item);
    }
}

}  // namespace

const Kind change_kind{.name = "change",
                       .rules = core::rules::change,
                       .is_given_at_once = true,
                       // The invoice tells whether seats are paid for, and where they can be.
                       .read_query = "expand[0]=latest_invoice",
                       .plan = plan,
                       .wants_lane = wants_lane,
                       .store = store};

}  // namespace pg_seats::kinds
