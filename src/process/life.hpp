// A worker's life: from the postmaster's fork to its end, everything but the work itself.
#pragma once

#include "pg/shared_state.hpp"

namespace pg_seats::worker {

// This process's slot; nullptr in a process that is no worker.
pg::WorkerSlot* own_slot() noexcept;

// Somebody wants the database for himself: the loop should end with LoopEnd::step_aside. The bit
// wake_step_aside only says that it is time to ask: its sender may have gone away already.
bool must_step_aside() noexcept;

// The worker before this one did not end in good order: what was on the wire may have ended it.
// Until somebody has dealt with it.
bool last_worker_crashed() noexcept;
void last_worker_is_dealt_with() noexcept;

// Shows what is wrong with this worker as a whole in its slot; empty: nothing is.
void set_trouble(std::string_view text) noexcept;

}  // namespace pg_seats::worker

// Where the postmaster starts a worker; the argument is its database's OID.
extern "C" PGDLLEXPORT void pg_seats_worker_main(Datum database);
