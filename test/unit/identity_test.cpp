#include "core/identity.hpp"

#include <gtest/gtest.h>

namespace pg_seats::test {
namespace {

constexpr const char* uuid_1 = "0b9c5d0e-0000-4000-8000-000000000001";
constexpr const char* uuid_2 = "0b9c5d0e-0000-4000-8000-000000000002";

TEST(Identity, key) {
    EXPECT_EQ(core::idempotency_key(uuid_1, uuid_2, 3), std::string(uuid_1) + "-" + uuid_2 + "-3");
    EXPECT_LE(core::idempotency_key(uuid_1, uuid_2, 2'147'483'647).size(), 255U);
}

TEST(Identity, random_uuid) {
    EXPECT_EQ(core::random_uuid(0, 0), "00000000-0000-4000-8000-000000000000");
    EXPECT_EQ(core::random_uuid(~0ULL, ~0ULL), "ffffffff-ffff-4fff-8fff-ffffffffffff");
    EXPECT_EQ(core::random_uuid(0x0123456789abcdef, 0xfedcba9876543210),
              "01234567-89ab-4def-8fed-ba9876543210");
}

TEST(Identity, key_mode) {
    using core::KeyMode;
    EXPECT_EQ(core::key_mode("sk_live_x"), KeyMode::live);
    EXPECT_EQ(core::key_mode("rk_live_x"), KeyMode::live);
    EXPECT_EQ(core::key_mode("sk_test_x"), KeyMode::test);
    EXPECT_EQ(core::key_mode("rk_test_x"), KeyMode::test);
    for (const char* key : {"", "sk_", "SK_LIVE_x", " sk_live_x", "pk_live_x", "whsec_x"}) {
        EXPECT_EQ(core::key_mode(key), KeyMode::other) << key;
    }
}

TEST(SameChange, whatever_the_generation) {
    const std::string first = "u1-u2-1";
    EXPECT_TRUE(core::of_same_change(first, "u1-u2-7"));
    EXPECT_FALSE(core::of_same_change(first, "u1-u3-1"));
    EXPECT_FALSE(core::of_same_change(first, ""));
    EXPECT_FALSE(core::of_same_change("", "")) << "no marker proves nothing";
    EXPECT_TRUE(core::begins_with_change(first, "u1"));
    EXPECT_TRUE(core::begins_with_change("u1-u3-7", "u1"));
    EXPECT_FALSE(core::begins_with_change("u12-u3-7", "u1"));
    EXPECT_FALSE(core::begins_with_change(first, "u2")) << "the last one is not the first one";
    EXPECT_FALSE(core::begins_with_change("", "u1"));
    EXPECT_FALSE(core::begins_with_change("-u2-1", ""));
}

}  // namespace
}  // namespace pg_seats::test
