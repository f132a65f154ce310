// The slot of this process in shared memory. process/life enters it and takes it out again; whoever
// works in the process reads and shows there what concerns the worker as a whole.
#pragma once

#include "pg/shared_state.hpp"

namespace pg_seats::pg {

// nullptr in a process that is no worker.
WorkerSlot* own_slot() noexcept;
void set_own_slot(WorkerSlot* slot) noexcept;

// Somebody wants the database for himself: the worker is to leave it. The bit wake_step_aside only
// says that it is time to ask: its sender may have gone away already.
bool must_step_aside() noexcept;

// The worker before this one did not end in good order: what was on the wire may have ended it.
// Until somebody has dealt with it.
bool last_worker_crashed() noexcept;
void set_last_worker_crashed(bool crashed) noexcept;

// Shows what is wrong with this worker as a whole in its slot; empty: nothing is.
void set_trouble(std::string_view text) noexcept;

}  // namespace pg_seats::pg
