#include "core/answer.hpp"

#include "core/identity.hpp"
#include "core/json.hpp"
#include "core/secrets.hpp"

namespace pg_seats::core {
namespace {

constexpr const char* marker_name = "pg_seats";  // metadata[pg_seats], see identity.hpp

// Takes every member named client_secret out of a value and cuts secrets out of its texts (a URL
// of next_action carries one in its query). True if anything was changed.
bool strip(json_t* value) {
    bool changed = false;
    if (json_is_object(value)) {
        changed = json_object_del(value, "client_secret") == 0;
        void* next = nullptr;
        const char* key = nullptr;
        json_t* inner = nullptr;
        json_object_foreach_safe(value, next, key, inner) {
            if (std::string text(text_of(inner)); cut_client_secrets(text)) {
                json_object_set_new_nocheck(value, key, json_stringn(text.data(), text.size()));
                changed = true;
            } else {
                changed = strip(inner) || changed;
            }
        }
    } else if (json_is_array(value)) {
        for (std::size_t i = 0; i < json_array_size(value); ++i) {
            json_t* const inner = json_array_get(value, i);
            if (std::string text(text_of(inner)); cut_client_secrets(text)) {
                json_array_set_new(value, i, json_stringn(text.data(), text.size()));
                changed = true;
            } else {
                changed = strip(inner) || changed;
            }
        }
    }
    return changed;
}

std::string written(const json_t* value) {
    const std::unique_ptr<char, void (*)(void*)> text(json_dumps(value, JSON_COMPACT), &free);
    return text == nullptr ? std::string() : std::string(text.get());
}

std::string stripped_copy(const json_t* value) {
    const Json copy(json_deep_copy(value));
    strip(copy.get());
    return written(copy.get());
}

std::string_view marker_of(const json_t* object) {
    return text_member(member(object, "metadata"), marker_name);
}

// The first element of a list for which `wanted` gives an object to report.
template <typename Wanted>
std::optional<ListSearch> search_list(std::string_view body, const Wanted& wanted) {
    const Json root = parse_json(body);
    const json_t* const data = elements_of_list(root.get());
    if (data == nullptr) {
        return std::nullopt;
    }
    ListSearch search;
    search.has_more = bool_member(root.get(), "has_more").value_or(false);
    const std::size_t size = json_array_size(data);
    for (std::size_t i = 0; i < size; ++i) {
        const json_t* const element = json_array_get(data, i);
        if (i + 1 == size) {
            search.last_id = text_member(element, "id");
        }
        if (const json_t* const found = search.found ? nullptr : wanted(element)) {
            search.found = true;
            search.object_id = text_member(found, "id");
            search.object_json = stripped_copy(found);
        }
    }
    return search;
}

}  // namespace

std::optional<AccountFacts> read_account(std::string_view body) {
    const Json root = parse_json(body);
    const std::string_view id = text_member(root.get(), "id");
    if (text_member(root.get(), "object") != "account" || id.empty()) {
        return std::nullopt;
    }
    return AccountFacts{std::string(id)};
}

std::optional<ObjectFacts> read_object(std::string_view body) {
    const Json root = parse_json(body);
    const std::string_view object = text_member(root.get(), "object");
    if (object.empty()) {
        return std::nullopt;
    }
    const json_t* const pending = member(root.get(), "pending_update");
    ObjectFacts facts;
    facts.id = text_member(root.get(), "id");
    facts.object = object;
    facts.status = text_member(root.get(), "status");
    facts.deleted = bool_member(root.get(), "deleted").value_or(false);
    facts.livemode = bool_member(root.get(), "livemode");
    facts.marker = marker_of(root.get());
    facts.pending_marker = marker_of(pending);
    facts.has_pending_update = has_member(root.get(), "pending_update");
    return facts;
}

std::optional<ListSearch> find_marker_in_list(std::string_view body, std::string_view marker) {
    return search_list(body, [marker](const json_t* element) -> const json_t* {
        return of_same_change(marker_of(element), marker) ? element : nullptr;
    });
}

std::optional<EventSearch> search_events(std::string_view body, std::string_view key,
                                         std::string_view marker) {
    const Json root = parse_json(body);
    const json_t* const data = elements_of_list(root.get());
    if (data == nullptr) {
        return std::nullopt;
    }
    EventSearch search;
    search.has_more = bool_member(root.get(), "has_more").value_or(false);
    const json_t* proof = nullptr;
    for (std::size_t i = 0; i < json_array_size(data); ++i) {
        const json_t* const event = json_array_get(data, i);
        const json_t* const object = member(member(event, "data"), "object");
        search.last_id = text_member(event, "id");
        if (!json_is_object(object)) {
            continue;
        }
        const bool marked = of_same_change(marker_of(object), marker);
        const bool ours =
            !key.empty() && text_member(member(event, "request"), "idempotency_key") == key;
        if (marked ? !search.has_marker : ours && proof == nullptr) {
            proof = object;
        }
        search.has_marker = search.has_marker || marked;
        search.found = search.found || ours;
        search.tells_failure =
            search.tells_failure || (ours && text_member(event, "type").ends_with("failed"));
    }
    if (proof != nullptr) {
        search.object_json = stripped_copy(proof);
    }
    return search;
}

std::string strip_client_secrets(std::string body) {
    // Nothing that looks like one, and no escape behind which one could hide: the bytes stay.
    const bool suspect =
        body.find("_secret") != std::string::npos || body.find("\\u") != std::string::npos;
    if (!suspect) {
        return body;
    }
    const Json root = parse_json(body);
    if (root == nullptr) {
        return {};  // half an answer may hold half a secret
    }
    return strip(root.get()) ? written(root.get()) : body;
}

}  // namespace pg_seats::core
