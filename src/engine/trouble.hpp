// When the database itself is in trouble (disk full, read-only, …): nobody's row is to blame. What
// is known is kept, and everything waits a moment, longer each time.
#pragma once

#include "engine/memory.hpp"

namespace pg_seats::engine {

// For logs, alerts and what the worker shows.
[[nodiscard]] std::string in_words(const pg::Failure& failure);

// `what` did not go through: answers are kept, and nothing new is begun for a moment. (Not where
// the worker has to go.)
void pause(Engine& engine, const pg::Failure& failure, std::string_view what);

// What was tried after a failure has gone through.
void trouble_is_over(Engine& engine);

}  // namespace pg_seats::engine
