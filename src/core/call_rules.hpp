// What a call may look like before anything is asked of the database. Pure C++.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/pure.hpp"

namespace pg_seats::core {

constexpr std::size_t largest_body = 1024 * 1024;
constexpr std::size_t longest_lane = 255;

enum class CallRule { method, path, parameters, size, lane, verifier };

// A rule that a call breaks.
struct BrokenRule {
    CallRule rule;
    std::string message, detail, hint;
};

// A call as its caller wants it. The views belong to the caller.
struct WantedCall {
    std::string_view method, path, parameters;
    std::optional<std::string_view> lane, verifier;
};

// As it goes into the outbox.
struct CheckedCall {
    std::string body;
    std::string lane;          // empty: none
    std::string subscription;  // the path of the subscription that it changes, or empty
    std::string item;          // the id of the subscription's item that it changes, or empty
};

// Throws BrokenRule.
[[nodiscard]] CheckedCall check_call(const WantedCall& wanted);

// The value of a parameter of the first level in an encoded form, as it stands there, or nullopt.
[[nodiscard]] std::optional<std::string_view> form_value(std::string_view body,
                                                         std::string_view name);

// The path at which the object of a call is read: /v1/payment_intents/pi_1 for
// /v1/payment_intents/pi_1/cancel, /v1/checkout/sessions/cs_1 for …/cs_1/expire. Empty if the path
// does not name an object.
[[nodiscard]] std::string_view object_path(std::string_view path);

// True for a path that lists objects, and creates one by POST: /v1/customers, /v1/tax/settings.
[[nodiscard]] bool is_collection_path(std::string_view path);

}  // namespace pg_seats::core
