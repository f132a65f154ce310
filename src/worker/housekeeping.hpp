// What the worker does beside its calls: alerts and journal told, history turned over, and its own
// state shown.
#pragma once

#include "worker/engine.hpp"

namespace pg_seats::worker {

// Numbers the journal and sends NOTIFY, if there may be something to tell.
void announce(Engine& engine);

// Retention, and the alert that tells a person about the fence; seldom.
void keep_house(Engine& engine);

// Writes what worker_status and destinations show into shared memory, a few times a second at most.
void show_state(Engine& engine);

// Wakes the sessions that wait for what was settled. After the commit.
void wake_waiters(Engine& engine);

}  // namespace pg_seats::worker
