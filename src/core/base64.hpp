// Base64 by RFC 4648 section 4, with padding.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/pure.hpp"

namespace pg_seats::core {

[[nodiscard]] std::string base64_encode(std::string_view bytes);

// Strict: nothing but what base64_encode() can have written. (Two texts for the same bytes would be
// two secrets that are one.)
[[nodiscard]] std::optional<std::string> base64_decode(std::string_view text);

}  // namespace pg_seats::core
