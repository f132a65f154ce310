#include "core/json.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "../jansson_says.hpp"
#include "core/parsed_body.hpp"

namespace pg_seats::test {
namespace {

using Nul = core::ParsedBody::Nul;

bool is_read(std::string_view text, Nul nul = Nul::allowed) {
    EXPECT_TRUE(reads_as_jansson_does(text, nul)) << text;
    return core::ParsedBody(text, nul).root() != nullptr;
}

TEST(Json, what_is_read) {
    for (const std::string_view text :
         {"{}", "[]", " [ ] ", "{\"a\":{}}\n", "[1,-2,0,-0,9223372036854775807]",
          "[-9223372036854775808]", "[1.5,-0.25e-3,1E+2,0e1]", "[true,false,null]",
          "[\"\",\"a\",\"\xc3\xa9\",\"\xf0\x9f\x92\xb3\",\"\x7f\"]",
          R"(["\"\\\/\b\f\n\r\t\u0041\u00e9\u20ac\ud83d\udcb3\u0000"])",
          R"({"a":1,"b":{"a":[2,{"a":3}]},"":4})", "\t{\r\n\"a\" :\t1 , \"b\":[ 1 ,2 ]}"}) {
        EXPECT_TRUE(is_read(text)) << text;
    }
}

TEST(Json, what_is_none) {
    for (const std::string_view text : {"",
                                        " ",
                                        "1",
                                        "\"a\"",
                                        "null",
                                        "{",
                                        "}",
                                        "[",
                                        "]",
                                        "[1",
                                        "[1,",
                                        "[1,]",
                                        "[,1]",
                                        "[1 2]",
                                        "{\"a\"}",
                                        "{\"a\":}",
                                        "{\"a\":1,}",
                                        "{a:1}",
                                        "{1:1}",
                                        "{\"a\":1 \"b\":2}",
                                        "[}",
                                        "{]",
                                        "[1]x",
                                        "[1][2]",
                                        "[01]",
                                        "[-]",
                                        "[-a]",
                                        "[1.]",
                                        "[.5]",
                                        "[1e]",
                                        "[1e+]",
                                        "[+1]",
                                        "[0x1]",
                                        "[1.5.5]",
                                        "[nul]",
                                        "[True]",
                                        "[truefalse]",
                                        "[NaN]",
                                        "[\"]",
                                        "[\"a]",
                                        "['a']",
                                        "[\"\\x\"]",
                                        "[\"\\u12\"]",
                                        "[\"\\u12g4\"]",
                                        "[\"\\ud800\"]",
                                        "[\"\\ud800x\"]",
                                        "[\"\\ud800\\u0041\"]",
                                        "[\"\\udc00\"]",
                                        "[\"\\",
                                        "[\"\\u",
                                        "[\"\x1f\"]",
                                        "[\"\n\"]",
                                        "[\"\xc3\"]",
                                        "[\"\xc0\xaf\"]",
                                        "[\"\xed\xa0\x80\"]",
                                        "[\"\xf4\x90\x80\x80\"]",
                                        "[\"\xff\"]",
                                        "\xef\xbb\xbf[]",
                                        "{\"\\u0000\":1}",
                                        "[9223372036854775808]",
                                        "[-9223372036854775809]",
                                        "[99999999999999999999]"}) {
        EXPECT_FALSE(is_read(text)) << text;
    }
    EXPECT_FALSE(is_read(std::string_view("[\0]", 3)));
    EXPECT_FALSE(is_read(std::string_view("[]\0", 3)));
}

TEST(Json, a_nul_only_where_it_may_be) {
    EXPECT_TRUE(is_read(R"(["a\u0000b"])"));
    EXPECT_FALSE(is_read(R"(["a\u0000b"])", Nul::refused));
    const core::ParsedBody body(R"(["a\u0000b"])");
    EXPECT_EQ(core::text_of(&core::elements(body.root())[0]), std::string_view("a\0b", 3));
}

TEST(Json, how_deep) {
    const auto nested = [](std::size_t depth) {
        return std::string(depth, '[').append(std::string(depth, ']'));
    };
    EXPECT_TRUE(is_read(nested(2'000)));
    EXPECT_EQ(core::ParsedBody(nested(2'100)).root(), nullptr);
    EXPECT_EQ(core::ParsedBody(nested(1'000'000)).root(), nullptr);
}

TEST(Json, the_last_of_a_name_counts) {
    EXPECT_TRUE(is_read(R"({"a":1,"b":2,"a":{"c":3},"b":[],"a":4})"));
    const core::ParsedBody body(R"({"a":1,"b":2,"a":"x"})");
    EXPECT_EQ(core::text_member(body.root(), "a"), "x");
    EXPECT_EQ(core::members(body.root()).size(), 2U);
    EXPECT_FALSE(body.names_are_unique());
    EXPECT_FALSE(core::ParsedBody(R"([{"a":[{"b":1,"b":1}]}])").names_are_unique());
    EXPECT_TRUE(core::ParsedBody(R"([{"a":1},{"a":1}])").names_are_unique());
    // Many are looked for in another way.
    for (const int names : {2, 3, 60, 159, 160, 161, 162, 500}) {
        for (const int different : {1, 2, names - 1, names}) {
            std::string text;
            for (int i = 0; i < names; ++i) {
                text.append(i == 0 ? "{" : ",").append("\"name_of_a_member_");
                text.append(std::to_string(i % different)).append("\":").append(std::to_string(i));
            }
            EXPECT_TRUE(is_read(text + "}")) << text;
        }
    }
}

TEST(Json, stays_where_it_is_when_the_body_is_moved) {
    core::ParsedBody body(R"({"a":"b"})");
    const core::JsonValue* const root = body.root();
    core::ParsedBody other;
    other = std::move(body);
    EXPECT_EQ(other.root(), root);
    EXPECT_EQ(core::text_member(other.root(), "a"), "b");
}

TEST(Json, look_ups_take_anything) {
    const core::ParsedBody body(R"({"a":[1],"b":null,"c":true,"d":1.5})");
    EXPECT_EQ(core::member(nullptr, "a"), nullptr);
    EXPECT_EQ(core::member(core::member(body.root(), "a"), "b"), nullptr);
    EXPECT_TRUE(core::elements(body.root()).empty());
    EXPECT_TRUE(core::members(core::member(body.root(), "a")).empty());
    EXPECT_EQ(core::text_member(body.root(), "a"), "");
    EXPECT_EQ(core::text_member(body.root(), "d"), "");
    EXPECT_FALSE(core::has_member(body.root(), "b"));
    EXPECT_EQ(core::bool_member(body.root(), "c"), true);
    EXPECT_EQ(core::bool_member(body.root(), "a"), std::nullopt);
}

// A text of ours in which some bytes are others.
TEST(Json, reads_as_jansson_does_whatever_was_changed) {
    const std::string whole = R"({
  "id": "sub_1", "object": "subscription", "items": {"data": [{"id": "si_1", "quantity": 12}],
  "has_more": false}, "name": "M\u00fcller \ud83d\udcb3 \"x\"", "amount": -1200, "rate": 1.25e3,
  "metadata": {"a": "é", "b": "", "a": "c"}, "none": null, "empty": [], "nothing": {}
})";
    constexpr std::string_view bytes = "{}[]\",:\\/u0123456789aefbnrtl-+.E \n\x01\x80\xc3\xa9\xf0";
    std::mt19937 random(20'000);
    const auto below = [&random](std::size_t end) { return random() % end; };
    for (int round = 0; round < 20'000; ++round) {
        std::string text = whole;
        for (std::size_t changes = 1 + below(3); changes > 0; --changes) {
            const std::size_t place = below(text.size());
            switch (below(3)) {
                case 0:
                    text.erase(place, 1 + below(3));
                    break;
                case 1:
                    text.insert(place, 1, bytes[below(bytes.size())]);
                    break;
                default:
                    text[place] = bytes[below(bytes.size())];
            }
        }
        ASSERT_TRUE(reads_as_jansson_does(text, Nul::allowed)) << text;
        ASSERT_TRUE(reads_as_jansson_does(text, Nul::refused)) << text;
    }
}

}  // namespace
}  // namespace pg_seats::test
