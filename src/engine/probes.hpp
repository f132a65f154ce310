// Probes: reads by which a key is proven, and a destination that has stopped is tried.
#pragma once

#include "engine/memory.hpp"

namespace pg_seats::engine {

// Leaves reads that are due now in engine.to_send: of destinations whose key is not proven, that
// are halted, or whose breaker is half open. Never somebody's purchase.
void due_probes(Engine& engine);

// A probe's answer.
void probe_answered(const Flight& flight);

std::optional<core::Duration> until_probe(const Engine& engine, TimePoint now);

}  // namespace pg_seats::engine
