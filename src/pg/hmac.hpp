// HMAC-SHA256 by the server's own means, also outside of transactions.
#pragma once

#include <optional>
#include <string_view>

#include "core/webhook_signature.hpp"

namespace pg_seats::pg {

[[nodiscard]] std::optional<core::Digest> hmac_sha256(std::string_view key,
                                                      std::string_view message);

}  // namespace pg_seats::pg
