// Makes a PaymentIntent. Whether it did is looked for in the list of intents of that time.
#include "core/call_rules.hpp"
#include "core/form.hpp"
#include "kinds/payments.hpp"

#include "pg/time.hpp"

namespace pg_seats::kinds {
namespace {

// Our clock and Stripe's may differ, and a request may be on its way for long.
constexpr std::int64_t seconds_before = 600;
constexpr std::int64_t seconds_after = 900;

pg::Statement created_statement{
    "SELECT seats_internal.payment_created($1, $2, $3, $4::jsonb, $5, $6, $7, $8)"};

pg::Statement hold_statement{"SELECT h.id, h.is_locked FROM seats_internal.hold_creates($1) AS h"};

// After a failover no intent is made before those are found that were forgotten.
void hold(Planning& planning, const std::vector<std::int64_t>& ids) {
    const pg::Rows held = hold_statement.run({pg::bigints(ids)});
    for (std::size_t row = 0; row < held.size(); ++row) {
        Plans& plans = planning.plans;
        (held.boolean(row, 2) ? plans.locked : plans.settled_or_waits)
            .push_back(held.bigint(row, 1));
    }
}

void narrow_list(const Call& call, std::string& query) {
    const core::Moment first = call.first_sent_at != 0 ? call.first_sent_at : call.created_at;
    const core::Moment last = call.last_sent_at != 0 ? call.last_sent_at : first;
    core::append_form_field(query, "created[gte]",
                            std::to_string(pg::unix_seconds(first) - seconds_before));
    core::append_form_field(query, "created[lte]",
                            std::to_string(pg::unix_seconds(last) + seconds_after));
    if (const auto customer = core::form_value(call.body, "customer")) {
        query.append("&customer=").append(*customer);
    }
}

void store(Storing& storing, Settlements items) {
    tell_each(storing, items, [&](const Settlement& item) {
        const auto& [flight, decision] = item;
        // (Without its secret it is as good as replayed: a fresh read has one.)
        const bool is_replayed = flight.answer.response.headers.replayed || decision.secret.empty();
        const pg::Rows told = created_statement.run(
            {pg::bigint(flight.call.id), pg::bigint(flight.call.payment_id),
             pg::text(to_string(decision.result)), facts_of(item), as_of(item),
             pg::boolean(is_replayed), pg::text_or_null(decision.error),
             pg::text_or_null(decision.error_code)});
        if (told.boolean(0, 1) && !storing.is_left(item)) {
            storing.follow.secrets.push_back(flight.call.id);
        }
    });
}

}  // namespace

const Kind payment_kind{.name = "payment",
                        .rules = core::rules::payment,
                        .hold = hold,
                        .narrow_list = narrow_list,
                        .secret_subject = payment_of,
                        .wants_lane = ends,
                        .store = store};

}  // namespace pg_seats::kinds
