// The life of a process that runs applications' handlers: from the postmaster's fork to its end.
#pragma once

#include "pg/postgres.hpp"

// Where the postmaster starts it; the argument is the number of its slot.
extern "C" PGDLLEXPORT void pg_seats_handler_main(Datum slot);
