// What an application's code may take: time, memory, disk; and what it may leave behind: nothing.
#pragma once

namespace pg_seats::handlers {

// Once the process is connected.
void prepare_limits();

// The memory that the process may have; again when the setting may be another.
void limit_memory();

// So much is in use that there is little left for the next one: a fresh process does better.
[[nodiscard]] bool is_swollen() noexcept;

// From now until all code of the application's has run that belongs to this transaction, deferred
// triggers included; a transaction's end ends it in any case. After the time it is cancelled; a
// second later, if it goes on all the same, the process ends.
void begin_time_limit();
[[nodiscard]] bool took_too_long() noexcept;

// What a handler leaves in the session is not for the next one. False: that cannot be taken away
// (temporary tables), and the process has to end.
[[nodiscard]] bool clean_session();

}  // namespace pg_seats::handlers
