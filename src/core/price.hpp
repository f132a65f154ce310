// What pg_seats keeps of a price: what decides whether a subscription can have it. Stripe's items
// bring their whole price along, as a plan in old shapes; and a price can be read by itself.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/parsed_body.hpp"

#include "core/pure.hpp"

namespace pg_seats::core {

// Absent texts are empty, and null in JSON.
struct PriceFacts {
    std::string id, currency;
    std::string interval;  // day, week, month, year; none: it is bought once
    std::optional<std::int64_t> interval_count;
    // The others that it can be bought in (currency_options); only where the caller expanded them.
    std::optional<std::vector<std::string>> currencies;
    // Of one, in minor units of its currency; absent: it goes by tiers, or has a fraction.
    std::optional<std::int64_t> unit_amount;
    std::optional<bool> active, livemode;
    bool metered = false;
};

// From a price, or a plan; nullopt where there is but an id, or nothing.
[[nodiscard]] std::optional<PriceFacts> read_price(JsonValue price);

// The answer of GET /v1/prices/{id}: nullopt unless it is a price.
[[nodiscard]] std::optional<PriceFacts> read_price(const ParsedBody& body);

[[nodiscard]] std::string to_json(const PriceFacts& facts);
void append_price(std::string& out, const PriceFacts& facts);
void append_prices(std::string& out, const std::vector<PriceFacts>& prices);

}  // namespace pg_seats::core
