// Reads a page of all PaymentIntents: those that nobody here knows are found so.
#include "kinds/payments.hpp"

namespace pg_seats::kinds {
namespace {

pg::Statement listed_statement{"SELECT seats_internal.payments_were_listed($1, $2, $3::jsonb)"};
pg::Statement not_listed_statement{"SELECT seats_internal.payments_not_listed($1, $2, $3)"};

void store(Storing& storing, Settlements items) {
    tell_each(storing, items, [](const Settlement& item) {
        const auto& [flight, decision] = item;
        const pg::Value call = pg::bigint(flight.call.id);
        const pg::Value destination = pg::text(flight.call.destination);
        if (decision.facts.empty()) {
            not_listed_statement.run({call, destination, pg::text(decision.error)});
        } else {
            listed_statement.run({call, destination, facts_of(item)});
        }
    });
}

}  // namespace

const Kind payment_list_kind{
    .name = "payment_list", .rules = core::rules::payment_list, .store = store};

}  // namespace pg_seats::kinds
