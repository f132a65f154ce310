// What the worker does beside its calls: alerts and journal told, history turned over, and its own
// state shown.
#pragma once

#include "engine/memory.hpp"

namespace pg_seats::engine {

// Numbers the journal and sends NOTIFY, if there may be something to tell.
void announce(Engine& engine);

// Puts into the outbox what receivers are to be told of alerts and of the journal.
void tell_receivers(Engine& engine);

// What comes within this time is told together.
constexpr core::Duration pause_between_tellings{1'000};

bool has_receivers(const Engine& engine);

// Retention, and the alert that tells a person about the fence; seldom.
void keep_house(Engine& engine);

constexpr core::Duration pause_between_shows{100};

// Writes what worker_status and destinations show into shared memory, a few times a second at most.
void show_state(Engine& engine);

// Wakes the sessions that wait for what was settled. After the commit.
void wake_waiters(Engine& engine);

// After a person's verb, which may have settled anything.
void wake_all_waiters();

}  // namespace pg_seats::engine
