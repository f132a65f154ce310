// Events that no webhook has brought. Of our own calls: Stripe's list of events is read from time
// to time, as long as there are calls whose event was not seen. Of everybody: it is read when
// webhooks are silent for too long, or when a person wants it.
#pragma once

#include "engine/memory.hpp"

namespace pg_seats::engine {

// Looks for both at the next opportunity.
void look_for_missed_events(Engine& engine);

// Leaves lists to begin with now in engine.to_send.
void due_event_lists(Engine& engine);

// A page has come: it is stored, and the next one asked for.
void events_answered(Engine& engine, Flight& flight);

}  // namespace pg_seats::engine
