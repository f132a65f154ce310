// What the worker before us left: repaired once, after the session lock is ours.
#pragma once

#include "engine/memory.hpp"

namespace pg_seats::engine {

// False if it failed; the loop tries it again.
bool recover(Engine& engine);

}  // namespace pg_seats::engine
