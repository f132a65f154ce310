// The launcher: one process of the server, in no database, that keeps one worker in each database
// that has the extension. README.md has the picture.
#pragma once

#include "pg/postgres.hpp"

namespace pg_seats::process {

// To be called in _PG_init of the postmaster only.
void register_launcher();

}  // namespace pg_seats::process

extern "C" PGDLLEXPORT void pg_seats_launcher_main(Datum argument);
