#include "core/histogram.hpp"

#include <gtest/gtest.h>

namespace pg_seats::test {
namespace {

using core::histogram_bounds;
using core::histogram_bucket;
using core::histogram_buckets;

TEST(Histogram, bounds_rise) {
    EXPECT_TRUE(std::ranges::is_sorted(histogram_bounds, std::ranges::less_equal{}));
    EXPECT_GT(histogram_bounds.front(), 0);
}

TEST(Histogram, a_bound_belongs_to_its_bucket) {
    for (std::size_t i = 0; i < histogram_bounds.size(); ++i) {
        EXPECT_EQ(histogram_bucket(histogram_bounds.at(i)), i) << "le: less or equal";
        EXPECT_EQ(histogram_bucket(histogram_bounds.at(i) + 1), i + 1);
    }
}

TEST(Histogram, whatever_comes_has_a_bucket) {
    EXPECT_EQ(histogram_bucket(0), 0U);
    EXPECT_EQ(histogram_bucket(-1), 0U) << "a clock was set back";
    EXPECT_EQ(histogram_bucket(INT64_MIN), 0U);
    EXPECT_EQ(histogram_bucket(INT64_MAX), histogram_buckets - 1);
}

}  // namespace
}  // namespace pg_seats::test
