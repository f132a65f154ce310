#include "core/secrets.hpp"

#include <algorithm>
#include <array>

#include "core/exchange.hpp"

namespace pg_seats::core {
namespace {

// Shorter ones (of tests, or empty) would be found in words that are none.
constexpr std::size_t shortest_secret = 8;

bool is_digit(char c) noexcept {
    return c >= '0' && c <= '9';
}

bool is_alphanumeric(char c) noexcept {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

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
bool cut_client_secrets(std::string& text) {
    constexpr std::string_view middle = "_secret_";
    bool found = false;
    std::size_t at = text.find(middle);
    while (at != std::string::npos) {
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
bool cut_keys(std::string& text, std::string_view prefix) {
    bool found = false;
    std::size_t at = text.find(prefix);
    while (at != std::string::npos) {
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

}  // namespace

bool cut_secrets(std::string& text) {
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

bool strike(std::string& text, std::string_view secret) {
    if (secret.size() < shortest_secret) {
        return false;
    }
    bool found = false;
    for (std::size_t at = text.find(secret); at != std::string::npos;
         at = text.find(secret, at + removed_secret.size())) {
        text.replace(at, secret.size(), removed_secret);
        found = true;
    }
    return found;
}

void strike(Response& response, std::string_view secret) {
    ResponseHeaders& headers = response.headers;
    for (std::string* const text :
         {&response.body, &response.error, &headers.request_id, &headers.idempotency_key,
          &headers.rate_limited_reason, &headers.content_type, &headers.location}) {
        strike(*text, secret);
    }
}

}  // namespace pg_seats::core
