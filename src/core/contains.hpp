// What C++23 calls std::ranges::contains.
#pragma once

#include <algorithm>
#include <ranges>

#include "core/pure.hpp"

namespace pg_seats::core {

template <std::ranges::input_range Range, class Value>
[[nodiscard]] bool contains(const Range& range, const Value& value) {
    return std::ranges::find(range, value) != std::ranges::end(range);
}

}  // namespace pg_seats::core
