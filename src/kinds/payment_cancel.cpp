// Cancels a PaymentIntent.
#include "kinds/payments.hpp"

namespace pg_seats::kinds {
namespace {

pg::Statement settled_statement{
    "SELECT seats_internal.payment_cancel_settled($1, $2, $3::jsonb, $4, $5)"};

void store(Storing& storing, Settlements items) {
    tell_each(storing, items, [](const Settlement& item) {
        const auto& [flight, decision] = item;
        settled_statement.run({pg::bigint(flight.call.id), pg::bigint(flight.call.payment_id),
                               facts_of(item), as_of(item), pg::text_or_null(decision.error_code)});
    });
}

}  // namespace

const Kind payment_cancel_kind{.name = "payment_cancel",
                               .rules = core::rules::payment_cancel,
                               .secret_subject = payment_of,
                               .wants_lane = ends,
                               .store = store};

}  // namespace pg_seats::kinds
