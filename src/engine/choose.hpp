// Which of what is ready goes next: destinations take turns, and so do rows, lanes and reads.
#pragma once

#include "engine/memory.hpp"

namespace pg_seats::engine {

// The rows to try now, at most `limit`: pops them off the ready lists, looks up the first rows of
// lanes, takes a token of its destination for each.
std::vector<Candidate> choose_candidates(Engine& engine, int limit);

// The first suspect whose destination takes calls: it goes alone, before everybody else.
std::deque<Candidate>::iterator ready_suspect(Engine& engine);

// True if a claim could find something to do without being woken.
bool has_ready(Engine& engine, TimePoint now);

// When to look again without being woken.
std::optional<core::Duration> until_ready(Engine& engine, TimePoint now);

}  // namespace pg_seats::engine
