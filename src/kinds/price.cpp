// Reads a price: what decides which subscriptions can have it.
#include "kinds/kind.hpp"

#include "pg/sql.hpp"

namespace pg_seats::kinds {
namespace {

pg::Statement price_statement{"SELECT seats_internal.price_settled($1, $2, $3::jsonb, $4, $5)"};

void store(Storing& storing, Settlements items) {
    for (const Settlement* item : items) {
        if (item->is_over()) {
            const auto& [flight, decision] = *item;
            price_statement.run(
                {pg::text(flight.call.destination), pg::text(flight.call.path),
                 decision.facts.empty() ? pg::null_of(TEXTOID) : pg::text(decision.facts),
                 pg::timestamp(decision.facts_as_of), pg::text(decision.error)});
            storing.follow.news = true;
            storing.follow.arrivals = true;  // of changes that have waited for it
        }
    }
}

}  // namespace

const Kind price_kind{.name = "price", .rules = core::rules::price, .store = store};

}  // namespace pg_seats::kinds
