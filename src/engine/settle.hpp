// Settle: the last of the loop's three steps. A batch in one transaction, set-wise; if it raises,
// each call in a transaction of its own.
#pragma once

#include "engine/memory.hpp"
#include "kinds/kind.hpp"

namespace pg_seats::engine {

using kinds::Settlement;

// Stores the batch and wakes who waits for it. What could not be stored stays in `batch` and is
// tried again later; meanwhile nothing new is claimed. An answer whose row, or whose team, somebody
// else has locked goes to `held`: it holds up nobody.
void settle(Engine& engine, std::vector<Settlement>& batch, std::vector<Settlement>& held);

// Puts those back into the batch whose rows are free again.
void settle_held(Engine& engine, std::vector<Settlement>& held, std::vector<Settlement>& batch);

}  // namespace pg_seats::engine
