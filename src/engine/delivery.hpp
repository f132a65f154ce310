// Deliveries to receivers of alerts and of the journal: what is different from a call to Stripe.
// They are at least once (the id tells a receiver which it has), never in doubt, never in review,
// and end in time.
#pragma once

#include "engine/decision.hpp"

namespace pg_seats::engine {

// Why this secret cannot be used for the receiver's format; empty: it can.
std::string problem_of_secret(const Destination& destination, const pg::Secret& secret);

Decision decide_delivery(Engine& engine, const Flight& flight, const core::Judgement& judgement);

}  // namespace pg_seats::engine
