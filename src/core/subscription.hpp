// What pg_seats keeps of a subscription: known fields only, in the shapes before and since
// 2025-03-31.basil. Never a secret, never free text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/facts.hpp"

#include "core/parsed_body.hpp"

#include "core/pure.hpp"

namespace pg_seats::core {

struct PendingUpdateFacts {
    std::optional<std::int64_t> expires_at;
    std::string marker;
    std::vector<ItemFacts> items;
};

// Absent texts are empty, and null in JSON.
struct SubscriptionFacts {
    std::string id, customer, status, collection_method, currency;
    std::optional<bool> livemode;
    bool cancel_at_period_end = false;
    bool paused = false;          // pause_collection: something else than the status paused
    bool has_test_clock = false;  // its times are made up, and not told by to_json
    std::optional<std::int64_t> cancel_at, canceled_at, ended_at, trial_end;
    std::optional<std::int64_t> current_period_end;  // the first of its items' to end
    std::string schedule;
    std::string marker;  // metadata.pg_seats
    std::vector<ItemFacts> items;
    std::vector<PriceFacts> prices;  // of the items
    // False: there are more than are here (or one that could not be read). What is missing here is
    // then not gone: read the pages.
    bool items_complete = false;
    std::optional<PendingUpdateFacts> pending_update;
    std::optional<InvoiceFacts> invoice;  // the latest; only its id unless it was expanded
};

// nullopt unless it is a subscription with an id and a status.
[[nodiscard]] std::optional<SubscriptionFacts> read_subscription(const ParsedBody& body);
[[nodiscard]] std::optional<SubscriptionFacts> read_subscription(JsonValue subscription);

[[nodiscard]] std::string to_json(const SubscriptionFacts& facts);

// A page of GET /v1/subscription_items?subscription=…
struct ItemPage {
    std::vector<ItemFacts> items;
    std::vector<PriceFacts> prices;
    bool has_more = false;
    std::string last_id;         // as in ListPage
    std::size_t unreadable = 0;  // elements that are not in `items`
};
[[nodiscard]] std::optional<ItemPage> read_item_page(const ParsedBody& body);

}  // namespace pg_seats::core
