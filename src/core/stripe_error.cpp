#include "core/stripe_error.hpp"

#include <algorithm>
#include <array>

#include "core/ascii.hpp"
#include "core/json.hpp"

namespace pg_seats::core {
namespace {

bool contains_ignoring_case(std::string_view text, std::string_view lower_case) noexcept {
    return std::search(text.begin(), text.end(), lower_case.begin(), lower_case.end(),
                       [](char a, char b) { return lower(a) == b; }) != text.end();
}

// Empty fields match anything; `message` is looked for anywhere, in lower case. Stripe's messages
// are no contract, so where a code says the same there is a row for the code too.
struct Row {
    int status = 0;  // 0: any of 400 to 499
    std::string_view type{}, code{}, param{}, message{};
    Meaning meaning{};
};

bool allows(std::string_view wanted, std::string_view text) noexcept {
    return wanted.empty() || wanted == text;
}

bool matches(const Row& row, int status, const StripeError& error) noexcept {
    return (row.status == 0 || row.status == status) && allows(row.type, error.type) &&
           allows(row.code, error.code) && allows(row.param, error.param) &&
           (row.message.empty() || contains_ignoring_case(error.message, row.message));
}

constexpr Meaning again(std::string_view reason, bool slow_down = false) {
    return {.verdict = Verdict::again, .reason = reason, .slow_down = slow_down};
}
constexpr Meaning refused(std::string_view reason, bool card = false) {
    return {.verdict = Verdict::refused, .reason = reason, .card = card};
}
constexpr Meaning unknown(std::string_view reason) {
    return {.verdict = Verdict::unknown, .reason = reason};
}
constexpr Meaning halted(HaltScope scope, std::string_view reason, bool needs_read = false) {
    return {.verdict = Verdict::halted, .scope = scope, .reason = reason, .needs_read = needs_read};
}

constexpr HaltScope call = HaltScope::call;
constexpr HaltScope destination = HaltScope::destination;

// docs/verdicts.md is this table in words; test/unit/verdict_test.cpp has a test for each row.
// clang-format off
constexpr std::array table{
    // Whose key is it, and does anybody listen to it? Before everything else, because a key in use
    // comes with several types, and a mode mismatch hides behind resource_missing.
    Row{.code = "idempotency_key_in_use", .meaning = again("key_in_use")},
    Row{.code = "lock_timeout", .meaning = again("lock_timeout")},
    Row{.status = 429, .meaning = again("rate_limited", true)},
    Row{.code = "rate_limit", .meaning = again("rate_limited", true)},
    Row{.status = 402, .meaning = refused("payment_failed", true)},
    Row{.status = 401, .meaning = halted(destination, "unauthorized")},
    Row{.status = 403, .meaning = halted(destination, "forbidden")},
    Row{.status = 407, .meaning = halted(destination, "proxy")},
    Row{.status = 409, .type = "idempotency_error", .meaning = again("key_in_use")},
    Row{.type = "idempotency_error", .meaning = unknown("idempotency_mismatch")},
    Row{.status = 409, .meaning = again("conflict")},
    Row{.status = 408, .meaning = unknown("server_timeout")},
    Row{.status = 424, .meaning = unknown("dependency_failed")},
    // The status of a card's refusal is not beyond doubt (subscription_payment_intent_requires_
    // action was seen with 400); its type is.
    Row{.type = "card_error", .meaning = refused("payment_failed", true)},
    // Wrong mode, account, key or version: configuration, whatever the status.
    Row{.code = "livemode_mismatch", .meaning = halted(destination, "mode_mismatch")},
    Row{.code = "testmode_charges_only", .meaning = halted(destination, "mode_mismatch")},
    Row{.message = "a similar object exists in live mode",
        .meaning = halted(destination, "mode_mismatch")},
    Row{.message = "a similar object exists in test mode",
        .meaning = halted(destination, "mode_mismatch")},
    Row{.message = "exists on one of your connected accounts",
        .meaning = halted(destination, "account_mismatch")},
    Row{.code = "account_invalid", .meaning = halted(destination, "account_mismatch")},
    Row{.code = "api_key_expired", .meaning = halted(destination, "unauthorized")},
    Row{.code = "platform_api_key_expired", .meaning = halted(destination, "unauthorized")},
    Row{.code = "secret_key_required", .meaning = halted(destination, "unauthorized")},
    Row{.code = "tls_version_unsupported", .meaning = halted(destination, "tls_version")},
    Row{.message = "invalid stripe api version", .meaning = halted(destination, "api_version")},
    Row{.message = "invalid stripe-version", .meaning = halted(destination, "api_version")},
    // Paths.
    Row{.status = 404, .message = "unrecognized request url",
        .meaning = halted(call, "unrecognized_path")},
    Row{.status = 405, .meaning = halted(call, "unrecognized_path")},
    Row{.status = 404, .param = "subscription_item",
        .meaning = halted(call, "item_missing", true)},
    Row{.message = "invalid subscription_item id", .meaning = halted(call, "item_missing", true)},
    Row{.message = "no such subscription_item", .meaning = halted(call, "item_missing", true)},
    // Updating a cancelled subscription answers 404 too, although a read finds it.
    Row{.status = 404, .meaning = halted(call, "not_found", true)},
    // The request's form: which parameters there are, as against what they say. That is our
    // mistake (or a generic caller's), so nobody is compensated for it.
    Row{.status = 400, .code = "parameter_unknown", .meaning = halted(call, "unknown_parameter")},
    Row{.status = 400, .message = "received unknown parameter",
        .meaning = halted(call, "unknown_parameter")},
    Row{.status = 400, .message = "you can only pass supported params",
        .meaning = halted(call, "unsupported_parameter")},
    Row{.status = 400, .code = "payment_method_types_no_longer_supported",
        .meaning = halted(call, "unsupported_parameter")},
    Row{.status = 400, .code = "parameter_missing", .meaning = halted(call, "parameter_missing")},
    Row{.status = 400, .code = "parameters_exclusive",
        .meaning = halted(call, "parameters_exclusive")},
    // Business. A missing payment method is answered as a missing resource without a parameter.
    Row{.status = 400, .code = "missing", .meaning = refused("payment_method_missing", true)},
    Row{.status = 400, .message = "no attached payment source",
        .meaning = refused("payment_method_missing", true)},
    Row{.status = 400, .message = "default payment method",
        .meaning = refused("payment_method_missing", true)},
    Row{.status = 400, .code = "payment_intent_unexpected_state",
        .meaning = refused("unexpected_state")},
    Row{.status = 400, .code = "intent_invalid_state", .meaning = refused("unexpected_state")},
    Row{.status = 400, .message = "because it has a status of",
        .meaning = refused("unexpected_state")},
    Row{.status = 400, .message = "managed by the subscription schedule",
        .meaning = refused("managed_by_schedule")},
    Row{.status = 400, .param = "proration_date", .meaning = refused("proration_date")},
    Row{.status = 400, .type = "invalid_request_error", .meaning = refused("invalid_request")},
    // Trouble of Stripe's own under a status that does not say so.
    Row{.type = "api_error", .meaning = unknown("api_error")},
    // What nobody has told us about is a person's to judge.
    Row{.meaning = halted(call, "unfamiliar_error")},
};
// clang-format on

}  // namespace

std::optional<StripeError> read_error(JsonValue body) noexcept {
    const JsonValue error = member(body, "error");
    const std::string_view type = text_member(error, "type");
    if (type.empty()) {
        return std::nullopt;
    }
    return StripeError{.type = type,
                       .code = text_member(error, "code"),
                       .decline_code = text_member(error, "decline_code"),
                       .param = text_member(error, "param"),
                       .message = text_member(error, "message")};
}

const Meaning& meaning_of(int status, const StripeError& error) noexcept {
    const auto* const found = std::find_if(
        table.begin(), table.end(), [&](const Row& row) { return matches(row, status, error); });
    return (found != table.end() ? *found : table.back()).meaning;
}

}  // namespace pg_seats::core
