// What functions share that commit and then wait: what they refuse, how long they wait, and how
// they sleep between two looks.
//
// These raise and hold no C++ objects: they are called below a guard.
#pragma once

#include "core/pace.hpp"

#include "pg/postgres.hpp"

namespace pg_seats {

constexpr long longest_wait_ms = 24L * 60 * 60 * 1000;

// Where the caller's transaction cannot be committed.
void refuse_atomic(FunctionCallInfo fcinfo);
void refuse_without_worker();

// A timeout; null, which is the default, is the setting: short, because whoever waits holds a
// connection, and when Stripe is down everybody waits.
[[nodiscard]] long timeout_ms(FunctionCallInfo fcinfo, int argument, long most);

// Among those who wait, of which there are only so many. Left by itself when the process ends.
void take_place();
void leave_place();

// How long to sleep until the next look; 0: the time is up.
[[nodiscard]] long next_slice_ms(core::TimePoint deadline, bool in_procedure);
[[nodiscard]] std::uint32_t wait_event();

}  // namespace pg_seats
