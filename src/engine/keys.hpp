// Keys of destinations, and secrets of receivers: read from their files, never from a table.
#pragma once

#include "engine/memory.hpp"

namespace pg_seats::engine {

// Reads the key anew. One of Stripe's is proven by a probe before it is used for a call; without
// one the destination halts.
void load_key(Engine& engine, Destination& destination);

}  // namespace pg_seats::engine
