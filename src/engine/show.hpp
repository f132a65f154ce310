// What others see of the worker: its state in shared memory, and that something was settled.
#pragma once

#include "engine/memory.hpp"

namespace pg_seats::engine {

constexpr core::Duration pause_between_shows{100};

// Writes what worker_status and destinations show into shared memory, a few times a second at most.
void show_state(Engine& engine);

// Wakes the sessions that wait for what was settled. After the commit.
void wake_waiters(Engine& engine);

// After a person's verb, which may have settled anything.
void wake_all_waiters();

}  // namespace pg_seats::engine
