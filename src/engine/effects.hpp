// What a decision wants of the worker's memory, at once, before anything is stored.
#pragma once

#include "engine/memory.hpp"

namespace pg_seats::engine {

void apply(Engine& engine, const Flight& flight, const core::Effects& effects);

}  // namespace pg_seats::engine
