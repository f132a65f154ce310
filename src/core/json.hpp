// JSON that others have written, to be read: value types before simdjson, which only json.cpp sees.
// Every look-up accepts what is missing, or of another type, and then finds nothing. None throws.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "core/pure.hpp"

namespace pg_seats::core {

enum class JsonKind { missing, null, boolean, integer, other_number, text, array, object };

// A place in a ParsedBody, good as long as that lives; false: there is nothing.
class JsonValue {
  public:
    JsonValue() = default;
    [[nodiscard]] explicit operator bool() const noexcept { return words_ != Words{}; }

  private:
    friend struct JsonDoor;
    using Words = std::array<std::uintptr_t, 2>;
    Words words_{};
};

struct JsonMember {
    std::string_view name;
    JsonValue value;
};

[[nodiscard]] JsonKind kind_of(JsonValue value) noexcept;

// Of a name that comes twice the last value counts.
[[nodiscard]] JsonValue member(JsonValue object, std::string_view name) noexcept;

[[nodiscard]] std::string_view text_of(JsonValue value) noexcept;

// Written without a fraction or exponent, and within 64 bits.
[[nodiscard]] std::optional<std::int64_t> integer_of(JsonValue value) noexcept;

// Of any number, as near as a double comes to it.
[[nodiscard]] double number_of(JsonValue value) noexcept;

[[nodiscard]] std::optional<bool> boolean_of(JsonValue value) noexcept;

// In their order, or the first of them. (These two need memory, and throw where there is none.)
[[nodiscard]] std::vector<JsonValue> elements_of(JsonValue array, std::size_t most = SIZE_MAX);
[[nodiscard]] std::vector<JsonMember> members_of(JsonValue object);

[[nodiscard]] inline bool is_object(JsonValue value) noexcept {
    return kind_of(value) == JsonKind::object;
}

[[nodiscard]] inline bool is_array(JsonValue value) noexcept {
    return kind_of(value) == JsonKind::array;
}

[[nodiscard]] inline std::string_view text_member(JsonValue object,
                                                  std::string_view name) noexcept {
    return text_of(member(object, name));
}

[[nodiscard]] inline std::optional<bool> bool_member(JsonValue object,
                                                     std::string_view name) noexcept {
    return boolean_of(member(object, name));
}

// There, and not null.
[[nodiscard]] inline bool has_member(JsonValue object, std::string_view name) noexcept {
    const JsonKind kind = kind_of(member(object, name));
    return kind != JsonKind::missing && kind != JsonKind::null;
}

// The array of a list of Stripe's; nothing of anything else.
[[nodiscard]] inline JsonValue array_of_list(JsonValue list) noexcept {
    const JsonValue data = member(list, "data");
    return text_member(list, "object") == "list" && is_array(data) ? data : JsonValue();
}

}  // namespace pg_seats::core
