// Somebody else's change of a subscription: a person in the Dashboard, a schedule, dunning. It is
// not in the ledger, does not count for the limits, and never charges a card.

#include <algorithm>
#include <array>

#include "billing/lookup.hpp"
#include "billing/render.hpp"
#include "billing/subscription_change.hpp"
#include "control/control.hpp"
#include "control/objects.hpp"

namespace stripe_simulator {

namespace {

constexpr std::array<std::string_view, 10> kFields{
    "quantities", "add",    "remove", "proration_behavior",   "metadata",
    "schedule",   "status", "cancel", "cancel_at_period_end", "request"};

// A misspelt field would change nothing: a test that tests nothing.
void check_fields(json_t* raw) {
    const char* name = nullptr;
    json_t* value = nullptr;
    json_object_foreach(raw, name, value) {
        if (std::find(kFields.begin(), kFields.end(), name) == kFields.end()) {
            throw unknown_parameter(name);
        }
    }
}

void add_item(World& world, Account& account, const Subscription& subscription, json_t* given,
              ItemPlan& plan) {
    if (!has(given, "price")) {
        throw missing_parameter("add");
    }
    Item item;
    item.id = text_at(given, "id");
    if (item.id.empty()) {
        item.id = world.ids().make("si_", 14);
    } else if (account.item_owner.contains(item.id)) {
        throw invalid_request("There is an item " + item.id, "add", "resource_already_exists");
    }
    item.price = &price_of(world, account, given, subscription.currency);
    item.quantity = integer_at(given, "quantity", 1);
    item.created = world.now();
    start_period(item, subscription, world.now());
    plan.changed.push_back(item.id);
    plan.target.push_back(std::move(item));
}

// Items are named by their own id or by their price's.
ItemPlan plan_edit(World& world, Account& account, const Subscription& subscription, json_t* raw) {
    ItemPlan plan = unchanged_plan(subscription);
    const char* name = nullptr;
    json_t* value = nullptr;
    json_object_foreach(json_object_get(raw, "quantities"), name, value) {
        bool found = false;
        if (!json_is_integer(value) || json_integer_value(value) < 0) {
            throw invalid_request("Invalid quantity of " + std::string(name), "quantities");
        }
        for (Item& item : plan.target) {
            if (item.id == name || item.price->id == name) {
                found = true;
                if (item.quantity != json_integer_value(value)) {
                    item.quantity = json_integer_value(value);
                    plan.changed.push_back(item.id);
                }
            }
        }
        if (!found) {
            throw invalid_request("No such item or price: " + std::string(name), "quantities");
        }
    }
    std::size_t index = 0;
    json_array_foreach(json_object_get(raw, "remove"), index, value) {
        const std::string gone(json_is_string(value) ? json_string_value(value) : "");
        const std::size_t before = plan.target.size();
        std::erase_if(plan.target, [&](const Item& item) {
            const bool named = item.id == gone || item.price->id == gone;
            if (named && std::find(plan.changed.begin(), plan.changed.end(), item.id) ==
                             plan.changed.end()) {
                plan.changed.push_back(item.id);
            }
            return named;
        });
        if (plan.target.size() == before) {
            throw invalid_request("No such item or price: " + gone, "remove");
        }
    }
    json_array_foreach(json_object_get(raw, "add"), index, value) {
        add_item(world, account, subscription, value, plan);
    }
    check_plan(plan, subscription, "add");
    plan.changes_quantity = !plan.changed.empty();
    return plan;
}

void change_items(World& world, Account& account, Subscription& subscription, ItemPlan plan,
                  bool prorate) {
    if (prorate) {
        const auto lines = proration_lines(world, subscription, plan, world.now());
        auto& pending = subscription.pending_lines;
        pending.insert(pending.end(), lines.begin(), lines.end());
    }
    // A change of items discards what waits for its payment, whoever makes it.
    discard_pending_update(world, account, subscription);
    set_items(world, account, subscription, std::move(plan.target));
}

void change_fields(World& world, Subscription& subscription, json_t* raw) {
    if (json_object_get(raw, "schedule") != nullptr) {
        subscription.schedule = text_at(raw, "schedule");
    }
    const char* key = nullptr;
    json_t* value = nullptr;
    json_object_foreach(json_object_get(raw, "metadata"), key, value) {
        put_metadata(subscription.metadata, key,
                     json_is_string(value) ? json_string_value(value) : "");
    }
    if (has(raw, "cancel_at_period_end")) {
        set_cancel_at_period_end(subscription, flag_at(raw, "cancel_at_period_end"), world.now());
    }
}

void change_status(World& world, Account& account, Subscription& subscription,
                   const std::string& status) {
    subscription.status = status;
    if (subscription.is_over()) {
        discard_pending_update(world, account, subscription);
        subscription.canceled_at = world.now();
        subscription.ended_at = world.now();
    }
}

}  // namespace

Json Control::subscription(const Asked& asked) {
    World& world = parts_.world;
    json_t* raw = asked.raw();
    auto [account, subscription] = find_anywhere(world, &Account::subscriptions, asked.path[1]);
    world.catch_up();
    check_fields(raw);
    if (subscription->is_over()) {
        throw invalid_request("A subscription that is over is not changed any more.");
    }
    const std::string_view prorations = text_at(raw, "proration_behavior", "none");
    if (prorations != "none" && prorations != "create_prorations") {
        throw invalid_request("proration_behavior must be none or create_prorations",
                              "proration_behavior");
    }
    ItemPlan plan = plan_edit(world, *account, *subscription, raw);
    const bool items_changed = !plan.changed.empty();
    const std::string was = subscription->status;
    const std::string status(flag_at(raw, "cancel") ? "canceled" : text_at(raw, "status", was));
    const Json before = render(*account, *subscription, world.options().default_version);
    if (flag_at(raw, "request")) {
        // Whoever has a request of their own has a key that nobody here has sent.
        world.set_cause(world.ids().make("req_", 14), world.ids().make("dashboard-", 32));
    }
    if (items_changed) {
        change_items(world, *account, *subscription, std::move(plan), prorations != "none");
    }
    change_fields(world, *subscription, raw);
    if (status != was) {
        change_status(world, *account, *subscription, status);
    }
    world.reschedule(*account, *subscription);
    if (status == "canceled") {
        emit_updated(world, *account, *subscription, before, "customer.subscription.deleted");
    } else {
        emit_updated(world, *account, *subscription, before, "customer.subscription.updated",
                     items_changed);
        if (status == "paused" && was != "paused") {
            emit_updated(world, *account, *subscription, before, "customer.subscription.paused");
        } else if (was == "paused" && status != "paused") {
            emit_updated(world, *account, *subscription, before, "customer.subscription.resumed");
        }
    }
    world.clear_cause();
    return render(*account, *subscription, world.options().default_version);
}

}  // namespace stripe_simulator
