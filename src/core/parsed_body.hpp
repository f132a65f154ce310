// A JSON text, parsed once for whoever reads it.
#pragma once

#include <memory>
#include <string_view>

#include "core/json.hpp"

#include "core/pure.hpp"

namespace pg_seats::core {

struct JsonDocument;

// Of all that was in its memory no text is left there when it is given back: an answer may hold a
// client secret.
struct WipesDocument {
    void operator()(JsonDocument* document) const noexcept;
};

class ParsedBody {
  public:
    ParsedBody() = default;
    // The whole text must be one JSON value in UTF-8, and nothing after it; else there is no root
    // (also where an integer fits no 64 bits, with or without a sign, and below 1024 levels).
    // Throws for lack of memory: that says nothing about the text.
    explicit ParsedBody(std::string_view text);

    [[nodiscard]] JsonValue root() const noexcept;

  private:
    std::unique_ptr<JsonDocument, WipesDocument> document_;
};

// One whole JSON value in UTF-8.
[[nodiscard]] inline bool is_json(std::string_view text) {
    return static_cast<bool>(ParsedBody(text).root());
}

}  // namespace pg_seats::core
