// Running a batch of handlers: each in a transaction of its own, together with the mark that it
// ran.
#pragma once

#include "handlers/slot.hpp"

namespace pg_seats::handlers {

// What becomes of each stands in the slot. False: the process has to end now.
[[nodiscard]] bool run_batch(const Batch& batch);

}  // namespace pg_seats::handlers
