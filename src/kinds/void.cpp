// Voids the invoice that a change waits for; a read tells then whether the change is gone.
#include "kinds/kind.hpp"

#include "pg/sql.hpp"

namespace pg_seats::kinds {
namespace {

pg::Statement void_statement{"SELECT seats_internal.void_settled($1)"};

void store(Storing& storing, Settlements items) {
    for (const Settlement* item : items) {
        if (item->is_over()) {
            void_statement.run({pg::bigint(item->flight.call.id)});
            storing.follow.arrivals = true;
        }
    }
}

}  // namespace

const Kind void_kind{.name = "void", .rules = core::rules::of_our_own, .store = store};

}  // namespace pg_seats::kinds
