// A JSON text, parsed once for whoever reads it (json.hpp).
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "core/json.hpp"
#include "core/wiped_text.hpp"

#include "core/pure.hpp"

namespace pg_seats::core {

// The whole text must be one JSON object or array in UTF-8, nothing after it, with integers that
// fit 64 bits, and not deeper than 2048; there is no root otherwise.
//
// The text is copied once, and its escapes are resolved where they stand: a text that has none
// costs nothing. The copy is overwritten when it is given back, as it may hold a client secret.
class ParsedBody {
  public:
    // \u0000 cannot be in a name, and in a text only where it is allowed.
    enum class Nul : bool { refused, allowed };
    enum class Fault : std::uint8_t { none, syntax, number_too_large };

    ParsedBody() = default;
    explicit ParsedBody(std::string_view text, Nul nul = Nul::allowed);

    // Null: the text is no JSON, or was not to be read.
    [[nodiscard]] const JsonValue* root() const noexcept {
        return values_.empty() ? nullptr : &values_.back();
    }
    [[nodiscard]] Fault fault() const noexcept { return fault_; }
    // False: somewhere a name came twice.
    [[nodiscard]] bool names_are_unique() const noexcept { return names_are_unique_; }

  private:
    std::vector<char, WipingAllocator<char>> text_;
    std::vector<JsonValue> values_;  // siblings side by side, the root at the end
    Fault fault_ = Fault::none;
    bool names_are_unique_ = true;
};

}  // namespace pg_seats::core
