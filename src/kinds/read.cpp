// Reads a subscription: registered, reconciled, swept, or settled without an answer. It has no lane
// and runs beside its subscription's.
#include "kinds/kind.hpp"

#include "kinds/subscription.hpp"

namespace pg_seats::kinds {
namespace {

bool wants_lane(const Settlement& item) {
    return !item.decision.facts.empty();
}

void store(Storing& storing, Settlements items) {
    for (const Settlement* item : items) {
        const auto& [flight, decision] = *item;
        store_problem(storing, *item);
        if (!decision.facts.empty()) {
            store_subscription(storing, *item, pg::bigint(flight.call.id));
            storing.follow.arrivals = true;  // prices that it has wanted, changes that may go on
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
