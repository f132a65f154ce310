// What every answer says of its destination, whatever it says of its call: its clock, and the pace
// that it asks for.
#pragma once

#include "engine/memory.hpp"

namespace pg_seats::engine {

// Compares our clock with the Date of an answer. Certificates, the age of webhooks and when keys
// end go by our clock.
void note_clock(const Flight& flight);

// Breaker, bucket and clock learn from every answer.
void note_health(Engine& engine, const Flight& flight, const core::Judgement& judgement);

}  // namespace pg_seats::engine
