// What applications enqueue, and the previews of changes.
#include "kinds/kind.hpp"

#include "pg/sql.hpp"

namespace pg_seats::kinds {
namespace {

pg::Statement changed_statement{"SELECT seats_internal.call_settled($1)"};

bool has_changed_subscription(const Settlement& item) {
    const Call& call = item.flight.call;
    return item.decision.result == Result::done && call.lane_id != 0 && call.is_mutation() &&
           call.path.starts_with("/v1/subscription");  // and its items
}

void store(Storing& storing, Settlements items) {
    std::vector<std::int64_t> lanes;
    for (const Settlement* item : items) {
        if (has_changed_subscription(*item)) {
            lanes.push_back(item->flight.call.lane_id);
        }
    }
    if (!lanes.empty()) {
        changed_statement.run({pg::bigints(lanes)});
        storing.follow.arrivals = true;
    }
}

}  // namespace

const Kind call_kind{.name = "call", .store = store};

}  // namespace pg_seats::kinds
