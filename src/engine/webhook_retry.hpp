// Events that could not be processed when they came (somebody had locked what they change, or an
// error), and those found in Stripe's list.
#pragma once

#include "engine/memory.hpp"

namespace pg_seats::engine {

// Processes some of those that are due.
void retry_webhooks(Engine& engine);

}  // namespace pg_seats::engine
