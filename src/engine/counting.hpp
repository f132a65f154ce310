// How many rows of which kind the tables have, for whoever looks at health and metrics: counted
// here, so that a look costs the same at a million rows. A small table is not counted here but by
// whoever looks (schema/health/counted.sql).
#pragma once

#include "engine/memory.hpp"

namespace pg_seats::engine {

// A slice of what is being counted; or whether there is something to count. Never takes longer than
// a few milliseconds.
void count_rows(Engine& engine);

// How long until it is called for again; max(): until something moves, or the next safety poll.
[[nodiscard]] core::Duration until_count(const Engine& engine);

}  // namespace pg_seats::engine
