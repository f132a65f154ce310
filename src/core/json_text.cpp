#include "core/json_text.hpp"

#include "core/json.hpp"

namespace pg_seats::core {

bool is_json(std::string_view text) {
    return core::parse_json(text) != nullptr;
}

}  // namespace pg_seats::core
