// Reads a subscription: registered, reconciled, swept, or settled without an answer. It has no lane
// and runs beside its subscription's.
#include "kinds/kind.hpp"

#include "kinds/subscription.hpp"
#include "pg/sql.hpp"

namespace pg_seats::kinds {
namespace {

pg::Statement read_statement{"SELECT seats_internal.read_settled($1, $2::jsonb, $3, $4::uuid, $5)"};

bool wants_lane(const Settlement& item) {
    return !item.decision.facts.empty();
}

void store_subscription(Storing& storing, const Settlement& item) {
    const auto& [flight, decision] = item;
    read_statement.run({pg::bigint(flight.call.team_id), pg::text(decision.facts),
                        pg::timestamp(decision.facts_as_of), pg::text(storing.run),
                        pg::bigint(flight.call.id)});
    storing.follow.all_waiters = true;  // of other reads, which it may have answered
    storing.follow.events = true;       // of calls, which it may have proved
    storing.follow.news = true;
    storing.follow.arrivals = true;  // prices that it has wanted, changes that may go on
}

void store(Storing& storing, Settlements items) {
    for (const Settlement* item : items) {
        const auto& [flight, decision] = *item;
        store_problem(storing, *item);
        if (!decision.facts.empty()) {
            store_subscription(storing, *item);
        } else if (decision.result == Result::refused) {
            read_failed(storing, flight.call, decision.error, true);
            storing.follow.arrivals = true;  // it may be repeated
        }
    }
}

}  // namespace

const Kind read_kind{
    .name = "read", .rules = core::rules::read, .wants_lane = wants_lane, .store = store};

}  // namespace pg_seats::kinds
