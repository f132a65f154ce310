// Destinations: read from the table, given their key, proven by a probe, halted and resumed.
#pragma once

#include "engine/memory.hpp"

namespace pg_seats::engine {

// Reads installation and destinations anew when they may have changed, and says whether this
// database may send (the fence).
void refresh_configuration(Engine& engine);

// Looks whether key files or the installation's file have changed, at most once a second.
void watch_files(Engine& engine);

// Leaves reads that are due now in engine.to_send: of destinations whose key is not proven, that
// are halted, or whose breaker is half open. Never somebody's purchase.
void due_probes(Engine& engine);

// A probe's answer.
void probe_answered(const Flight& flight);

// Writes what was found out about destinations (halts, resumptions, pinned accounts) to the table,
// with its alerts. True if there was something to write.
bool store_destination_changes(Engine& engine);

std::optional<core::Duration> until_probe(const Engine& engine, TimePoint now);

}  // namespace pg_seats::engine
