// The worker's loop: claim (transaction), send (no transaction), settle (transaction).
#pragma once

#include "pg/shared_state.hpp"

namespace pg_seats::engine {

enum class LoopEnd : std::uint8_t { extension_gone, version_mismatch, step_aside };

// Runs until there is nothing to do any more in this database. SIGTERM ends the process from
// within, like everywhere in the server.
LoopEnd run_loop(pg::WorkerSlot& slot);

}  // namespace pg_seats::engine
