// Apart from its users, because jansson and the server both have a function json_object().
#pragma once

#include <string_view>

#include "core/pure.hpp"

namespace pg_seats::core {

// One whole JSON value in UTF-8.
[[nodiscard]] bool is_json(std::string_view text);

}  // namespace pg_seats::core
