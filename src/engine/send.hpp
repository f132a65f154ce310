// Send: the second of the loop's three steps, outside of every transaction.
#pragma once

#include "engine/memory.hpp"

namespace pg_seats::engine {

// Hands the request to curl. From here on its outcome is unknown until an answer says otherwise.
void send(Engine& engine, Flight&& flight);

// Those of engine.to_send.
void send_all(Engine& engine);

}  // namespace pg_seats::engine
