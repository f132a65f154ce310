// Stripe's error object, and the table of what its refusals (4xx) mean.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/json.hpp"

#include "core/verdict.hpp"

#include "core/pure.hpp"

namespace pg_seats::core {

// As it came; the views live as long as the parsed body.
struct StripeError {
    std::string_view type, code, decline_code, param, message;
};

// nullopt unless the body is an object with an `error` object that has a type.
[[nodiscard]] std::optional<StripeError> read_error(JsonValue body) noexcept;

// What a row of the table says. Doubt is no matter of the table: judge() adds it.
struct Meaning {
    Verdict verdict = Verdict::unknown;
    HaltScope scope = HaltScope::none;
    std::string_view reason{};
    bool card = false;
    bool needs_read = false;
    bool slow_down = false;
};

// The meaning of a Stripe error with this status (400 to 499). The first matching row counts; the
// last rows match everything.
[[nodiscard]] const Meaning& meaning_of(int status, const StripeError& error) noexcept;

}  // namespace pg_seats::core
