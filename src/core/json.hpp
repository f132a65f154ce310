// A JSON text as a tree of values that lie in it (see ParsedBody): nothing is copied out of it, and
// every look-up accepts a null or a value of another kind and then finds nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "core/pure.hpp"

namespace pg_seats::core {

enum class JsonKind : std::uint8_t { null, boolean, integer, real, text, array, object };

// Lives as long as the body that it was read of.
struct JsonValue {
    JsonKind kind = JsonKind::null;
    bool truth = false;      // of a boolean
    std::uint32_t size = 0;  // bytes of a text or a real as it stands there; elements, members
    union {
        std::int64_t number = 0;
        const char* bytes;
        const JsonValue* inner;
        std::size_t place;  // of the inner ones, while the text is read
    };
    // Of a member.
    const char* name = nullptr;
    std::uint32_t name_size = 0;
    std::uint32_t name_hash = 0;
};

[[nodiscard]] inline bool is_kind(const JsonValue* value, JsonKind kind) noexcept {
    return value != nullptr && value->kind == kind;
}
[[nodiscard]] inline bool is_object(const JsonValue* value) noexcept {
    return is_kind(value, JsonKind::object);
}
[[nodiscard]] inline bool is_array(const JsonValue* value) noexcept {
    return is_kind(value, JsonKind::array);
}

// A real as it stands in the text; else the text, without its escapes.
[[nodiscard]] inline std::string_view bytes_of(const JsonValue& value) noexcept {
    return {value.bytes, value.size};
}
[[nodiscard]] inline std::string_view name_of(const JsonValue& member) noexcept {
    return {member.name, member.name_size};
}

[[nodiscard]] inline std::span<const JsonValue> elements(const JsonValue* array) noexcept {
    return is_array(array) ? std::span(array->inner, array->size) : std::span<const JsonValue>();
}
// Each name once: where it comes twice, the last one counts.
[[nodiscard]] inline std::span<const JsonValue> members(const JsonValue* object) noexcept {
    return is_object(object) ? std::span(object->inner, object->size)
                             : std::span<const JsonValue>();
}

[[nodiscard]] inline const JsonValue* member(const JsonValue* object,
                                             std::string_view name) noexcept {
    for (const JsonValue& member : members(object)) {
        if (name_of(member) == name) {
            return &member;
        }
    }
    return nullptr;
}

[[nodiscard]] inline std::string_view text_of(const JsonValue* value) noexcept {
    return is_kind(value, JsonKind::text) ? bytes_of(*value) : std::string_view();
}

[[nodiscard]] inline std::string_view text_member(const JsonValue* object,
                                                  std::string_view name) noexcept {
    return text_of(member(object, name));
}

[[nodiscard]] inline std::optional<bool> bool_member(const JsonValue* object,
                                                     std::string_view name) noexcept {
    const JsonValue* const value = member(object, name);
    return is_kind(value, JsonKind::boolean) ? std::optional(value->truth) : std::nullopt;
}

// There, and not null.
[[nodiscard]] inline bool has_member(const JsonValue* object, std::string_view name) noexcept {
    const JsonValue* const value = member(object, name);
    return value != nullptr && value->kind != JsonKind::null;
}

// The array of a list of Stripe's; null of anything else.
[[nodiscard]] inline const JsonValue* elements_of_list(const JsonValue* list) noexcept {
    const JsonValue* const data = member(list, "data");
    return text_member(list, "object") == "list" && is_array(data) ? data : nullptr;
}

}  // namespace pg_seats::core
