// jansson behind value types: JSON that is changed and written again, or that the application gives
// us. (What others have written is read by json.hpp.)
#pragma once

#include <jansson.h>

#include <memory>
#include <string_view>

#include "core/json.hpp"

#include "core/pure.hpp"

namespace pg_seats::core {

struct JsonRelease {
    void operator()(json_t* value) const noexcept;
};
// An owned reference. Borrowed ones are plain pointers, valid while the root lives.
using Json = std::unique_ptr<json_t, JsonRelease>;

// Of all that jansson has in its memory nothing is left there when it is given back: an answer may
// hold a client secret.
void overwrite(void* memory) noexcept;
void overwrite_and_free(void* memory) noexcept;

// The whole text must be one JSON value in UTF-8, nothing after it; null otherwise (also where an
// integer does not fit 64 bits). jansson itself limits the depth to 2048.
[[nodiscard]] Json load_json(std::string_view text, json_error_t* error) noexcept;

// Of a name that comes twice the last value; null for lack of memory. (jansson's names end at a NUL
// byte: whatever has one in its name is left out.)
[[nodiscard]] Json copy_of(JsonValue value);

}  // namespace pg_seats::core
