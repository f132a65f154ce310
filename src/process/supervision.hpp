// What the launcher knows about the workers, and what it does about them.
#pragma once

namespace pg_seats::process {

// Notices ended workers and new requests, starts what is due, and gives the milliseconds until the
// next thing is. May raise; for the launcher, in a transaction, through guard().
long look_after_workers();

// A worker waits for a background worker slot of the server.
[[nodiscard]] bool a_worker_lacks_a_slot() noexcept;

// The next look takes in every database; raises nothing.
void ask_for_all_databases() noexcept;

}  // namespace pg_seats::process
