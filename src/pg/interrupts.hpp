// The server's interrupts, for C++ code.
#pragma once

#include "pg/error.hpp"

namespace pg_seats::pg {

// CHECK_FOR_INTERRUPTS: a cancel comes as ServerError, a termination ends the process.
void check_interrupts();

// Rereads the configuration file if a SIGHUP came. True if it did.
bool reload_configuration_if_asked();

}  // namespace pg_seats::pg
