// What the launcher does about the processes that run applications' handlers (src/handlers).
#pragma once

namespace pg_seats::process {

// Registers what a database's worker wants, notices what has ended, and gives the milliseconds
// until the next look. May raise; for the launcher, in a transaction, through guard(). While a
// worker itself finds no place in the server, no process is started, and idle ones leave.
long look_after_handlers(bool a_worker_lacks_a_slot);

}  // namespace pg_seats::process
