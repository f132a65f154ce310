// What may have ended the worker before us is looked at by itself, and the table says so meanwhile:
// if the worker ends again, we know whose answer it was.
#pragma once

#include "engine/memory.hpp"

namespace pg_seats::engine {

// A row that was on the wire at more than one crash; a probe or a list of events, for a time after
// a crash for which no row can be blamed.
[[nodiscard]] bool is_suspect(const Engine& engine, const Flight& flight);

// Before its answer is read. False if that could not be stored.
[[nodiscard]] bool mark_suspect(Engine& engine, const Flight& flight);

// Its request is with curl, or its answer was read and stored: it was not what ended a worker.
void unmark_suspects(Engine& engine);

}  // namespace pg_seats::engine
