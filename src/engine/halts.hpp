// What was found out about destinations: halts, resumptions, pinned accounts, clocks and whatever
// else a person is to know of them. Found in memory first, stored here.
#pragma once

#include "engine/memory.hpp"

namespace pg_seats::engine {

// A probe has succeeded: a halt that needs no person is over.
void resume(Destination& destination);

// Writes what was found out about destinations (halts, resumptions, pinned accounts) to the table,
// with its alerts. True if there was something to write.
bool store_destination_changes(Engine& engine);

}  // namespace pg_seats::engine
