#include "core/parsed_body.hpp"

#include <string.h>  // explicit_bzero

#include "core/json.hpp"

namespace pg_seats::core {

void JsonRelease::operator()(json_t* value) const noexcept {
    json_decref(value);
}

void wipe_texts(json_t* value) noexcept {
    if (json_is_string(value)) {
        explicit_bzero(const_cast<char*>(json_string_value(value)), json_string_length(value));
    }
    for (std::size_t i = 0; i < json_array_size(value); ++i) {
        wipe_texts(json_array_get(value, i));
    }
    for (void* at = json_object_iter(value); at != nullptr; at = json_object_iter_next(value, at)) {
        wipe_texts(json_object_iter_value(at));
    }
}

ParsedBody::ParsedBody(std::string_view text) noexcept : root_(parse_json(text)) {}

void ParsedBody::wipe() noexcept {
    wipe_texts(root_.get());
    root_.reset();
}

}  // namespace pg_seats::core
