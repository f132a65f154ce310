// The worker's hooks into other sessions' commands. To be called in _PG_init of the postmaster
// only.
#pragma once

namespace pg_seats::process {

// CREATE, ALTER and DROP EXTENSION, CREATE DATABASE: the launcher and the worker are told at
// commit.
void watch_extension_events();

// DROP DATABASE and its like: the worker steps aside. COMMIT PREPARED: the worker is woken.
void watch_utility_commands();

}  // namespace pg_seats::process
