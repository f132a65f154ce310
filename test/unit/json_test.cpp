// What is JSON, and what is read of it: simdjson must say of each text what jansson says, whose
// strictness the rest of core was built on, but for what is named here.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <new>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "core/json_tree.hpp"
#include "core/parsed_body.hpp"

// simdjson asks here for its memory. Negative: there is always some.
static int allocations_left = -1;  // NOLINT(misc-use-anonymous-namespace): beside the operators

static bool is_short() {
    if (allocations_left == 0) {
        return true;
    }
    allocations_left -= allocations_left > 0 ? 1 : 0;
    return false;
}

void* operator new(std::size_t size, const std::nothrow_t& /*tag*/) noexcept {
    return is_short() ? nullptr : ::operator new(size);
}

void* operator new[](std::size_t size, const std::nothrow_t& /*tag*/) noexcept {
    return is_short() ? nullptr : ::operator new[](size);
}

namespace pg_seats::test {
namespace {

using core::JsonKind;
using core::JsonValue;
using core::ParsedBody;

JsonKind kind_in(std::string_view text) {
    return core::kind_of(ParsedBody(text).root());
}

TEST(Json, is_one_whole_value) {
    EXPECT_EQ(kind_in(R"({"a":1})"), JsonKind::object);
    EXPECT_EQ(kind_in(" [1] \n"), JsonKind::array);
    EXPECT_EQ(kind_in("\"a\""), JsonKind::text);
    EXPECT_EQ(kind_in("12"), JsonKind::integer);
    EXPECT_EQ(kind_in("1.5"), JsonKind::other_number);
    EXPECT_EQ(kind_in("true"), JsonKind::boolean);
    EXPECT_EQ(kind_in("null"), JsonKind::null);
    for (const std::string_view text : {"",
                                        " ",
                                        "{",
                                        "{}x",
                                        "{} {}",
                                        "[1,]",
                                        "{\"a\":1,}",
                                        "{'a':1}",
                                        "{a:1}",
                                        "nul",
                                        "01",
                                        "1.",
                                        "+1",
                                        "\"a",
                                        "\"\xff\"",
                                        "\"\xed\xa0\x80\"",
                                        "\"\\ud800\"",
                                        "\"\x01\"",
                                        "\xef\xbb\xbf{}",
                                        "// a\n1",
                                        "NaN",
                                        "99999999999999999999",
                                        "1e999"}) {
        EXPECT_EQ(kind_in(text), JsonKind::missing) << text;
    }
    EXPECT_EQ(kind_in(std::string_view("[1\0]", 4)), JsonKind::missing);
}

TEST(Json, what_is_missing_or_something_else_is_nothing) {
    const ParsedBody body(R"({"null":null,"text":"a","list":[1,"b"],"yes":true,"no":false})");
    const JsonValue root = body.root();
    EXPECT_TRUE(core::is_object(root));
    EXPECT_FALSE(core::member(root, "nowhere"));
    EXPECT_TRUE(core::member(root, "null"));
    EXPECT_FALSE(core::has_member(root, "null"));
    EXPECT_FALSE(core::has_member(root, "nowhere"));
    EXPECT_TRUE(core::has_member(root, "no"));
    EXPECT_EQ(core::text_member(root, "text"), "a");
    EXPECT_EQ(core::text_member(root, "yes"), "");
    EXPECT_EQ(core::bool_member(root, "no"), false);
    EXPECT_EQ(core::bool_member(root, "text"), std::nullopt);
    EXPECT_FALSE(core::member(core::member(root, "text"), "a"));
    EXPECT_FALSE(core::member(JsonValue(), "a"));
    EXPECT_TRUE(core::elements_of(root).empty());
    EXPECT_TRUE(core::members_of(JsonValue()).empty());
    EXPECT_EQ(core::elements_of(core::member(root, "list")).size(), 2U);
    EXPECT_EQ(core::members_of(root).size(), 5U);
    EXPECT_EQ(core::members_of(root)[2].name, "list");
}

TEST(Json, an_integer_is_written_as_one) {
    const auto integer_in = [](std::string_view text) {
        return core::integer_of(ParsedBody(text).root());
    };
    EXPECT_EQ(integer_in("-9223372036854775808"), INT64_MIN);
    EXPECT_EQ(integer_in("9223372036854775807"), INT64_MAX);
    EXPECT_EQ(integer_in("-0"), 0);
    for (const std::string_view text : {"9223372036854775808", "1.0", "1e3", "\"1\"", "true"}) {
        EXPECT_EQ(integer_in(text), std::nullopt) << text;
    }
}

TEST(Json, of_a_name_that_comes_twice_the_last_value_counts) {
    const ParsedBody twice(R"({"a":1,"b":{"c":[{"d":1,"e":2,"d":3}]},"a":2})");
    EXPECT_EQ(core::integer_of(core::member(twice.root(), "a")), 2);
}

TEST(Json, what_is_too_deep_is_none) {
    EXPECT_EQ(kind_in(std::string(1'000'000, '[')), JsonKind::missing);
    EXPECT_EQ(kind_in(std::string(1'100, '[') + std::string(1'100, ']')), JsonKind::missing);
}

TEST(Json, several_live_side_by_side) {
    ParsedBody first(R"({"a":"first"})");
    const ParsedBody second(R"({"a":"second"})");
    const ParsedBody third = std::move(first);
    EXPECT_FALSE(first.root());  // NOLINT(bugprone-use-after-move): it has nothing then
    EXPECT_EQ(core::text_member(second.root(), "a"), "second");
    EXPECT_EQ(core::text_member(third.root(), "a"), "first");
}

// What got half of its memory is not kept: it would take each object for too deep.
TEST(Json, lack_of_memory_says_nothing_about_the_text_nor_about_later_ones) {
    bool was_enough = false;
    int failures = 0;
    for (int most = 0; most < 50 && !was_enough; ++most) {
        // After one that is too large to be kept nothing is there, and all is asked for anew.
        EXPECT_TRUE(ParsedBody("[" + std::string(100'000, ' ') + "1]").root());
        allocations_left = most;
        try {
            was_enough = core::is_object(ParsedBody(R"({"a":1})").root());
            EXPECT_TRUE(was_enough) << most;
        } catch (const std::bad_alloc&) {
            ++failures;
        }
        allocations_left = -1;
        EXPECT_EQ(kind_in(R"({"a":[1]})"), JsonKind::object) << most;
    }
    EXPECT_TRUE(was_enough);
    EXPECT_GT(failures, 3);
}

TEST(Json, a_copy_says_the_same) {
    constexpr std::string_view text =
        R"({"a":[1,-2,2.5,"x\"\u0000ä",true,false,null,{}],"b":{"c":"d"},"":[]})";
    const core::Json copy = core::copy_of(ParsedBody(text).root());
    const std::unique_ptr<char, void (*)(void*)> written(json_dumps(copy.get(), JSON_COMPACT),
                                                         &free);
    EXPECT_EQ(std::string_view(written.get()), text);
    const core::Json without(core::copy_of(ParsedBody(R"({"a\u0000b":1,"c":2})").root()));
    EXPECT_EQ(json_object_size(without.get()), 1U);
}

// ---- beside jansson

bool is_same(JsonValue value, const json_t* tree);

bool is_same_object(JsonValue value, const json_t* tree) {
    const auto members = core::members_of(value);
    return std::ranges::all_of(members,
                               [&](const core::JsonMember& inner) {
                                   return is_same(
                                       core::member(value, inner.name),
                                       json_object_get(tree, std::string(inner.name).c_str()));
                               }) &&
           json_object_size(tree) <= members.size();
}

bool is_same_array(JsonValue value, const json_t* tree) {
    const auto elements = core::elements_of(value);
    bool same = elements.size() == json_array_size(tree);
    for (std::size_t i = 0; same && i < elements.size(); ++i) {
        same = is_same(elements[i], json_array_get(tree, i));
    }
    return same;
}

bool is_same(JsonValue value, const json_t* tree) {
    switch (core::kind_of(value)) {
        case JsonKind::missing:
            return tree == nullptr;
        case JsonKind::null:
            return json_is_null(tree);
        case JsonKind::boolean:
            return json_is_boolean(tree) && core::boolean_of(value) == json_is_true(tree);
        case JsonKind::integer:
            return json_is_integer(tree) && core::integer_of(value) == json_integer_value(tree);
        case JsonKind::other_number:
            return json_is_real(tree) && core::number_of(value) == json_real_value(tree);
        case JsonKind::text:
            return json_is_string(tree) &&
                   core::text_of(value) ==
                       std::string_view(json_string_value(tree), json_string_length(tree));
        case JsonKind::array:
            return json_is_array(tree) && is_same_array(value, tree);
        case JsonKind::object:
            return json_is_object(tree) && is_same_object(value, tree);
    }
    return false;
}

// jansson passes over a NUL byte behind a number; it refuses one in a name, and numbers from 2^63
// on. (And without JSON_DECODE_ANY what is no object and no list, which is JSON here.)
bool is_known_difference(std::string_view text) {
    return text.find('\0') != std::string_view::npos ||
           text.find("\\u0000") != std::string_view::npos ||
           text.find("922337203685477580") != std::string_view::npos;
}

TEST(Json, is_the_same_as_ever_whatever_the_text) {
    constexpr std::array<std::string_view, 5> texts{
        R"({"id":"sub_1","object":"subscription","items":{"object":"list","data":[{"id":"si_1","quantity":5}]},"a":null})",
        R"([1,-1,0,-0,1.5,2e3,1E-2,12345678901,true,false,null,"",{},[],[[]],{"":{}}])",
        R"({"a":"\u00e4\ud83d\ude00\n\t\/\\\"","b":"ä😀","a":"c"})",
        "  {\r\n\t\"error\" : { \"type\" : \"card_error\" , \"code\" : \"card_declined\" } }  ",
        R"("text")"};
    constexpr std::string_view bytes(
        "{}[]:,\"\\0123456789eE+-.truefalsn ud8\x00\x01\x7f\x80\xc3\xef\xff", 43);
    std::mt19937 random(20261201);
    const auto one_of = [&](std::size_t size) { return random() % size; };
    int valid = 0;
    constexpr int rounds = 60'000;
    for (int round = 0; round < rounds; ++round) {
        std::string text(texts[one_of(texts.size())]);
        for (std::size_t changes = one_of(4); changes > 0 && !text.empty(); --changes) {
            const std::size_t at = one_of(text.size());
            switch (one_of(3)) {
                case 0:
                    text[at] = bytes[one_of(bytes.size())];
                    break;
                case 1:
                    text.erase(at, 1 + one_of(3));
                    break;
                default:
                    text.insert(at, 1, bytes[one_of(bytes.size())]);
            }
        }
        const ParsedBody body(text);
        const core::Json tree(
            json_loadb(text.data(), text.size(), JSON_DECODE_ANY | JSON_ALLOW_NUL, nullptr));
        if (!is_known_difference(text)) {
            ASSERT_TRUE(is_same(body.root(), tree.get())) << text;
        }
        valid += body.root() ? 1 : 0;
    }
    EXPECT_GT(valid, rounds / 5);
    EXPECT_LT(valid, rounds * 4 / 5);
}

}  // namespace
}  // namespace pg_seats::test
