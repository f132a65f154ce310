#include "core/safe_text.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

#include "core/ascii.hpp"
#include "core/secrets.hpp"

namespace pg_seats::core {
namespace {

// With the star, by which Stripe masks the middle of a key.
bool is_masked_word_character(char c) noexcept {
    return is_alphanumeric(c) || c == '_' || c == '*';
}

bool is_secret_word(std::string_view word) {
    constexpr std::array beginnings{std::string_view("sk_"), std::string_view("rk_"),
                                    std::string_view("whsec_")};
    constexpr std::array anywhere{std::string_view("sk_live_"), std::string_view("sk_test_"),
                                  std::string_view("rk_live_"), std::string_view("rk_test_"),
                                  std::string_view("ek_live_"), std::string_view("ek_test_"),
                                  std::string_view("whsec_"),   std::string_view("_secret_")};
    const std::string text = lower(word);
    return std::any_of(beginnings.begin(), beginnings.end(),
                       [&](std::string_view b) { return text.starts_with(b); }) ||
           std::any_of(anywhere.begin(), anywhere.end(),
                       [&](std::string_view a) { return text.find(a) != std::string::npos; });
}

// A credential after "Bearer" may hold more than a word's characters.
bool is_token_character(char c) noexcept {
    return is_masked_word_character(c) || c == '-' || c == '.' || c == '~' || c == '+' ||
           c == '/' || c == '=';
}

std::string without_secrets(std::string_view text) {
    std::string result;
    result.reserve(text.size());
    bool after_bearer = false;
    std::size_t i = 0;
    while (i < text.size()) {
        const auto in_token = after_bearer ? is_token_character : is_masked_word_character;
        std::size_t end = i;
        while (end < text.size() && in_token(text[end])) {
            ++end;
        }
        if (end == i) {
            // Between "Bearer" and the credential there may be blanks, a colon, a quote.
            after_bearer = after_bearer && (text[i] == ' ' || text[i] == ':' || text[i] == '"');
            result.push_back(text[i++]);
            continue;
        }
        const std::string_view word = text.substr(i, end - i);
        result.append(after_bearer || is_secret_word(word) ? removed_secret : word);
        after_bearer = lower(word) == "bearer";
        i = end;
    }
    return result;
}

struct Character {
    std::size_t bytes = 0;  // 0: not valid UTF-8
    std::uint32_t code = 0;
};

// The character at the start of a text that is not empty, by RFC 3629: no overlong form, no
// surrogate, nothing above U+10FFFF.
Character first_character(std::string_view text) noexcept {
    const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
    const std::uint32_t lead = byte(0);
    if (lead < 0x80) {
        return {1, lead};
    }
    std::size_t bytes = 0;
    std::uint32_t code = 0;
    std::uint32_t smallest = 0;
    if ((lead & 0xE0U) == 0xC0) {
        bytes = 2, code = lead & 0x1FU, smallest = 0x80;
    } else if ((lead & 0xF0U) == 0xE0) {
        bytes = 3, code = lead & 0x0FU, smallest = 0x800;
    } else if ((lead & 0xF8U) == 0xF0) {
        bytes = 4, code = lead & 0x07U, smallest = 0x10000;
    }
    if (bytes == 0 || text.size() < bytes) {
        return {};
    }
    for (std::size_t i = 1; i < bytes; ++i) {
        if ((byte(i) & 0xC0U) != 0x80) {
            return {};
        }
        code = (code << 6U) | (byte(i) & 0x3FU);
    }
    const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
    if (code < smallest || surrogate || code > 0x10FFFF) {
        return {};
    }
    return {bytes, code};
}

// Line breaks and terminal controls (C0, DEL, C1, the separators U+2028/9, and those that turn the
// direction of writing): a log line stays one line and shows what it says.
bool is_control(std::uint32_t code) noexcept {
    return code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x2028 || code == 0x2029 ||
           (code >= 0x202A && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
}

std::string one_valid_line(std::string_view text) {
    std::string result;
    result.reserve(text.size());
    while (!text.empty()) {
        const Character character = first_character(text);
        if (character.bytes == 0) {
            result.push_back('?');
            text.remove_prefix(1);
            continue;
        }
        if (is_control(character.code)) {
            result.push_back(' ');
        } else {
            result.append(text.substr(0, character.bytes));
        }
        text.remove_prefix(character.bytes);
    }
    return result;
}

}  // namespace

bool is_valid_utf8(std::string_view text) {
    while (!text.empty()) {
        const Character character = first_character(text);
        if (character.bytes == 0) {
            return false;
        }
        text.remove_prefix(character.bytes);
    }
    return true;
}

std::string safe_text(std::string_view text, std::size_t limit) {
    // Bounded before the work too: an error page may be a megabyte.
    constexpr std::size_t slack = 4096;
    const bool shortened = text.size() > limit && text.size() - limit > slack;
    std::string result =
        without_secrets(one_valid_line(shortened ? text.substr(0, limit + slack) : text));
    if (result.size() > limit) {
        std::size_t end = limit;
        while (end > 0 && (static_cast<std::uint8_t>(result[end]) & 0xC0U) == 0x80) {
            --end;
        }
        result.resize(end);
    }
    return result;
}

}  // namespace pg_seats::core
