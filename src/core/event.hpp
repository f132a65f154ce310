// What pg_seats keeps of an event: whose it is, who caused it, and the known facts of its object.
// Snapshot events of any API version, and thin ones (v2), which name their object and hold none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/facts.hpp"
#include "core/subscription.hpp"

#include "core/parsed_body.hpp"

#include "core/pure.hpp"

namespace pg_seats::core {

struct PaymentIntentFacts {
    std::string id, status, currency;
    std::optional<std::int64_t> amount, amount_received, created;
    std::string operation;  // metadata.pg_seats
};

// metadata[pg_seats_installation], [pg_seats_member] and [pg_seats_attempt]: each empty, or absent,
// where it is not what we write there.
struct PaymentMarks {
    std::string installation, hash;
    std::optional<std::int64_t> attempt;
};
[[nodiscard]] PaymentMarks payment_marks(JsonValue object);

// Absent texts are empty, and null in JSON.
struct EventFacts {
    std::string id, type;
    std::optional<std::int64_t> created;  // not of thin events, which say it in words
    std::optional<bool> livemode;
    std::string account;  // a connected account's event
    std::string api_version;
    bool thin = false;
    // Of the request that caused it; both absent for what Stripe does by itself.
    std::string idempotency_key, request_id;
    std::string object_type, object_id;
    std::string customer;
    // The subscription that it is about, also where the object is one of its invoices.
    std::string subscription_id;
    // The payment intent that it is about, also where the object is a charge, refund or dispute of
    // it; and whose payment that is, from the metadata that we wrote (Stripe gives charges those of
    // their intents).
    std::string payment_intent_id;
    PaymentMarks marks;
    std::optional<SubscriptionFacts> subscription;
    std::optional<std::vector<ItemFacts>> previous_items;  // before the change, if they changed
    std::string previous_status;
    std::optional<InvoiceFacts> invoice;
    std::optional<PaymentIntentFacts> payment_intent;
};

// nullopt unless it is an event with an id and a type, whose account can be read if it names one.
[[nodiscard]] std::optional<EventFacts> read_event(const ParsedBody& body);
[[nodiscard]] std::optional<EventFacts> read_event(JsonValue event);

[[nodiscard]] std::string to_json(const EventFacts& facts);

// A page of GET /v1/events, newest first.
struct EventPage {
    std::vector<EventFacts> events;  // those that can be read
    bool has_more = false;
    std::string last_id;  // as in ListPage
};
[[nodiscard]] std::optional<EventPage> read_event_page(const ParsedBody& body);

}  // namespace pg_seats::core
