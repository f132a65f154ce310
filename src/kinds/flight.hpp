// What is on the wire: a request about a row, or about none.
#pragma once

#include "core/decision.hpp"
#include "kinds/address.hpp"

namespace pg_seats::kinds {

using core::Call;
using core::Purpose;

struct Flight {
    core::Leg leg;
    Address* address = nullptr;  // of a destination of the engine's
    Call call;
    std::string key;                    // the idempotency key, also while verifying
    int key_number = 0;                 // of a probe: which key it is about
    std::int64_t since = 0;             // of a list of events: unix time
    std::int64_t began_at = 0;          // … and when it was begun, by our clock
    std::optional<std::int64_t> until;  // … what is younger is left to the next list
    std::string event_types;            // … separated by spaces; Stripe takes 20 at once
    std::string more_types;             // … which are listed after those
    bool all_events = false;  // … of those that webhooks did not bring, not only of our calls
    std::int64_t found = 0;   // … how many were new
    std::optional<std::int64_t> newest;  // … and Stripe's time up to which all are known then
    std::optional<std::int64_t> most_newest;  // … no later than this, once types are left behind
    core::Moment sent_at = 0;                 // of the request that is on the wire
    core::Moment answered_at = 0;             // when its answer was taken, or that there is none
    core::Answer answer;                      // once it is there
    // Of that answer, as it was judged: deciding may raise and be done again, and what it says of
    // the destination's health is noted once.
    std::optional<core::Judgement> judgement;
    int raised = 0;  // how often that has raised
};

}  // namespace pg_seats::kinds
