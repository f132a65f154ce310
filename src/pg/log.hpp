// Lines for the server log, and the server's interrupts, for C++ code.
#pragma once

#include "pg/error.hpp"

namespace pg_seats::pg {

// One line at LOG level. The text must already be free of secrets (core::safe_text).
void log_line(std::string_view text);

// Same, for what a person should notice.
void log_warning(std::string_view text, std::string_view hint = {});

// CHECK_FOR_INTERRUPTS: a cancel comes as ServerError, a termination ends the process.
void check_interrupts();

// Rereads the configuration file if a SIGHUP came. True if it did.
bool reload_configuration_if_asked();

TimestampTz now();

}  // namespace pg_seats::pg
