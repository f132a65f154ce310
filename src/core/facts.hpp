// What subscriptions, events and their lists have in common: small facts of Stripe's JSON, each
// bounded and checked, and absent rather than altered where it is not what it should be. (Half an
// id is another id.) An absent text is empty, and null in JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.hpp"

#include "core/price.hpp"

#include "core/pure.hpp"

namespace pg_seats::core {

inline constexpr std::size_t longest_fact = 255;    // Stripe's own bound of ids and keys
inline constexpr std::size_t longest_url = 2000;    // of an invoice's page
inline constexpr std::size_t most_elements = 1000;  // read of one list

// Bounded, valid UTF-8, no control character, no secret.
[[nodiscard]] bool is_fact(std::string_view text, std::size_t limit = longest_fact);

// A member's text if it is a fact, else empty.
[[nodiscard]] std::string fact_member(JsonValue object, std::string_view name);

// For what other people may have written freely (keys, metadata): empty also where the text looks
// like an API key. Stripe's own ids are not asked that: a plan may be named sk_monthly.
[[nodiscard]] std::string foreign_member(JsonValue object, std::string_view name);

// metadata[pg_seats] of an object, see identity.hpp.
[[nodiscard]] std::string marker_member(JsonValue object);

// The id of a member that is an id, or the object itself where the caller expanded it.
[[nodiscard]] std::string id_member(JsonValue object, std::string_view name);

[[nodiscard]] std::optional<std::int64_t> integer_member(JsonValue object, std::string_view name);

// An amount in minor units, as large as any sum can be and not larger: sums of them fit.
[[nodiscard]] std::optional<std::int64_t> money_member(JsonValue object, std::string_view name);

// In lower case, as Stripe writes it.
[[nodiscard]] std::string currency_member(JsonValue object);

// Seconds since 1970, up to the year 9999: what to_timestamp() takes without an error.
[[nodiscard]] std::optional<std::int64_t> time_member(JsonValue object, std::string_view name);

// Of an array as many elements as are looked at, and whether there are more.
struct Elements {
    std::vector<JsonValue> values;  // borrowed
    bool is_cut = false;
};
[[nodiscard]] Elements first_elements(JsonValue array);

// A page of a list of Stripe's. More than most_elements are cut off, and has_more is then true.
struct ListPage {
    std::vector<JsonValue> elements;  // borrowed
    bool has_more = false;
    // For starting_after: of the last element, readable or not; if it is empty, there is no going
    // on.
    std::string last_id;
};
[[nodiscard]] std::optional<ListPage> read_list_page(JsonValue list);

// A subscription item. The price is the plan's id where there is no price.
struct ItemFacts {
    std::string id, price;
    std::optional<std::int64_t> quantity;  // metered ones have none
    bool metered = false;
};

// What could be read of an array of items, and whether that was all of it.
struct Items {
    std::vector<ItemFacts> items;
    std::vector<PriceFacts> prices;  // those that came along with items, each once
    bool complete = false;           // an array, each element an item, not more than most_elements
};
[[nodiscard]] Items read_items(JsonValue array);

// With `metered` or, as in pending updates, without.
void append_items(std::string& out, const std::vector<ItemFacts>& items, bool with_metered);

struct InvoiceFacts {
    std::string id, status, currency, billing_reason;
    std::string url;  // hosted_invoice_url, for people to pay at; https, or http on this machine
    // In minor units. amount_due is what was due in all, not what is left; the total of a credit is
    // below zero.
    std::optional<std::int64_t> total, amount_due, amount_paid;
    std::optional<std::int64_t> created;
};
// From an invoice or its mere id; nullopt without an id.
[[nodiscard]] std::optional<InvoiceFacts> read_invoice(JsonValue invoice);

void append_invoice(std::string& out, const InvoiceFacts& invoice, bool with_billing_reason);
// Without its address: what is kept of the invoice of a change.
[[nodiscard]] std::string to_json(const InvoiceFacts& invoice, bool made_by_call);

}  // namespace pg_seats::core
