// Which bucket of a histogram a time belongs to. All histograms have the same bounds: one scrape is
// to be compared with the next, whatever version has counted it.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>

namespace pg_seats::core {

// Upper bounds, inclusive, in microseconds; what is above the last one is in a bucket of its own.
inline constexpr std::array<std::int64_t, 17> histogram_bounds{
    1'000,      2'500,      5'000,      10'000,      25'000,       50'000,
    100'000,    250'000,    500'000,    1'000'000,   2'500'000,    5'000'000,
    10'000'000, 30'000'000, 60'000'000, 300'000'000, 3'600'000'000};

constexpr std::size_t histogram_buckets = histogram_bounds.size() + 1;

// A clock may have been set back meanwhile: that took no time.
[[nodiscard]] constexpr std::size_t histogram_bucket(std::int64_t microseconds) {
    const auto* const bound = std::ranges::lower_bound(histogram_bounds, microseconds);
    return static_cast<std::size_t>(std::distance(histogram_bounds.begin(), bound));
}

}  // namespace pg_seats::core
