// Signatures of webhooks: Stripe's checked, our own (Standard Webhooks) made.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/pure.hpp"

namespace pg_seats::core {

using Digest = std::array<std::uint8_t, 32>;

// HMAC-SHA256, which the caller brings; nullopt if it cannot be computed. (A callable that returns
// a plain Digest fits, too.)
using Hmac = std::function<std::optional<Digest>(std::string_view key, std::string_view message)>;

enum class SignatureOutcome : std::uint8_t {
    ok,
    malformed,  // the header has no usable t, or no v1 of 64 lower-case hexadecimal digits
    no_secret,  // none was given that is not blank: an empty key would verify anybody's forgery
    too_old,    // signed with our secret, but more than the tolerance ago: perhaps a replay
    too_new,    // signed with our secret, but in the future: a clock is wrong
    mismatch,
};

inline constexpr std::int64_t signature_tolerance = 300;  // seconds, either way

// Checks a Stripe-Signature header over a body's bytes as they came. Any secret may be the one:
// while a secret is rolled there are two. `secrets` are whole texts, "whsec_" and all, and are
// taken as they are, also with a line break at the end. `now` is in seconds since 1970.
[[nodiscard]] SignatureOutcome check_stripe_signature(std::string_view header,
                                                      std::string_view body,
                                                      std::span<const std::string> secrets,
                                                      std::int64_t now, const Hmac& hmac);

// The value of the header webhook-signature for a message of ours ("v1," and base64), by
// https://www.standardwebhooks.com. nullopt unless the secret is "whsec_" and the base64 of 24 to
// 64 bytes, the id fits a header and has no full stop (which separates it from the rest of what is
// signed), and the time is not negative; or if the HMAC cannot be computed.
[[nodiscard]] std::optional<std::string> sign_standard_webhook(std::string_view secret,
                                                               std::string_view id,
                                                               std::int64_t timestamp,
                                                               std::string_view body,
                                                               const Hmac& hmac);

}  // namespace pg_seats::core
