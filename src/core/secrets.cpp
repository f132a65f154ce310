#include "core/secrets.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "core/ascii.hpp"
#include "core/exchange.hpp"
#include "core/json_tree.hpp"

namespace pg_seats::core {
namespace {

// Shorter ones (of tests, or empty) would be found in words that are none.
constexpr std::size_t shortest_secret = 8;

bool is_word_character(char c) noexcept {
    return is_alphanumeric(c) || c == '_';
}

// Signing secrets are base64 behind their prefix.
bool is_key_character(char c) noexcept {
    return is_word_character(c) || c == '+' || c == '/' || c == '=';
}

template <typename Belongs>
std::size_t end_of(std::string_view text, std::size_t from, const Belongs& belongs) {
    const auto* const end =
        std::find_if_not(text.data() + from, text.data() + text.size(), belongs);
    return static_cast<std::size_t>(end - text.data());
}

std::size_t begin_of_word(std::string_view text, std::size_t at) {
    while (at > 0 && is_word_character(text[at - 1])) {
        --at;
    }
    return at;
}

// pi_123_secret_abc, also seti_, cs_, src_ and whatever comes: an id (which has a digit in it),
// "_secret_", and the rest of the word.
template <typename Text>
bool cut_client_secrets(Text& text) {
    constexpr std::string_view middle = "_secret_";
    bool found = false;
    std::size_t at = text.find(middle);
    while (at != Text::npos) {
        const std::size_t begin = begin_of_word(text, at);
        std::size_t end = end_of(text, at + middle.size(), is_word_character);
        const std::string_view id = std::string_view(text).substr(begin, at - begin);
        if (end > at + middle.size() && std::any_of(id.begin(), id.end(), is_digit)) {
            text.replace(begin, end - begin, removed_secret);
            found = true;
            end = begin + removed_secret.size();
        }
        at = text.find(middle, end);
    }
    return found;
}

// sk_live_… behind no letter and no digit: task_test_12345678 is somebody's word.
template <typename Text>
bool cut_keys(Text& text, std::string_view prefix) {
    bool found = false;
    std::size_t at = text.find(prefix);
    while (at != Text::npos) {
        std::size_t end = end_of(text, at + prefix.size(), is_key_character);
        if (end - at - prefix.size() >= shortest_secret &&
            (at == 0 || !is_alphanumeric(text[at - 1]))) {
            text.replace(at, end - at, removed_secret);
            found = true;
            end = at + removed_secret.size();
        }
        at = text.find(prefix, end);
    }
    return found;
}

// Every secret has one of these in it.
bool has_sign(std::string_view text) noexcept {
    constexpr std::array signs{std::string_view("_secret"), std::string_view("k_live_"),
                               std::string_view("k_test_"), std::string_view("whsec_")};
    return std::any_of(signs.begin(), signs.end(), [text](std::string_view sign) {
        return text.find(sign) != std::string_view::npos;
    });
}

// A text in which nothing was left that is secret; null, for lack of memory, is as good.
json_t* clean_text(std::string_view text) {
    json_t* const value = json_stringn(text.data(), text.size());
    return value != nullptr ? value : json_null();
}

std::string_view tree_text(const json_t* value) noexcept {
    return json_is_string(value)
               ? std::string_view(json_string_value(value), json_string_length(value))
               : std::string_view();
}

void strip(json_t* value);

void strip_object(json_t* object) {
    json_object_del(object, "client_secret");
    void* next = nullptr;
    const char* key = nullptr;
    json_t* inner = nullptr;
    json_object_foreach_safe(object, next, key, inner) {
        if (has_secret(key)) {
            json_object_del(object, key);
        } else if (WipedText text(tree_text(inner)); cut_secrets(text)) {
            // Where there is no memory for the new text, the old one must not stay.
            if (json_object_set_new_nocheck(object, key, clean_text(text)) != 0) {
                json_object_del(object, key);
            }
        } else {
            strip(inner);
        }
    }
}

void strip_array(json_t* array) {
    for (std::size_t i = 0; i < json_array_size(array); ++i) {
        json_t* const inner = json_array_get(array, i);
        if (WipedText text(tree_text(inner)); cut_secrets(text)) {
            json_array_set_new(array, i, clean_text(text));
        } else {
            strip(inner);
        }
    }
}

// Takes every member named client_secret out of a value, cuts secrets out of its texts (a URL of
// next_action carries one in its query), and drops members whose name is one.
void strip(json_t* value) {
    if (json_is_object(value)) {
        strip_object(value);
    } else if (json_is_array(value)) {
        strip_array(value);
    }
}

// Nothing that looks like a secret, and no escape behind which one could hide: the bytes stay.
bool is_suspect(std::string_view body) noexcept {
    return has_sign(body) || body.find("\\u") != std::string_view::npos;
}

// Nothing of it would be changed.
bool is_clean(JsonValue value) {
    const std::vector<JsonMember> members = members_of(value);
    const bool has_clean_members = std::ranges::all_of(members, [](const JsonMember& inner) {
        return inner.name != "client_secret" && !has_secret(inner.name) && is_clean(inner.value);
    });
    return has_clean_members && std::ranges::all_of(elements_of(value), is_clean) &&
           !has_secret(text_of(value));
}

std::string written(const json_t* value) {
    const std::unique_ptr<char, void (*)(void*)> text(json_dumps(value, JSON_COMPACT), &free);
    return text == nullptr ? std::string() : std::string(text.get());
}

}  // namespace

template <typename Text>
bool cut_secrets(Text& text) {
    constexpr std::array prefixes{std::string_view("sk_live_"), std::string_view("sk_test_"),
                                  std::string_view("rk_live_"), std::string_view("rk_test_"),
                                  std::string_view("ek_live_"), std::string_view("ek_test_"),
                                  std::string_view("whsec_")};
    bool found = cut_client_secrets(text);
    for (const std::string_view prefix : prefixes) {
        found = cut_keys(text, prefix) || found;
    }
    return found;
}
template bool cut_secrets(std::string&);
template bool cut_secrets(WipedText&);

bool has_secret(std::string_view text) {
    if (!has_sign(text)) {
        return false;
    }
    WipedText copy(text);
    return cut_secrets(copy);
}

template <typename Text>
bool strike(Text& text, std::string_view secret) {
    if (secret.size() < shortest_secret) {
        return false;
    }
    bool found = false;
    for (std::size_t at = text.find(secret); at != Text::npos;
         at = text.find(secret, at + removed_secret.size())) {
        text.replace(at, secret.size(), removed_secret);
        found = true;
    }
    return found;
}
template bool strike(std::string&, std::string_view);

void strike(Response& response, std::string_view secret) {
    strike(response.body, secret);
    ResponseHeaders& headers = response.headers;
    for (std::string* const text :
         {&response.error, &headers.request_id, &headers.idempotency_key,
          &headers.rate_limited_reason, &headers.content_type, &headers.location}) {
        strike(*text, secret);
    }
}

// (Where there is no memory for a copy there is no text, either: the old one must not stay.)
std::string stripped_copy(JsonValue value) {
    const Json copy = copy_of(value);
    strip(copy.get());
    return written(copy.get());
}

std::string strip_secrets(std::string_view body, const ParsedBody& parsed) {
    if (!is_suspect(body)) {
        return std::string(body);
    }
    if (!parsed.root()) {
        return {};  // half an answer may hold half a secret
    }
    // (Of a name that comes twice both values are looked at.)
    if (is_clean(parsed.root())) {
        return std::string(body);
    }
    return stripped_copy(parsed.root());
}

std::string strip_secrets(std::string_view body) {
    const ParsedBody parsed(is_suspect(body) ? body : std::string_view());
    return strip_secrets(body, parsed);
}

}  // namespace pg_seats::core
