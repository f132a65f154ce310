// When a destination stops and goes on, and storing that with whatever else was found out about it
// (pinned accounts, clocks, keys): in memory at once, in the table with the next transaction.
#pragma once

#include "engine/memory.hpp"

namespace pg_seats::engine {

enum class NeedsPerson : std::uint8_t { no, yes };

// Stops the destination at once in memory; the table and the alert follow with
// store_destination_changes(). `reason` is a stable word, `message` for people. One that is halted
// already takes the new words: what is wrong may have changed.
void halt(Destination& destination, std::string_view reason, std::string_view message,
          NeedsPerson needs_person);

// A probe has succeeded: a halt that needs no person is over.
void resume(Destination& destination);

// Writes what was found out about destinations (halts, resumptions, pinned accounts) to the table,
// with its alerts.
void store_destination_changes(Engine& engine);

}  // namespace pg_seats::engine
