// When the database itself is in trouble (disk full, read-only, …): nobody's row is to blame. What
// is known is kept, and everything waits a moment, longer each time.
#pragma once

#include "engine/memory.hpp"

namespace pg_seats::engine {

// For logs, alerts and what the worker shows.
[[nodiscard]] std::string in_words(const pg::Failure& failure);

// Nothing new is claimed for a moment.
void pause(Engine& engine, const pg::Failure& failure, std::string_view what);

// What has to be done before anything else did not go through.
void cannot_begin(Engine& engine, const pg::Failure& failure, std::string_view what);

// Settling is impossible for now (disk full, read-only, …): the answers are kept, nothing new is
// claimed for a moment.
void settling_failed(Engine& engine, const pg::Failure& failure);

// What was tried after a failure has gone through.
void trouble_is_over(Engine& engine);

}  // namespace pg_seats::engine
