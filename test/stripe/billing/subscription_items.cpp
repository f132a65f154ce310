#include <algorithm>

#include "api/router.hpp"
#include "billing/lookup.hpp"
#include "billing/render.hpp"
#include "billing/subscription_change.hpp"

namespace stripe_simulator {

namespace {

Subscription& owner_of(Call& call, const std::string& id) {
    const auto found = call.account.item_owner.find(id);
    if (found == call.account.item_owner.end() || found->second->is_over()) {
        throw no_such("subscription_item", id, "item", 404);
    }
    return *found->second;
}

const Item& item_of(const Subscription& subscription, std::string_view id) {
    return *std::find_if(subscription.items.begin(), subscription.items.end(),
                         [&](const Item& item) { return item.id == id; });
}

// The item endpoints speak of one item; the plan is made as if the subscription's had been used,
// and what it refuses is named as this caller has named it.
ItemPlan plan_one(Call& call, const Subscription& subscription, const Params& items) {
    constexpr std::string_view kElement = "items[0][";
    Call inner{call.world, call.account, items, call.version, {}, {}};
    try {
        return plan_items(inner, subscription, "items");
    } catch (ApiError& error) {
        if (error.param.rfind(kElement, 0) == 0) {
            error.param =
                error.param.substr(kElement.size(), error.param.size() - kElement.size() - 1);
        }
        throw;
    }
}

std::string change_with(Call& call, Subscription& subscription, const std::string& form,
                        std::string_view item_id) {
    const Params items = Params::decode(form);
    const ItemPlan plan = plan_one(call, subscription, items);
    Metadata checked;
    merge_metadata(checked, call.params);  // refused before anything is changed
    ChangeOptions options = read_change_options(call, subscription);
    options.metadata.clear();  // the request's metadata is the item's
    options.has_metadata = false;
    options.clears_metadata = false;
    const Json before = render(call.account, subscription, call.world.options().default_version);
    const std::string id = item_id.empty() ? plan.target.back().id : std::string(item_id);
    change_subscription(call, subscription, plan, options, before);
    return id;
}

void append_field(std::string& form, std::string_view name, std::string_view value) {
    static constexpr char kHex[] = "0123456789ABCDEF";
    form.append(form.empty() ? "items[0][" : "&items[0][").append(name).append("]=");
    for (const char c : value) {
        const auto byte = static_cast<unsigned char>(c);
        form.push_back('%');
        form.push_back(kHex[byte >> 4]);
        form.push_back(kHex[byte & 15]);
    }
}

std::string create_item(Call& call) {
    Subscription& subscription = need(call, &Account::subscriptions, "subscription",
                                      call.params.required("subscription"), "subscription", 400);
    if (subscription.is_over()) {
        throw no_such("subscription", subscription.id, "subscription", 404);
    }
    std::string form;
    append_field(form, "price", call.params.required("price"));
    if (call.params.has("quantity")) {
        append_field(form, "quantity", call.params.text("quantity"));
    }
    const std::string id = change_with(call, subscription, form, {});
    if (call.account.item_owner.count(id) == 0) {
        return answer(call, Json::object().set("id", id).set("object", "subscription_item"));
    }
    return answer(call,
                  render(call.account, item_of(subscription, id), subscription.id, call.version));
}

std::string update_item(Call& call) {
    Subscription& subscription = owner_of(call, call.ids[0]);
    std::string form;
    append_field(form, "id", call.ids[0]);
    for (const char* name : {"price", "quantity"}) {
        if (call.params.has(name)) {
            append_field(form, name, call.params.text(name));
        }
    }
    change_with(call, subscription, form, call.ids[0]);
    auto& items = subscription.items;
    const auto item = std::find_if(items.begin(), items.end(),
                                   [&](const Item& one) { return one.id == call.ids[0]; });
    merge_metadata(item->metadata, call.params);
    return answer(call, render(call.account, *item, subscription.id, call.version));
}

std::string delete_item(Call& call) {
    Subscription& subscription = owner_of(call, call.ids[0]);
    std::string form;
    append_field(form, "id", call.ids[0]);
    append_field(form, "deleted", "true");
    change_with(call, subscription, form, call.ids[0]);
    return answer(call, Json::object()
                            .set("id", call.ids[0])
                            .set("object", "subscription_item")
                            .set("deleted", true));
}

std::string retrieve_item(Call& call) {
    const Subscription& subscription = owner_of(call, call.ids[0]);
    return answer(call, render(call.account, item_of(subscription, call.ids[0]), subscription.id,
                               call.version));
}

std::string list_items(Call& call) {
    const Subscription& subscription =
        need(call, &Account::subscriptions, "subscription", call.params.required("subscription"),
             "subscription", 400);
    const Page page = read_page(call.params);
    const auto& items = subscription.items;
    const bool backwards = !page.ending_before.empty();
    const std::string_view cursor = backwards ? page.ending_before : page.starting_after;
    std::size_t first = 0;
    std::size_t last = items.size();
    if (!cursor.empty()) {
        const auto at = std::find_if(items.begin(), items.end(),
                                     [&](const Item& item) { return item.id == cursor; });
        if (at == items.end()) {
            throw no_such("subscription_item", cursor,
                          backwards ? "ending_before" : "starting_after", 400);
        }
        const auto index = static_cast<std::size_t>(at - items.begin());
        (backwards ? last : first) = backwards ? index : index + 1;
    }
    bool has_more = last - first > page.limit;
    if (has_more && backwards) {
        first = last - page.limit;
    } else if (has_more) {
        last = first + page.limit;
    }
    Json data = Json::array();
    for (std::size_t i = first; i < last; ++i) {
        data.push(render(call.account, items[i], subscription.id, call.version));
    }
    return answer(call, make_list("/v1/subscription_items", data, has_more));
}

}  // namespace

void add_subscription_item_operations(Router& router) {
    const std::string change =
        "price quantity metadata[*] payment_behavior proration_behavior proration_date "
        "off_session clear_usage";
    router.add("POST", "/v1/subscription_items", create_item, "subscription " + change);
    router.add("POST", "/v1/subscription_items/{id}", update_item, change);
    router.add("DELETE", "/v1/subscription_items/{id}", delete_item,
               "clear_usage proration_behavior proration_date payment_behavior");
    router.add("GET", "/v1/subscription_items/{id}", retrieve_item, "");
    router.add("GET", "/v1/subscription_items", list_items,
               "subscription" + std::string(kPageParameters));
}

}  // namespace stripe_simulator
