// Registering the processes that the launcher starts.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "postmaster/bgworker.h"
}

namespace pg_seats::process {

struct NewProcess {
    const char* type;      // as pg_stat_activity has it
    const char* name;      // as ps and the log have it
    const char* function;  // of the library, where it begins
    Datum argument;
};

// Gives what tells of its end, for as long as the launcher lives; nullptr: the server has no free
// slot for it. May raise.
BackgroundWorkerHandle* register_process(const NewProcess& process);

}  // namespace pg_seats::process
