// What the kinds of payments share.
#pragma once

#include "kinds/kind.hpp"

#include "pg/sql.hpp"

namespace pg_seats::kinds {

// What ends takes the payment's member: his lane is his lock.
inline bool ends(const Settlement& item) {
    return item.is_over();
}

inline std::int64_t payment_of(const Call& call) {
    return call.payment_id;
}

inline pg::Value facts_of(const Settlement& item) {
    return pg::text_or_null(item.decision.facts);
}

inline pg::Value as_of(const Settlement& item) {
    return item.decision.facts_as_of != 0 ? pg::timestamp(item.decision.facts_as_of)
                                          : pg::null_of(TIMESTAMPTZOID);
}

// Of each that is over, in turn: `tell(item)`. A row that somebody else has ended says nothing more
// of itself; what Stripe has shown is so all the same.
template <typename Tell>
void tell_each(Storing& storing, Settlements items, const Tell& tell) {
    for (const Settlement* item : items) {
        if (item->is_over() && (!item->decision.facts.empty() || !storing.is_left(*item))) {
            tell(*item);
            storing.follow.arrivals = true;  // reads, cancels, refunds that it makes necessary
            storing.follow.news = true;      // the journal tells of it
        }
    }
}

}  // namespace pg_seats::kinds
