#include "core/safe_text.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace pg_seats::test {
namespace {

TEST(SafeText, secrets_are_removed) {
    EXPECT_EQ(core::safe_text("Invalid API Key provided: sk_test_****1234.", 500),
              "Invalid API Key provided: [removed].");
    EXPECT_EQ(core::safe_text("rk_live_abc,whsec_x (pi_1_secret_2)", 500),
              "[removed],[removed] ([removed])");
    EXPECT_EQ(core::safe_text("Authorization: Bearer abc.def-ghi==; next", 500),
              "Authorization: Bearer [removed]; next");
    EXPECT_EQ(core::safe_text("bearer\tx", 500), "bearer [removed]");
    EXPECT_EQ(core::safe_text("xsk_live_1 SK_TEST_2", 500), "[removed] [removed]");
}

TEST(SafeText, other_texts_stay) {
    for (const char* text : {"No such price: 'price_1'", "task_force desk_1", "Zoë – 日本 😀",
                             "bearers of news", "risk_level"}) {
        EXPECT_EQ(core::safe_text(text, 500), text);
    }
}

TEST(SafeText, is_one_line_of_valid_utf8) {
    EXPECT_EQ(core::safe_text(std::string_view("a\r\nb\0c\x1b[31m\x7f", 12), 500), "a  b c [31m ");
    EXPECT_EQ(core::safe_text("a\xc2\x85"
                              "b\xe2\x80\xa8"
                              "c\xe2\x80\xae"
                              "d",
                              500),
              "a b c d");
    EXPECT_EQ(core::safe_text("a\xff\xc3 \xe2\x82", 500), "a?\? ?\?");
}

TEST(SafeText, is_cut_at_a_character) {
    EXPECT_EQ(core::safe_text("日本", 5), "日");
    EXPECT_EQ(core::safe_text("日本", 6), "日本");
    EXPECT_EQ(core::safe_text("日本", 2), "");
    EXPECT_EQ(core::safe_text("abc", 0), "");
    EXPECT_EQ(core::safe_text(std::string(1U << 20U, 'x'), 500).size(), 500U);
}

TEST(IsValidUtf8, by_rfc_3629) {
    for (const char* text : {"", "a", "é", "日", "😀", "\xf4\x8f\xbf\xbf"}) {
        EXPECT_TRUE(core::is_valid_utf8(text)) << text;
    }
    for (const char* text : {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xed\xa0\x80",
                             "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\xe6\x97", "\xc3"}) {
        EXPECT_FALSE(core::is_valid_utf8(text)) << text;
    }
    EXPECT_TRUE(core::is_valid_utf8(std::string_view("\0", 1)));
}

}  // namespace
}  // namespace pg_seats::test
