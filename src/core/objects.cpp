#include "core/objects.hpp"

#include <algorithm>

#include "core/ascii.hpp"
#include "core/identity.hpp"
#include "core/json.hpp"
#include "core/secrets.hpp"

namespace pg_seats::core {
namespace {

constexpr std::string_view marker_name = "pg_seats";  // metadata[pg_seats], see identity.hpp

// It is pinned, shown and dumped: whatever else stands there is no account's id.
bool is_account_id(std::string_view id) noexcept {
    constexpr std::string_view prefix = "acct_";
    constexpr std::size_t longest = 64;
    if (!id.starts_with(prefix) || id.size() == prefix.size() || id.size() > longest) {
        return false;
    }
    id.remove_prefix(prefix.size());
    return std::all_of(id.begin(), id.end(), is_alphanumeric);
}

std::string_view marker_of(JsonValue object) {
    return text_member(member(object, "metadata"), marker_name);
}

// The first element of a list for which `wanted` gives an object to report.
template <typename Wanted>
std::optional<ListSearch> search_list(const ParsedBody& body, const Wanted& wanted) {
    const JsonValue root = body.root();
    const JsonValue data = array_of_list(root);
    if (!data) {
        return std::nullopt;
    }
    ListSearch search;
    search.has_more = bool_member(root, "has_more").value_or(false);
    search.is_whole = bool_member(root, "has_more") == false;
    for (const JsonValue element : elements_of(data)) {
        search.last_id = text_member(element, "id");
        if (const JsonValue found = search.found ? JsonValue() : wanted(element)) {
            search.found = true;
            search.object_json = stripped_copy(found);
        }
    }
    return search;
}

}  // namespace

std::optional<AccountFacts> read_account(const ParsedBody& body) {
    const JsonValue root = body.root();
    const std::string_view id = text_member(root, "id");
    if (text_member(root, "object") != "account" || !is_account_id(id)) {
        return std::nullopt;
    }
    return AccountFacts{std::string(id)};
}

std::optional<ObjectFacts> read_object(const ParsedBody& body) {
    const JsonValue root = body.root();
    const std::string_view object = text_member(root, "object");
    if (object.empty()) {
        return std::nullopt;
    }
    const JsonValue pending = member(root, "pending_update");
    ObjectFacts facts;
    facts.id = text_member(root, "id");
    facts.object = object;
    facts.status = text_member(root, "status");
    facts.deleted = bool_member(root, "deleted").value_or(false);
    facts.livemode = bool_member(root, "livemode");
    facts.marker = marker_of(root);
    facts.pending_marker = marker_of(pending);
    return facts;
}

std::optional<ListSearch> find_marker_in_list(const ParsedBody& body, std::string_view marker) {
    return search_list(body, [marker](JsonValue element) {
        return of_same_change(marker_of(element), marker) ? element : JsonValue();
    });
}

std::optional<EventSearch> search_events(const ParsedBody& body, std::string_view key,
                                         std::string_view marker) {
    const JsonValue root = body.root();
    const JsonValue data = array_of_list(root);
    if (!data) {
        return std::nullopt;
    }
    EventSearch search;
    search.has_more = bool_member(root, "has_more").value_or(false);
    JsonValue proof;
    for (const JsonValue event : elements_of(data)) {
        const JsonValue object = member(member(event, "data"), "object");
        search.last_id = text_member(event, "id");
        if (!is_object(object)) {
            continue;
        }
        const bool marked = of_same_change(marker_of(object), marker);
        const bool ours =
            !key.empty() && text_member(member(event, "request"), "idempotency_key") == key;
        if (marked ? !search.has_marker : ours && !proof) {
            proof = object;
        }
        search.has_marker = search.has_marker || marked;
        search.found = search.found || ours;
        search.tells_failure =
            search.tells_failure || (ours && text_member(event, "type").ends_with("failed"));
    }
    if (proof) {
        search.object_json = stripped_copy(proof);
    }
    return search;
}

}  // namespace pg_seats::core
