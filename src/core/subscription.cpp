#include "core/subscription.hpp"

#include "core/json.hpp"

#include <algorithm>
#include <utility>

#include "core/json_writer.hpp"

namespace pg_seats::core {
namespace {

constexpr std::string_view period_end = "current_period_end";

// Since basil periods are the items', and items of different intervals end at different times.
std::optional<std::int64_t> first_period_end(JsonValue subscription, JsonValue items) {
    std::optional<std::int64_t> first;
    const Elements elements = first_elements(items);
    for (const JsonValue item : elements.values) {
        const std::optional<std::int64_t> end = time_member(item, period_end);
        if (end && (!first || *end < *first)) {
            first = end;
        }
    }
    return first ? first : time_member(subscription, period_end);
}

std::optional<PendingUpdateFacts> read_pending_update(JsonValue subscription) {
    if (!has_member(subscription, "pending_update")) {
        return std::nullopt;
    }
    const JsonValue pending = member(subscription, "pending_update");
    return PendingUpdateFacts{.expires_at = time_member(pending, "expires_at"),
                              .marker = marker_member(pending),
                              .items = read_items(member(pending, "subscription_items")).items};
}

void append_pending_update(std::string& out, const PendingUpdateFacts& pending) {
    ObjectWriter writer(out);
    writer.number("expires_at", pending.expires_at);
    writer.text("marker", pending.marker);
    append_items(writer.begin("items"), pending.items, false);
    writer.end();
}

}  // namespace

std::optional<SubscriptionFacts> read_subscription(const ParsedBody& body) {
    return read_subscription(body.root());
}

std::optional<SubscriptionFacts> read_subscription(JsonValue subscription) {
    SubscriptionFacts facts;
    facts.id = fact_member(subscription, "id");
    facts.status = fact_member(subscription, "status");
    if (text_member(subscription, "object") != "subscription" || facts.id.empty() ||
        facts.status.empty()) {
        return std::nullopt;
    }
    facts.customer = id_member(subscription, "customer");
    facts.collection_method = fact_member(subscription, "collection_method");
    facts.currency = fact_member(subscription, "currency");
    facts.livemode = bool_member(subscription, "livemode");
    facts.cancel_at_period_end = bool_member(subscription, "cancel_at_period_end").value_or(false);
    facts.paused = has_member(subscription, "pause_collection");
    facts.has_test_clock = has_member(subscription, "test_clock");
    facts.cancel_at = time_member(subscription, "cancel_at");
    facts.canceled_at = time_member(subscription, "canceled_at");
    facts.ended_at = time_member(subscription, "ended_at");
    facts.trial_end = time_member(subscription, "trial_end");
    facts.schedule = id_member(subscription, "schedule");
    facts.marker = marker_member(subscription);

    const JsonValue list = member(subscription, "items");
    const JsonValue data = member(list, "data");
    Items items = read_items(data);
    facts.items = std::move(items.items);
    facts.prices = std::move(items.prices);
    facts.items_complete = items.complete && !bool_member(list, "has_more").value_or(false);
    facts.current_period_end = first_period_end(subscription, data);

    facts.pending_update = read_pending_update(subscription);
    facts.invoice = read_invoice(member(subscription, "latest_invoice"));
    return facts;
}

std::string to_json(const SubscriptionFacts& facts) {
    std::string out;
    ObjectWriter writer(out);
    writer.text("id", facts.id);
    writer.text("customer", facts.customer);
    writer.text("status", facts.status);
    writer.boolean("livemode", facts.livemode);
    writer.text("collection_method", facts.collection_method);
    writer.text("currency", facts.currency);
    writer.boolean("cancel_at_period_end", facts.cancel_at_period_end);
    writer.number("cancel_at", facts.cancel_at);
    writer.number("canceled_at", facts.canceled_at);
    writer.number("ended_at", facts.ended_at);
    writer.number("trial_end", facts.trial_end);
    writer.number(period_end, facts.current_period_end);
    writer.text("schedule", facts.schedule);
    writer.boolean("paused", facts.paused);
    writer.text("marker", facts.marker);
    append_items(writer.begin("items"), facts.items, true);
    append_prices(writer.begin("prices"), facts.prices);
    writer.boolean("items_complete", facts.items_complete);
    if (facts.pending_update) {
        append_pending_update(writer.begin("pending_update"), *facts.pending_update);
    } else {
        writer.null("pending_update");
    }
    if (facts.invoice) {
        append_invoice(writer.begin("invoice"), *facts.invoice, false);
    } else {
        writer.null("invoice");
    }
    writer.end();
    return out;
}

std::optional<ItemPage> read_item_page(const ParsedBody& body) {
    std::optional<ListPage> list = read_list_page(body.root());
    if (!list) {
        return std::nullopt;
    }
    Items items = read_items(array_of_list(body.root()));
    ItemPage page;
    page.items = std::move(items.items);
    page.prices = std::move(items.prices);
    page.unreadable = list->elements.size() - page.items.size();
    page.has_more = list->has_more;
    page.last_id = std::move(list->last_id);
    return page;
}

}  // namespace pg_seats::core
