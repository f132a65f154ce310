#include "core/parsed_body.hpp"

#include "core/json.hpp"

namespace pg_seats::core {

void JsonRelease::operator()(json_t* value) const noexcept {
    json_decref(value);
}

ParsedBody::ParsedBody(std::string_view text) noexcept : root_(parse_json(text)) {}

}  // namespace pg_seats::core
