// A row's way, a line a step, for whoever looks for it in the server's log at DEBUG1. Nothing is
// put together where nobody reads it, and nothing is told that may be secret: no body, no answer,
// no header, and no address of a receiver.
#pragma once

#include "engine/settle.hpp"

namespace pg_seats::engine {

using core::Decision;

void trace_claimed(const Flight& flight);
void trace_sent(const Flight& flight, std::uint64_t request);
void trace_answered(const Flight& flight);
void trace_decided(const Flight& flight, const Decision& decision);
// `left`: it was settled, or changed, behind our back.
void trace_stored(const Settlement& item, bool left);

}  // namespace pg_seats::engine
