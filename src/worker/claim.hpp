// Claim and freeze: the first of the loop's three steps, one transaction, committed synchronously
// before a byte leaves.
#pragma once

#include "worker/engine.hpp"

namespace pg_seats::worker {

// What was frozen (Purpose::send) or taken for verification, ready to be sent. Empty if there is
// nothing, or if it failed (the rows are looked at again).
std::vector<Flight> claim(Engine& engine);

}  // namespace pg_seats::worker
