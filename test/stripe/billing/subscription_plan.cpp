// Reading what a request wants to become of a subscription's items.

#include <algorithm>

#include "billing/lookup.hpp"
#include "billing/money.hpp"
#include "billing/subscription_change.hpp"

namespace stripe_simulator {

namespace {

constexpr std::size_t kMaxItems = 20;

std::optional<std::int64_t> read_quantity(const Params& params, const std::string& name) {
    const auto quantity = params.integer(name);
    if (quantity && *quantity < 0) {
        throw invalid_request("This value must be greater than or equal to 0.", name,
                              "parameter_invalid_integer");
    }
    return quantity;
}

const Price& read_price(Call& call, const std::string& name, const Subscription& subscription) {
    const Price& price = need(call, &Account::prices, "price", call.params.text(name), name, 400);
    if (price.interval.empty()) {
        throw invalid_request(
            "The price specified is set to `type=one_time` but this field only "
            "accepts prices with `type=recurring`.",
            name);
    }
    if (!price.active) {
        throw invalid_request(
            "The price specified is inactive. This field only accepts active "
            "prices.",
            name);
    }
    if (!subscription.currency.empty() && !price.supports(subscription.currency)) {
        throw invalid_request("The price specified supports currency of `" + price.currency +
                                  "`. This doesn't match the expected currency: `" +
                                  subscription.currency + "`.",
                              name);
    }
    return price;
}

void change_item(Call& call, ItemPlan& plan, Item& item, const std::string& element,
                 const Subscription& subscription) {
    const Params& params = call.params;
    bool changed = false;
    const auto quantity = read_quantity(params, element + "[quantity]");
    if (params.has(element + "[price]")) {
        const Price& price = read_price(call, element + "[price]", subscription);
        if (&price != item.price) {
            item.price = &price;
            item.quantity = 1;  // Stripe resets it
            plan.changes_quantity = true;
            changed = true;
        }
    }
    if (quantity && *quantity != item.quantity) {
        item.quantity = *quantity;
        plan.changes_quantity = true;
        changed = true;
    }
    merge_metadata(item.metadata, params, element + "[metadata]");
    if (changed) {
        plan.changed.push_back(item.id);
    }
}

}  // namespace

void start_period(Item& item, const Subscription& subscription, std::int64_t now) {
    // An item of an interval that is there already shares its period.
    for (const Item& other : subscription.items) {
        if (other.price->interval == item.price->interval &&
            other.price->interval_count == item.price->interval_count) {
            item.anchor = other.anchor;
            item.period_start = other.period_start;
            item.period_end = other.period_end;
            return;
        }
    }
    item.anchor = now;
    item.period_start = now;
    item.period_end = add_interval(now, item.price->interval, item.price->interval_count);
}

void check_plan(const ItemPlan& plan, const Subscription& subscription, const std::string& name) {
    if (plan.target.size() > kMaxItems) {
        throw invalid_request("Subscriptions can have at most 20 items.", name);
    }
    if (plan.target.empty() && !subscription.items.empty()) {
        throw invalid_request(
            "A subscription must have at least one active plan. To remove all "
            "plans, please cancel the subscription instead.",
            name);
    }
    for (const Item& item : plan.target) {
        const Price& first = *plan.target.front().price;
        if (subscription.billing_mode == "classic" &&
            (item.price->interval != first.interval ||
             item.price->interval_count != first.interval_count)) {
            throw invalid_request(
                "Currently, all prices on a subscription must have the same `recurring.interval` "
                "and `recurring.interval_count`.",
                name);
        }
    }
}

ItemPlan unchanged_plan(const Subscription& subscription) {
    ItemPlan plan;
    plan.target = subscription.items;
    return plan;
}

ItemPlan plan_items(Call& call, const Subscription& subscription, const std::string& name) {
    ItemPlan plan = unchanged_plan(subscription);
    std::vector<std::string> seen;
    for (const std::string& element : call.params.elements(name)) {
        const std::string id(call.params.text(element + "[id]"));
        if (id.empty()) {
            // An element without an id adds an item, whatever prices are there already.
            if (!call.params.has(element + "[price]")) {
                throw missing_parameter(element + "[price]");
            }
            Item item;
            item.price = &read_price(call, element + "[price]", subscription);
            item.quantity = read_quantity(call.params, element + "[quantity]").value_or(1);
            item.id = call.world.ids().make("si_", 14);
            item.created = call.world.now();
            merge_metadata(item.metadata, call.params, element + "[metadata]");
            start_period(item, subscription, call.world.now());
            plan.changed.push_back(item.id);
            plan.changes_quantity = true;
            plan.target.push_back(std::move(item));
            continue;
        }
        const auto item = std::find_if(plan.target.begin(), plan.target.end(),
                                       [&](const Item& one) { return one.id == id; });
        const bool twice = std::find(seen.begin(), seen.end(), id) != seen.end();
        if (twice) {
            throw invalid_request("Duplicate subscription item: " + id, element + "[id]");
        }
        if (item == plan.target.end()) {
            ApiError error = invalid_request("Invalid subscription_item id: " + id,
                                             "subscription_item", "resource_missing");
            error.status = 404;
            throw error;
        }
        seen.push_back(id);
        if (call.params.flag(element + "[deleted]")) {
            plan.changed.push_back(id);
            plan.changes_quantity = true;
            plan.target.erase(item);
        } else {
            change_item(call, plan, *item, element, subscription);
        }
    }
    check_plan(plan, subscription, name);
    return plan;
}

ChangeOptions read_change_options(Call& call, const Subscription& subscription,
                                  const std::string& prefix) {
    const auto name = [&](const char* field) {
        return prefix.empty() ? std::string(field) : prefix + "[" + field + "]";
    };
    ChangeOptions options;
    options.proration_behavior =
        call.params.choice(name("proration_behavior"),
                           {"create_prorations", "always_invoice", "none"}, "create_prorations");
    if (prefix.empty()) {
        options.payment_behavior =
            call.params.choice("payment_behavior",
                               {"allow_incomplete", "default_incomplete", "error_if_incomplete",
                                "pending_if_incomplete"},
                               "allow_incomplete");
        Metadata merged = subscription.metadata;
        merge_metadata(merged, call.params);  // refuses what cannot be merged
        options.metadata = call.params.map_below("metadata");
        options.clears_metadata = call.params.has("metadata");
        options.has_metadata = options.clears_metadata || !options.metadata.empty();
    }
    if (const auto date = call.params.integer(name("proration_date"))) {
        if (*date < subscription.period_start() || *date > subscription.period_end()) {
            throw invalid_request(
                "Cannot specify proration date outside of current subscription period",
                name("proration_date"));
        }
        options.proration_date = *date;
    }
    return options;
}

std::int64_t Subscription::period_end() const {
    std::int64_t end = 0;
    for (const Item& item : items) {
        end = end == 0 ? item.period_end : std::min(end, item.period_end);
    }
    return end;
}

std::int64_t Subscription::period_start() const {
    const std::int64_t end = period_end();
    for (const Item& item : items) {
        if (item.period_end == end) {
            return item.period_start;
        }
    }
    return created;
}

}  // namespace stripe_simulator
