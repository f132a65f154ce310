// Claim and freeze: the first of the loop's three steps, one transaction, committed synchronously
// before a byte leaves.
#pragma once

#include "engine/memory.hpp"

namespace pg_seats::engine {

// Leaves what was frozen (Purpose::send) or taken for verification in engine.to_send. Nothing, if
// there is nothing or it failed (the rows are looked at again).
void claim(Engine& engine);

}  // namespace pg_seats::engine
