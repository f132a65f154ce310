// A change of seats: planned when it is claimed, on a base that was proven in this run, together
// with those behind it; settled by what the subscription shows. The rules of seats themselves stand
// in SQL (src/schema/seats).
#include "kinds/kind.hpp"

#include "kinds/subscription.hpp"
#include "pg/settings.hpp"

namespace pg_seats::kinds {
namespace {

using pg::Statement;

Statement plan_statement{
    "SELECT f.call, f.outcome"
    "  FROM seats_internal.freeze_changes($1, $2::uuid, $3 * interval '1 millisecond', $4) AS f"};

Statement dissolve_statement{
    "SELECT seats_internal.dissolve_calls($1, $2, $3, $4::timestamptz[], $5::uuid)"};

Statement settle_statement{
    "SELECT seats_internal.changes_settled($1, $2, $3::timestamptz[], $4::uuid)"};

Statement told_statement{"SELECT seats_internal.verify_if_told($1)"};

Statement await_statement{"SELECT seats_internal.await_payment($1, $2::jsonb, $3, $4::uuid)"};

void plan(Planning& planning, const std::vector<std::int64_t>& ids) {
    Plans& plans = planning.plans;
    const pg::Rows rows = plan_statement.run({pg::bigints(ids), pg::text(planning.run),
                                              pg::integer(pg::settings.base_lifetime_ms),
                                              pg::bigint(planning.queue_for_lane)});
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

void store_settled(Storing& storing, Settlements items) {
    std::vector<std::int64_t> calls;
    std::vector<std::string_view> facts;
    std::vector<TimestampTz> as_of;
    for (const Settlement* item : items) {
        if (item->is_over() && !storing.is_left(*item)) {
            calls.push_back(item->flight.call.id);
            facts.emplace_back(item->decision.facts);
            as_of.push_back(item->decision.facts_as_of);
        }
    }
    if (!calls.empty()) {
        settle_statement.run(
            {pg::bigints(calls), pg::texts(facts), pg::timestamps(as_of), pg::text(storing.run)});
        storing.follow.news = true;  // the journal tells of them
        storing.follow.events = true;
        storing.follow.arrivals = true;  // where there are no facts, a read was left
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

// It stays, and its base was read or could not be, or its payment is waited for.
void store_learned(Storing& storing, const Settlement& item) {
    const auto& [flight, decision] = item;
    if (item.is_over() || dissolves(item) || decision.facts.empty()) {
        return;
    }
    if (decision.state == State::awaiting) {
        await_statement.run({pg::bigint(flight.call.id), pg::text(decision.facts),
                             pg::timestamp(decision.facts_as_of), pg::text(storing.run)});
        storing.follow.news = true;
    } else {
        store_subscription(storing, item, pg::null_of(INT8OID));
    }
}

// (Of rows that were left, what was read of their subscription is stored all the same: it is so.)
void store(Storing& storing, Settlements items) {
    store_dissolved(storing, items);
    store_settled(storing, items);
    look_for_early_events(storing, items);
    for (const Settlement* item : items) {
        store_problem(storing, *item);
        store_learned(storing, *item);
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
