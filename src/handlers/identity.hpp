// As whom the process works: as the one role that it serves, until its end.
#pragma once

#include "handlers/slot.hpp"

namespace pg_seats::handlers {

// Ends the process if there is no such role, or it may not connect.
void connect(const Place& place);

// To be called at the beginning of each transaction, and when it is over: it must still hold while
// the commit runs what was deferred. A role without LOGIN is served by a connection of the
// bootstrap superuser until PostgreSQL 16, which would be open to everybody who says RESET SESSION
// AUTHORIZATION; the flag that is set here forbids that.
void assume_role() noexcept;
void after_transaction() noexcept;

// Raises, and ends the process, if the role is a superuser now and was none, or the other way
// round. In a transaction only.
void require_same_rights();

// False once a handler has become somebody else and has stayed so.
[[nodiscard]] bool is_own_role() noexcept;
[[nodiscard]] Oid own_role() noexcept;

}  // namespace pg_seats::handlers
