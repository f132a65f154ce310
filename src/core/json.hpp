// jansson behind value types. Nothing here throws except for lack of memory, and every look-up
// accepts a null or a value of another type and then finds nothing.
#pragma once

#include <jansson.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/parsed_body.hpp"

#include "core/pure.hpp"

namespace pg_seats::core {

// Of all that jansson has in its memory nothing is left there when it is given back: an answer may
// hold a client secret.
void overwrite(void* memory) noexcept;
void overwrite_and_free(void* memory) noexcept;
[[nodiscard]] Json load_json(std::string_view text, std::size_t flags,
                             json_error_t* error) noexcept;

// The whole text must be one JSON value in UTF-8, nothing after it; null otherwise (also where an
// integer does not fit 64 bits). jansson itself limits the depth to 2048.
[[nodiscard]] inline Json parse_json(std::string_view text,
                                     json_error_t* error = nullptr) noexcept {
    return load_json(text, JSON_ALLOW_NUL, error);
}

[[nodiscard]] inline const json_t* member(const json_t* object, const char* name) noexcept {
    return json_object_get(object, name);
}

[[nodiscard]] inline std::string_view text_of(const json_t* value) noexcept {
    if (!json_is_string(value)) {
        return {};
    }
    return {json_string_value(value), json_string_length(value)};
}

[[nodiscard]] inline std::string_view text_member(const json_t* object, const char* name) noexcept {
    return text_of(member(object, name));
}

[[nodiscard]] inline std::optional<bool> bool_member(const json_t* object,
                                                     const char* name) noexcept {
    const json_t* const value = member(object, name);
    if (!json_is_boolean(value)) {
        return std::nullopt;
    }
    return json_is_true(value);
}

// There, and not null.
[[nodiscard]] inline bool has_member(const json_t* object, const char* name) noexcept {
    const json_t* const value = member(object, name);
    return value != nullptr && !json_is_null(value);
}

// The array of a list of Stripe's; null of anything else.
[[nodiscard]] inline const json_t* elements_of_list(const json_t* list) noexcept {
    const json_t* const data = member(list, "data");
    return text_member(list, "object") == "list" && json_is_array(data) ? data : nullptr;
}

}  // namespace pg_seats::core
