// Chores: what is done now and then, beside the calls.
#pragma once

#include "engine/memory.hpp"

namespace pg_seats::engine {

// Those that are due: the alert that tells a person about the fence, invites that expire, the sweep
// over subscriptions, the ring of history, counting teams by other prices, forgetting what is old.
void keep_house(Engine& engine);

}  // namespace pg_seats::engine
