// What a secret looks like in a text.
#pragma once

#include <string>

#include "core/pure.hpp"

namespace pg_seats::core {

// Replaces client secrets (pi_123_secret_abc) inside a text; true if there were any.
[[nodiscard]] bool cut_client_secrets(std::string& text);

}  // namespace pg_seats::core
