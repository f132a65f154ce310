// News: the journal gets its numbers, NOTIFY is sent, and receivers are told.
#pragma once

#include "engine/memory.hpp"

namespace pg_seats::engine {

// Numbers the journal and sends NOTIFY, if there may be something to tell.
void announce(Engine& engine);

// Puts into the outbox what receivers are to be told of alerts and of the journal.
void deliver_news(Engine& engine);

// What comes within this time is told together.
constexpr core::Duration pause_between_deliveries{1'000};

bool has_receivers(const Engine& engine);

}  // namespace pg_seats::engine
