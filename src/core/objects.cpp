#include "core/objects.hpp"

#include <algorithm>
#include <array>

#include "core/identity.hpp"
#include "core/json.hpp"
#include "core/secrets.hpp"

namespace pg_seats::core {
namespace {

constexpr const char* marker_name = "pg_seats";  // metadata[pg_seats], see identity.hpp

// A text in which nothing was left that is secret; null, for lack of memory, is as good.
json_t* clean_text(const std::string& text) {
    json_t* const value = json_stringn(text.data(), text.size());
    return value != nullptr ? value : json_null();
}

bool strip(json_t* value);

bool strip_object(json_t* object) {
    bool changed = json_object_del(object, "client_secret") == 0;
    void* next = nullptr;
    const char* key = nullptr;
    json_t* inner = nullptr;
    json_object_foreach_safe(object, next, key, inner) {
        std::string name(key);
        std::string text(text_of(inner));
        if (cut_secrets(name)) {
            json_object_del(object, key);
            changed = true;
        } else if (cut_secrets(text)) {
            // Where there is no memory for the new text, the old one must not stay.
            if (json_object_set_new_nocheck(object, key, clean_text(text)) != 0) {
                json_object_del(object, key);
            }
            changed = true;
        } else {
            changed = strip(inner) || changed;
        }
    }
    return changed;
}

bool strip_array(json_t* array) {
    bool changed = false;
    for (std::size_t i = 0; i < json_array_size(array); ++i) {
        json_t* const inner = json_array_get(array, i);
        if (std::string text(text_of(inner)); cut_secrets(text)) {
            json_array_set_new(array, i, clean_text(text));
            changed = true;
        } else {
            changed = strip(inner) || changed;
        }
    }
    return changed;
}

// Takes every member named client_secret out of a value, cuts secrets out of its texts (a URL of
// next_action carries one in its query), and drops members whose name is one. True if anything was
// changed.
bool strip(json_t* value) {
    if (json_is_object(value)) {
        return strip_object(value);
    }
    return json_is_array(value) && strip_array(value);
}

// Nothing that looks like a secret, and no escape behind which one could hide: the bytes stay.
bool is_suspect(std::string_view body) noexcept {
    constexpr std::array signs{std::string_view("_secret"), std::string_view("k_live_"),
                               std::string_view("k_test_"), std::string_view("whsec_"),
                               std::string_view("\\u")};
    return std::any_of(signs.begin(), signs.end(), [body](std::string_view sign) {
        return body.find(sign) != std::string_view::npos;
    });
}

// Of a name that comes twice only the last one is seen by whoever reads the JSON: by us, too.
bool names_are_unique(std::string_view body) noexcept {
    return Json(json_loadb(body.data(), body.size(), JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES,
                           nullptr)) != nullptr;
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

// It is pinned, shown and dumped: whatever else stands there is no account's id.
bool is_account_id(std::string_view id) noexcept {
    constexpr std::string_view prefix = "acct_";
    constexpr std::size_t longest = 64;
    if (!id.starts_with(prefix) || id.size() == prefix.size() || id.size() > longest) {
        return false;
    }
    id.remove_prefix(prefix.size());
    return std::all_of(id.begin(), id.end(), [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    });
}

std::string_view marker_of(const json_t* object) {
    return text_member(member(object, "metadata"), marker_name);
}

// The first element of a list for which `wanted` gives an object to report.
template <typename Wanted>
std::optional<ListSearch> search_list(const ParsedBody& body, const Wanted& wanted) {
    const json_t* const root = body.root();
    const json_t* const data = elements_of_list(root);
    if (data == nullptr) {
        return std::nullopt;
    }
    ListSearch search;
    search.has_more = bool_member(root, "has_more").value_or(false);
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

std::optional<AccountFacts> read_account(const ParsedBody& body) {
    const json_t* const root = body.root();
    const std::string_view id = text_member(root, "id");
    if (text_member(root, "object") != "account" || !is_account_id(id)) {
        return std::nullopt;
    }
    return AccountFacts{std::string(id)};
}

std::optional<ObjectFacts> read_object(const ParsedBody& body) {
    const json_t* const root = body.root();
    const std::string_view object = text_member(root, "object");
    if (object.empty()) {
        return std::nullopt;
    }
    const json_t* const pending = member(root, "pending_update");
    ObjectFacts facts;
    facts.id = text_member(root, "id");
    facts.object = object;
    facts.status = text_member(root, "status");
    facts.deleted = bool_member(root, "deleted").value_or(false);
    facts.livemode = bool_member(root, "livemode");
    facts.marker = marker_of(root);
    facts.pending_marker = marker_of(pending);
    facts.has_pending_update = has_member(root, "pending_update");
    return facts;
}

std::optional<ListSearch> find_marker_in_list(const ParsedBody& body, std::string_view marker) {
    return search_list(body, [marker](const json_t* element) -> const json_t* {
        return of_same_change(marker_of(element), marker) ? element : nullptr;
    });
}

std::optional<EventSearch> search_events(const ParsedBody& body, std::string_view key,
                                         std::string_view marker) {
    const json_t* const root = body.root();
    const json_t* const data = elements_of_list(root);
    if (data == nullptr) {
        return std::nullopt;
    }
    EventSearch search;
    search.has_more = bool_member(root, "has_more").value_or(false);
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

std::string strip_secrets(std::string body, const ParsedBody& parsed) {
    if (!is_suspect(body)) {
        return body;
    }
    if (parsed.root() == nullptr) {
        return {};  // half an answer may hold half a secret
    }
    const Json copy(json_deep_copy(parsed.root()));
    if (copy == nullptr) {
        return {};  // where there is no memory for a new text, the old one must not stay
    }
    const bool changed = strip(copy.get());
    return changed || !names_are_unique(body) ? written(copy.get()) : body;
}

std::string strip_secrets(std::string body) {
    const ParsedBody parsed(is_suspect(body) ? std::string_view(body) : std::string_view());
    return strip_secrets(std::move(body), parsed);
}

}  // namespace pg_seats::core
