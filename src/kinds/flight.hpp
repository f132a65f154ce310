// What is on the wire: a request about a row, or about none.
#pragma once

#include "engine/call.hpp"

namespace pg_seats::engine {
struct Destination;
}  // namespace pg_seats::engine

namespace pg_seats::kinds {

using engine::Call;
using engine::Destination;
using engine::Purpose;

struct Flight {
    Purpose purpose = Purpose::send;
    Destination* destination = nullptr;
    Call call;
    std::string key;                    // the idempotency key, also while verifying
    int key_number = 0;                 // of a probe: which key it is about
    int pages = 0;                      // of a list or of events, read so far
    int page_size = 100;                // fewer where so many are more than an answer may hold
    std::string cursor;                 // where the next page starts
    std::int64_t since = 0;             // of a list of events: unix time
    std::optional<std::int64_t> until;  // … what is younger is left to the next list
    std::string event_types;            // … separated by spaces; Stripe takes 20 at once
    bool all_events = false;  // … of those that webhooks did not bring, not only of our calls
    std::int64_t found = 0;   // … how many were new
    std::optional<std::int64_t> newest;  // … and Stripe's time of the newest
    core::Judgement first_answer;        // of the call, while read_missing asks about it
    int first_status = 0;
    std::string first_request_id;
    TimestampTz sent_at = 0;  // of the request that is on the wire
    // Of seats: why it is known to be executed, while a read tells what is there now; and what the
    // reads have told so far, for the purpose that asked.
    std::string_view proven;
    std::optional<core::SubscriptionFacts> subscription;
    TimestampTz subscription_as_of = 0;
    Purpose items_for = Purpose::send;
    core::Answer answer;  // once it is there
};

}  // namespace pg_seats::kinds
