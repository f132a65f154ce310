// Finding objects by id with Stripe's refusals, lists with paging, and metadata.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "api/call.hpp"
#include "billing/world.hpp"

namespace stripe_simulator {

// Adds what Stripe says when the object exists in the other mode or in another account.
template <typename T>
ApiError not_found(Call& call, Store<T> Account::*store, std::string_view kind, std::string_view id,
                   std::string_view param, int status) {
    ApiError error = no_such(kind, id, param, status);
    for (const auto& [scope, account] : call.world.accounts()) {
        if (account.get() == &call.account || ((*account).*store).find(id) == nullptr) {
            continue;
        }
        if (account->id == call.account.id) {
            error.message += account->livemode
                                 ? "; a similar object exists in live mode, but a test mode key "
                                   "was used to make this request."
                                 : "; a similar object exists in test mode, but a live mode key "
                                   "was used to make this request.";
            break;
        }
        if (account->livemode == call.account.livemode) {
            error.message += "; a similar object exists on one of your connected accounts.";
            break;
        }
    }
    return error;
}

template <typename T>
T& need(Call& call, Store<T> Account::*store, std::string_view kind, std::string_view id,
        std::string_view param = "id", int status = 404) {
    T* found = (call.account.*store).find(id);
    if (found == nullptr) {
        throw not_found(call, store, kind, id, param, status);
    }
    return *found;
}

struct Page {
    std::size_t limit = 10;
    std::string_view starting_after;
    std::string_view ending_before;
    std::optional<std::int64_t> created_from;  // inclusive
    std::optional<std::int64_t> created_to;    // exclusive
};
// limit, starting_after, ending_before, created, created[gt|gte|lt|lte]
Page read_page(const Params& params);

inline constexpr std::string_view kPageParameters =
    " limit starting_after ending_before created created[gt] created[gte] created[lt] "
    "created[lte]";

Json make_list(std::string_view url, Json data, bool has_more);

// Newest first, as Stripe lists.
template <typename T>
Json list_objects(Call& call, const Store<T>& store, std::string_view kind, std::string_view url,
                  const std::function<bool(const T&)>& wanted,
                  const std::function<Json(T&)>& render) {
    const Page page = read_page(call.params);
    const auto& all = store.in_order();
    const bool backwards = !page.ending_before.empty();
    const std::string_view cursor = backwards ? page.ending_before : page.starting_after;
    auto low = static_cast<std::ptrdiff_t>(0);
    auto high = static_cast<std::ptrdiff_t>(all.size());
    if (!cursor.empty()) {
        const T* at = store.find(cursor);
        if (at == nullptr) {
            throw no_such(kind, cursor, backwards ? "ending_before" : "starting_after", 400);
        }
        (backwards ? low : high) = static_cast<std::ptrdiff_t>(at->number) + (backwards ? 1 : 0);
    }
    Json data = Json::array();
    std::size_t count = 0;
    bool has_more = false;
    const std::ptrdiff_t step = backwards ? 1 : -1;
    for (std::ptrdiff_t i = backwards ? low : high - 1; i >= low && i < high; i += step) {
        T& object = *all[static_cast<std::size_t>(i)];
        if ((page.created_from && object.created < *page.created_from) ||
            (page.created_to && object.created >= *page.created_to) || !wanted(object)) {
            continue;
        }
        if (count == page.limit) {
            has_more = true;
            break;
        }
        if (backwards) {
            json_array_insert_new(data.node(), 0, render(object).release());
        } else {
            data.push(render(object));
        }
        ++count;
    }
    return make_list(url, data, has_more);
}

// Merges metadata[…] of the form into what is there; answers whether anything changed.
bool merge_metadata(Metadata& metadata, const Params& params, std::string_view name = "metadata");
void put_metadata(Metadata& metadata, std::string_view key, std::string_view value);
Json render_metadata(const Metadata& metadata);

}  // namespace stripe_simulator
