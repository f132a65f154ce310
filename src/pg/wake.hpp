// Waking the worker when a transaction that left something for it commits, and only then.
#pragma once

#include "pg/postgres.hpp"

namespace pg_seats::pg {

// Remembers that the current transaction has something for this database's worker (WakeReason).
// Warns once per session if there can be no worker.
void wake_worker_at_commit(std::uint32_t reasons);

// Remembers that calls which the current transaction has ended have handlers, for the worker's
// dispatcher.
void hand_over_at_commit(const std::int64_t* calls, int count);

// Asks the launcher, at commit, to look into a database (CREATE EXTENSION, CREATE DATABASE).
void probe_at_commit(Oid database);

}  // namespace pg_seats::pg
