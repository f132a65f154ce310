// The door (entry.cpp), for a verb that has one of its own for a part of what it does.
#pragma once

#include "pg/postgres.hpp"

namespace pg_seats {

// Raises. Calls the function of the same name in schema seats_internal as the extension's owner,
// with the caller's name in front, and wakes the worker at the commit.
Datum call_internal(FunctionCallInfo fcinfo, std::uint32_t wakes);

}  // namespace pg_seats
