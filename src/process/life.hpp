// A worker's life: from the postmaster's fork to its end, everything but the work itself.
#pragma once

#include "pg/postgres.hpp"

// Where the postmaster starts a worker; the argument is its database's OID.
extern "C" PGDLLEXPORT void pg_seats_worker_main(Datum database);
