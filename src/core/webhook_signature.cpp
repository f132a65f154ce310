#include "core/webhook_signature.hpp"

#include <algorithm>
#include <charconv>
#include <vector>

#include "core/base64.hpp"
#include "core/form.hpp"

namespace pg_seats::core {
namespace {

struct SignatureHeader {
    std::string_view time_text;  // what was signed is this text
    std::int64_t time = 0;
    std::vector<Digest> signatures;
};

std::optional<std::uint8_t> hex_digit(char c) noexcept {
    if (c >= '0' && c <= '9') {
        return static_cast<std::uint8_t>(c - '0');
    }
    if (c >= 'a' && c <= 'f') {
        return static_cast<std::uint8_t>(c - 'a' + 10);
    }
    return std::nullopt;
}

std::optional<Digest> digest_from_hex(std::string_view text) noexcept {
    Digest digest{};
    if (text.size() != 2 * digest.size()) {
        return std::nullopt;
    }
    for (std::uint8_t& byte : digest) {
        const auto high = hex_digit(text[0]);
        const auto low = hex_digit(text[1]);
        if (!high || !low) {
            return std::nullopt;
        }
        byte = static_cast<std::uint8_t>(*high << 4U | *low);
        text.remove_prefix(2);
    }
    return digest;
}

// Digits only; from_chars alone would take a minus.
std::optional<std::int64_t> time_from(std::string_view text) noexcept {
    std::int64_t time = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), time);
    if (error != std::errc{} || end != text.data() + text.size() || text.front() == '-') {
        return std::nullopt;
    }
    return time;
}

// t=…,v1=…,v1=…: of several t the last counts; schemes other than v1 are no signatures (v0 is a
// fake for tests, and accepting it would be a downgrade).
std::optional<SignatureHeader> read_header(std::string_view header) {
    SignatureHeader result;
    while (!header.empty()) {
        const std::string_view element = header.substr(0, header.find(','));
        header.remove_prefix(std::min(element.size() + 1, header.size()));
        if (element.starts_with("t=")) {
            result.time_text = element.substr(2);
        } else if (element.starts_with("v1=")) {
            if (const std::optional<Digest> digest = digest_from_hex(element.substr(3))) {
                result.signatures.push_back(*digest);
            }
        }
    }
    const std::optional<std::int64_t> time = time_from(result.time_text);
    if (!time || result.signatures.empty()) {
        return std::nullopt;
    }
    result.time = *time;
    return result;
}

bool is_blank(std::string_view secret) noexcept {
    return secret.find_first_not_of(" \t\r\n\v\f") == std::string_view::npos;
}

// How long it takes tells nothing of where they differ. The volatile keeps the compiler from
// leaving early.
bool equal(const Digest& one, const Digest& other) noexcept {
    volatile std::uint8_t difference = 0;
    for (std::size_t i = 0; i < one.size(); ++i) {
        difference = static_cast<std::uint8_t>(difference | (one.at(i) ^ other.at(i)));
    }
    return difference == 0;
}

}  // namespace

SignatureOutcome check_stripe_signature(std::string_view header, std::string_view body,
                                        std::span<const std::string> secrets, std::int64_t now,
                                        const Hmac& hmac) {
    if (std::all_of(secrets.begin(), secrets.end(), is_blank)) {
        return SignatureOutcome::no_secret;
    }
    const std::optional<SignatureHeader> given = read_header(header);
    if (!given) {
        return SignatureOutcome::malformed;
    }
    std::string message;
    message.reserve(given->time_text.size() + 1 + body.size());
    message.append(given->time_text).append(".").append(body);
    bool matches = false;
    for (const std::string& secret : secrets) {
        const std::optional<Digest> expected =
            is_blank(secret) ? std::nullopt : hmac(secret, message);
        for (const Digest& signature : given->signatures) {
            matches = (expected && equal(*expected, signature)) || matches;
        }
    }
    // The time counts only once it is known who says it. It is not negative, so these do not
    // overflow.
    if (!matches) {
        return SignatureOutcome::mismatch;
    }
    if (now > given->time && now - given->time > signature_tolerance) {
        return SignatureOutcome::too_old;
    }
    if (now < given->time - signature_tolerance) {
        return SignatureOutcome::too_new;
    }
    return SignatureOutcome::ok;
}

std::optional<std::string> sign_standard_webhook(std::string_view secret, std::string_view id,
                                                 std::int64_t timestamp, std::string_view body,
                                                 const Hmac& hmac) {
    constexpr std::string_view prefix = "whsec_";
    constexpr std::size_t shortest_key = 24;
    constexpr std::size_t longest_key = 64;
    if (!secret.starts_with(prefix) || !is_header_value(id) ||
        id.find('.') != std::string_view::npos || timestamp < 0) {
        return std::nullopt;
    }
    const std::optional<std::string> key = base64_decode(secret.substr(prefix.size()));
    if (!key || key->size() < shortest_key || key->size() > longest_key) {
        return std::nullopt;
    }
    std::string message(id);
    message.append(".").append(std::to_string(timestamp)).append(".").append(body);
    const std::optional<Digest> digest = hmac(*key, message);
    if (!digest) {
        return std::nullopt;
    }
    const std::string bytes(digest->begin(), digest->end());
    return "v1," + base64_encode(bytes);
}

}  // namespace pg_seats::core
