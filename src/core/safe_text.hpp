// Texts for people: no secret, no control character, valid UTF-8, bounded.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "core/pure.hpp"

namespace pg_seats::core {

// Replaces anything that looks like a key or secret (sk_…, rk_…, whsec_…, …_secret_…, Bearer …) and
// control characters in a text meant for people; at most `limit` bytes, cut at a UTF-8 border,
// always valid UTF-8.
[[nodiscard]] std::string safe_text(std::string_view text, std::size_t limit);

[[nodiscard]] bool is_valid_utf8(std::string_view text);

}  // namespace pg_seats::core
