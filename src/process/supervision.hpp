// What the launcher knows about the workers, and what it does about them.
#pragma once

namespace pg_seats::process {

// Notices ended workers and new requests, starts what is due, and gives the milliseconds until the
// next thing is. May raise; for the launcher, in a transaction, through guard().
long look_after_workers();

// The next look takes in every database; raises nothing.
void ask_for_all_databases() noexcept;

}  // namespace pg_seats::process
