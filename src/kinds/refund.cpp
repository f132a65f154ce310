// Gives money back. Whether it did is looked for among the intent's refunds.
#include "core/call_rules.hpp"
#include "kinds/payments.hpp"

namespace pg_seats::kinds {
namespace {

pg::Statement settled_statement{
    "SELECT seats_internal.refund_settled($1, $2, $3, $4::jsonb, $5, $6)"};

void narrow_list(const Call& call, std::string& query) {
    if (const auto intent = core::form_value(call.body, "payment_intent")) {
        query.append("&payment_intent=").append(*intent);
    }
}

void store(Storing& storing, Settlements items) {
    tell_each(storing, items, [](const Settlement& item) {
        const auto& [flight, decision] = item;
        settled_statement.run({pg::bigint(flight.call.id), pg::bigint(flight.call.payment_id),
                               pg::text(to_string(decision.result)), facts_of(item),
                               pg::text_or_null(decision.error),
                               pg::text_or_null(decision.error_code)});
    });
}

}  // namespace

const Kind refund_kind{.name = "refund",
                       .rules = core::rules::refund,
                       .narrow_list = narrow_list,
                       .wants_lane = ends,
                       .store = store};

}  // namespace pg_seats::kinds
