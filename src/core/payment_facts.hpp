// What is known of PaymentIntents, refunds and disputes: never their client secret, nor the URL of
// what the payer has to do next. SQL gets all members, null where there is nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/client_secret.hpp"
#include "core/facts.hpp"

#include "core/parsed_body.hpp"

#include "core/pure.hpp"

namespace pg_seats::core {

struct IntentFacts {
    std::string id, status, currency;
    std::optional<std::int64_t> amount, amount_received, created;
    // latest_charge; the sum and the flag only if it was expanded.
    std::string charge;
    std::optional<std::int64_t> charge_refunded;
    std::optional<bool> charge_disputed;
    // last_payment_error.
    std::string error_code, decline_code, failed_charge;
    std::string next_action, cancellation_reason;
    bool has_transfer = false;
    // metadata[pg_seats], and what is beside it: anybody may have written it, so what is no uuid
    // and no number is absent.
    std::string marker, installation, hash;
    std::optional<std::int64_t> attempt;
};

// nullopt unless it is an intent with an id and a status.
[[nodiscard]] std::optional<IntentFacts> read_intent(JsonValue intent);
[[nodiscard]] std::optional<IntentFacts> read_intent(const ParsedBody& body);
// Stripe tells it along with some refusals: error.payment_intent.
[[nodiscard]] std::optional<IntentFacts> read_intent_of_error(const ParsedBody& body);
[[nodiscard]] std::string to_json(const IntentFacts& facts);

// Of an intent; none of anything else.
[[nodiscard]] ClientSecret read_client_secret(const ParsedBody& body);

struct RefundFacts {
    std::string id, currency, status, charge, payment_intent, failure_reason, reason, marker;
    std::optional<std::int64_t> amount, created;
};
[[nodiscard]] std::optional<RefundFacts> read_refund(JsonValue refund);
[[nodiscard]] std::optional<RefundFacts> read_refund(const ParsedBody& body);
[[nodiscard]] std::string to_json(const RefundFacts& facts);

struct DisputeFacts {
    std::string id, currency, status, charge, reason;
    std::optional<std::int64_t> amount, created;
};

// Pages of lists as SQL takes them. `complete`: each element could be read, and it is said whether
// there are more. `next`: behind which the next page begins; null: there is none. nullopt unless it
// is a list; one of an element that belongs to another intent is none either.
[[nodiscard]] std::optional<std::string> refunds_json(const ParsedBody& body,
                                                      std::string_view intent);
[[nodiscard]] std::optional<std::string> disputes_json(const ParsedBody& body,
                                                       std::string_view intent);
// A page of all intents: where there are more but no way to go on, it is none.
[[nodiscard]] std::optional<std::string> intents_json(const ParsedBody& body);

}  // namespace pg_seats::core
