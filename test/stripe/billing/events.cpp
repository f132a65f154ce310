// Events and the account itself.

#include <algorithm>

#include "api/router.hpp"
#include "billing/lookup.hpp"

namespace stripe_simulator {

namespace {

constexpr std::int64_t kEventLifetime = 30 * 86400;

std::string retrieve_event(Call& call) {
    const auto& events = call.account.events;
    const auto found = std::find_if(events.rbegin(), events.rend(),
                                    [&](const Event& event) { return event.id == call.ids[0]; });
    if (found == events.rend()) {
        throw no_such("event", call.ids[0], "id", 404);
    }
    return call.world.event_text(call.account, *found);
}

bool type_wanted(const Params& params, const std::vector<std::string_view>& types,
                 std::string_view type) {
    if (params.has("type")) {
        return glob_match(params.text("type"), type);
    }
    return types.empty() || std::any_of(types.begin(), types.end(), [&](std::string_view one) {
               return glob_match(one, type);
           });
}

std::string list_events(Call& call) {
    const Params& params = call.params;
    const Page page = read_page(params);
    const auto types = params.list("types");
    if (types.size() > 20) {
        throw invalid_request("You can pass at most 20 types.", "types");
    }
    const auto& events = call.account.events;
    const bool backwards = !page.ending_before.empty();
    const std::string_view cursor = backwards ? page.ending_before : page.starting_after;
    auto low = static_cast<std::ptrdiff_t>(0);
    auto high = static_cast<std::ptrdiff_t>(events.size());
    if (!cursor.empty()) {
        auto at = high - 1;
        while (at >= 0 && events[static_cast<std::size_t>(at)].id != cursor) {
            --at;
        }
        if (at < 0) {
            throw no_such("event", cursor, backwards ? "ending_before" : "starting_after", 400);
        }
        (backwards ? low : high) = at + (backwards ? 1 : 0);
    }
    const std::int64_t oldest = call.world.now() - kEventLifetime;
    std::vector<std::string> found;
    bool has_more = false;
    const std::ptrdiff_t step = backwards ? 1 : -1;
    for (auto i = backwards ? low : high - 1; i >= low && i < high; i += step) {
        const Event& event = events[static_cast<std::size_t>(i)];
        if (event.created < oldest || !type_wanted(params, types, event.type) ||
            (page.created_from && event.created < *page.created_from) ||
            (page.created_to && event.created >= *page.created_to)) {
            continue;
        }
        if (found.size() == page.limit) {
            has_more = true;
            break;
        }
        found.push_back(call.world.event_text(call.account, event));
    }
    if (backwards) {
        std::reverse(found.begin(), found.end());
    }
    std::string out = "{\"object\":\"list\",\"data\":[";
    for (std::size_t i = 0; i < found.size(); ++i) {
        out.append(i == 0 ? "" : ",").append(found[i]);
    }
    out.append("],\"has_more\":").append(has_more ? "true" : "false");
    return out.append(",\"url\":\"/v1/events\"}");
}

Json render_account(const Account& account) {
    Json out = Json::object();
    out.set("id", account.id).set("object", "account").set("charges_enabled", true);
    out.set("country", "US").set("default_currency", "usd").set("details_submitted", true);
    out.set("email", "owner@example.com").set("payouts_enabled", true);
    out.set("settings",
            Json::object().set("dashboard", Json::object().set("display_name", account.id)));
    return out.set("type", "standard");
}

std::string own_account(Call& call) {
    return answer(call, render_account(call.account));
}

std::string other_account(Call& call) {
    if (call.ids[0] != call.account.id) {
        ApiError error = invalid_request(
            "The provided key does not have access to account '" + call.ids[0] +
                "' (or that account does not exist). Application access may have been revoked.",
            {}, "account_invalid");
        error.status = 403;
        throw error;
    }
    return answer(call, render_account(call.account));
}

std::string balance(Call& call) {
    std::int64_t received = 0;
    for (const auto& charge : call.account.charges.in_order()) {
        received += charge->amount_captured - charge->amount_refunded;
    }
    Json amount = Json::object();
    amount.set("amount", received).set("currency", "usd");
    return answer(call, Json::object()
                            .set("object", "balance")
                            .set("available", Json::array().push(amount))
                            .set("livemode", call.account.livemode)
                            .set("pending", Json::array()));
}

}  // namespace

void add_event_operations(Router& router) {
    router.add("GET", "/v1/events/{id}", retrieve_event, "");
    router.add("GET", "/v1/events", list_events,
               "type types[] delivery_success" + std::string(kPageParameters));
}

void add_account_operations(Router& router) {
    router.add("GET", "/v1/account", own_account, "");
    router.add("GET", "/v1/accounts/{id}", other_account, "");
    router.add("GET", "/v1/balance", balance, "");
}

}  // namespace stripe_simulator
