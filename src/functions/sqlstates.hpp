// The SQLSTATEs of enqueueing, of waiting, of webhooks and of client secrets. docs/errors.md says
// of each when it comes and what to do.
#pragma once

#include "pg/postgres.hpp"

namespace pg_seats::sqlstate {

constexpr int unknown_destination = MAKE_SQLSTATE('P', 'S', '1', '0', '1');
constexpr int destination_takes_no_calls = MAKE_SQLSTATE('P', 'S', '1', '0', '2');
constexpr int invalid_method = MAKE_SQLSTATE('P', 'S', '1', '0', '3');
constexpr int invalid_call_path = MAKE_SQLSTATE('P', 'S', '1', '0', '4');
constexpr int invalid_parameters = MAKE_SQLSTATE('P', 'S', '1', '0', '5');
constexpr int too_large = MAKE_SQLSTATE('P', 'S', '1', '0', '6');
constexpr int invalid_lane = MAKE_SQLSTATE('P', 'S', '1', '0', '7');
constexpr int invalid_verifier = MAKE_SQLSTATE('P', 'S', '1', '0', '8');
constexpr int no_installation = MAKE_SQLSTATE('P', 'S', '1', '0', '9');
constexpr int installation_file_not_written = MAKE_SQLSTATE('P', 'S', '1', '1', '0');

constexpr int no_such_call = MAKE_SQLSTATE('P', 'S', '1', '2', '0');
constexpr int cannot_wait_here = MAKE_SQLSTATE('P', 'S', '1', '2', '1');
constexpr int too_many_waiters = MAKE_SQLSTATE('P', 'S', '1', '2', '2');
constexpr int nothing_to_wait_for = MAKE_SQLSTATE('P', 'S', '1', '2', '3');
constexpr int invalid_timeout = MAKE_SQLSTATE('P', 'S', '1', '2', '4');

constexpr int no_such_change = MAKE_SQLSTATE('P', 'S', '5', '1', '4');

constexpr int unknown_webhook_endpoint = MAKE_SQLSTATE('P', 'S', '6', '0', '1');

constexpr int too_many_secrets_wanted = MAKE_SQLSTATE('P', 'S', '8', '1', '5');

}  // namespace pg_seats::sqlstate
