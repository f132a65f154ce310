// Events of our own calls, where no webhook brings them: Stripe's list of events is read from time
// to time, as long as there are calls whose event was not seen.
#pragma once

#include "worker/engine.hpp"

namespace pg_seats::worker {

// Lists to begin with now.
std::vector<Flight> due_event_lists(Engine& engine);

// A page has come: it is stored, and the next one asked for.
void events_answered(Engine& engine, Flight flight);

}  // namespace pg_seats::worker
