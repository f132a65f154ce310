// Reads a PaymentIntent, its refunds or its disputes, beside its member's lane.
#include "kinds/payments.hpp"

namespace pg_seats::kinds {
namespace {

pg::Statement read_statement{"SELECT seats_internal.payment_was_read($1, $2, $3::jsonb, $4)"};
pg::Statement not_read_statement{"SELECT seats_internal.payment_not_read($1, $2, $3)"};

void store(Storing& storing, Settlements items) {
    tell_each(storing, items, [&](const Settlement& item) {
        const auto& [flight, decision] = item;
        const pg::Value call = pg::bigint(flight.call.id);
        const pg::Value payment = pg::bigint(flight.call.payment_id);
        if (decision.facts.empty()) {
            not_read_statement.run({call, payment, pg::text(decision.error)});
        } else {
            const pg::Rows told = read_statement.run({call, payment, facts_of(item), as_of(item)});
            if (told.boolean(0, 1)) {
                storing.follow.secrets.push_back(flight.call.id);
            }
        }
    });
}

}  // namespace

const Kind payment_read_kind{.name = "payment_read",
                             .rules = core::rules::payment_read,
                             .secret_subject = payment_of,
                             .wants_lane = ends,
                             .store = store};

}  // namespace pg_seats::kinds
