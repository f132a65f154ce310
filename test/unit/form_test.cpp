#include "core/form.hpp"

#include <gtest/gtest.h>

#include <string>

namespace pg_seats::test {
namespace {

using core::InvalidInput;

// The message if it is refused, empty if not.
std::string refusal(void (*check)(std::string_view), std::string_view text) {
    try {
        check(text);
    } catch (const InvalidInput& invalid) {
        return invalid.message;
    }
    return {};
}

std::string form_refusal(std::string_view json) {
    return refusal([](std::string_view text) { static_cast<void>(core::encode_form(text)); }, json);
}

struct Vector {
    const char* name;
    std::string_view json;
    std::string_view form;
};

class EncodeForm : public testing::TestWithParam<Vector> {};

TEST_P(EncodeForm, gives) {
    EXPECT_EQ(core::encode_form(GetParam().json), GetParam().form);
}

INSTANTIATE_TEST_SUITE_P(
    Vectors, EncodeForm,
    testing::Values(
        Vector{"nothing", "{}", ""},
        Vector{"subscription_update",
               R"({"items":[{"id":"si_A","quantity":7},{"id":"si_B","quantity":0}],
                   "proration_behavior":"always_invoice","payment_behavior":"pending_if_incomplete",
                   "proration_date":1700000000,
                   "expand":["latest_invoice.payments","pending_update"]})",
               "items[0][id]=si_A&items[0][quantity]=7&items[1][id]=si_B&items[1][quantity]=0"
               "&proration_behavior=always_invoice&payment_behavior=pending_if_incomplete"
               "&proration_date=1700000000&expand[0]=latest_invoice.payments"
               "&expand[1]=pending_update"},
        Vector{"metadata_is_escaped", R"({"metadata":{"team":"T 1","op":"a/b+c&d=e"}})",
               "metadata[team]=T%201&metadata[op]=a%2Fb%2Bc%26d%3De"},
        Vector{"null_and_empty_unset", R"({"metadata":{"gone":null},"default_tax_rates":""})",
               "metadata[gone]=&default_tax_rates="},
        Vector{"nested_objects",
               R"({"subscription_details":{"items":[{"id":"si_A","quantity":3}]},
                   "subscription":"sub_1"})",
               "subscription_details[items][0][id]=si_A"
               "&subscription_details[items][0][quantity]=3&subscription=sub_1"},
        Vector{"booleans", R"({"off_session":true,"confirm":false})",
               "off_session=true&confirm=false"},
        Vector{"negative_and_largest", R"({"a":-1,"b":9223372036854775807})",
               "a=-1&b=9223372036854775807"},
        Vector{"search_query", R"({"query":"metadata['op_id']:'42'"})",
               "query=metadata%5B%27op_id%27%5D%3A%2742%27"},
        Vector{"utf8", R"({"name":"Zoë – 日本"})",
               "name=Zo%C3%AB%20%E2%80%93%20%E6%97%A5%E6%9C%AC"},
        Vector{"key_is_escaped", R"({"metadata":{"a&b=c d":"x"}})", "metadata[a%26b%3Dc%20d]=x"},
        Vector{"control_characters", R"({"a":"\r\n\t"})", "a=%0D%0A%09"},
        Vector{"empty_object_says_nothing", R"({"metadata":{},"a":1})", "a=1"},
        Vector{"arrays_of_arrays", R"({"a":[["x","y"]]})", "a[0][0]=x&a[0][1]=y"},
        Vector{"eight_levels", R"({"a":{"b":{"c":{"d":{"e":{"f":{"g":{"h":1}}}}}}}})",
               "a[b][c][d][e][f][g][h]=1"}),
    [](const auto& parameter) { return std::string(parameter.param.name); });

TEST(EncodeFormRefuses, what_is_no_object) {
    for (const char* json : {"[]", "1", "\"a\"", "null", "", "{", "{} {}", "\xff"}) {
        EXPECT_FALSE(form_refusal(json).empty()) << json;
    }
}

TEST(EncodeFormRefuses, numbers_with_a_fraction) {
    for (const char* json : {R"({"a":1.5})", R"({"a":1.0})", R"({"a":[1e3]})"}) {
        EXPECT_NE(form_refusal(json).find("fraction"), std::string::npos) << json;
    }
}

TEST(EncodeFormRefuses, numbers_beyond_64_bits) {
    EXPECT_EQ(form_refusal(R"({"a":9223372036854775808})"),
              "a number in the parameters is too large");
}

TEST(EncodeFormRefuses, empty_arrays) {
    EXPECT_EQ(form_refusal(R"({"x":{"items":[]}})"), "parameter \"x[items]\" is an empty array");
    EXPECT_FALSE(form_refusal(R"({"items":[{}]})").empty());
}

TEST(EncodeFormRefuses, deep_nesting) {
    EXPECT_NE(
        form_refusal(R"({"a":{"b":{"c":{"d":{"e":{"f":{"g":{"h":{"i":1}}}}}}}}})").find("deep"),
        std::string::npos);
    EXPECT_FALSE(form_refusal(std::string(100'000, '[')).empty());
    std::string deep = "{\"a\":";
    deep.append(1'500, '[').append(1'500, ']').append("}");
    EXPECT_NE(form_refusal(deep).find("deep"), std::string::npos);
}

TEST(EncodeFormRefuses, brackets_and_nothing_in_names) {
    for (const char* json : {R"({"items[0][id]":"x"})", R"({"metadata":{"a][b":"x"}})", R"({"":1})",
                             R"({"a":{"":1}})"}) {
        EXPECT_FALSE(form_refusal(json).empty()) << json;
    }
}

TEST(EncodeFormRefuses, without_quoting_values) {
    try {
        static_cast<void>(core::encode_form(R"({"a":"sk_live_1" oops})"));
        FAIL();
    } catch (const InvalidInput& invalid) {
        EXPECT_EQ(invalid.message.find("sk_live"), std::string::npos);
    }
}

TEST(AppendFormField, keeps_the_brackets_of_the_name_only) {
    std::string form = "a=1";
    core::append_form_field(form, "metadata[pg seats]", "u-[1]&x");
    EXPECT_EQ(form, "a=1&metadata[pg%20seats]=u-%5B1%5D%26x");
    std::string first;
    core::append_form_field(first, "a", "");
    EXPECT_EQ(first, "a=");
}

TEST(AppendFormField, all_bytes) {
    std::string form;
    core::append_form_field(form, "a", "AZaz09-._~");
    core::append_form_field(form, "b", std::string_view("\0/?#[]@ %\xff", 10));
    EXPECT_EQ(form, "a=AZaz09-._~&b=%00%2F%3F%23%5B%5D%40%20%25%FF");
}

TEST(CheckPath, allows_plain_paths) {
    const std::string longest = "/" + std::string(499, 'a');
    for (const std::string& path :
         {std::string("/v1/subscriptions/sub_1"), std::string("/a"), std::string("/v1/a.b/~x"),
          std::string("/a:b@c!$&'()*+,;="), std::string("/..."), longest}) {
        EXPECT_EQ(refusal(core::check_path, path), "") << path;
    }
}

TEST(CheckPath, refuses_hostile_paths) {
    for (const std::string& path : {std::string(),
                                    std::string("v1/a"),
                                    std::string("/"),
                                    std::string("/v1/"),
                                    std::string("//evil.example/v1"),
                                    std::string("/v1//a"),
                                    std::string("/v1/../charges"),
                                    std::string("/v1/./a"),
                                    std::string("/v1/.."),
                                    std::string("/v1/a?x=1"),
                                    std::string("/v1/a#x"),
                                    std::string("/v1/%2e%2e/a"),
                                    std::string("/v1/a b"),
                                    std::string("/v1/a\r\nX: y"),
                                    std::string("/v1/a\\b"),
                                    std::string("/v1/é"),
                                    std::string("/v1/a\0b", 7),
                                    std::string("/v1/{id}"),
                                    std::string("/") + std::string(500, 'a'),
                                    std::string("http://evil.example/")}) {
        EXPECT_NE(refusal(core::check_path, path), "") << path;
    }
}

TEST(PathMatches, by_segment) {
    EXPECT_TRUE(core::path_matches("/v1/customers", "/v1/customers"));
    EXPECT_FALSE(core::path_matches("/v1/customers", "/v1/customers/cus_1"));
    EXPECT_FALSE(core::path_matches("/v1/customers/cus_1", "/v1/customers"));
    EXPECT_TRUE(core::path_matches("/v1/customers/*", "/v1/customers/cus_1"));
    EXPECT_FALSE(core::path_matches("/v1/customers/*", "/v1/customers"));
    EXPECT_FALSE(core::path_matches("/v1/customers/*", "/v1/customers/cus_1/sources"));
    EXPECT_TRUE(core::path_matches("/v1/*/x", "/v1/a/x"));
    EXPECT_TRUE(core::path_matches("/v1/**", "/v1/a"));
    EXPECT_TRUE(core::path_matches("/v1/**", "/v1/a/b/c"));
    EXPECT_FALSE(core::path_matches("/v1/**", "/v1"));
    EXPECT_FALSE(core::path_matches("/v1/*", "/V1/a"));
}

TEST(PathMatches, nothing_improper) {
    for (const char* path : {"/v1/..", "/v1/", "/v1/a/../b", "/v1/a//b", "/v1/a?b", "", "v1/a"}) {
        EXPECT_FALSE(core::path_matches("/v1/*", path)) << path;
        EXPECT_FALSE(core::path_matches("/v1/**", path)) << path;
        EXPECT_FALSE(core::path_matches("/**", path)) << path;
    }
    EXPECT_FALSE(core::path_matches("/v1/**/x", "/v1/a/x")) << "stars in the middle match nothing";
    EXPECT_FALSE(core::path_matches("", ""));
}

TEST(CheckPathPattern, stars_stand_for_whole_segments) {
    for (const char* pattern : {"/v1/a", "/v1/*", "/v1/*/b", "/v1/**", "/**", "/*"}) {
        EXPECT_EQ(refusal(core::check_path_pattern, pattern), "") << pattern;
    }
    for (const char* pattern : {"/v1/sub*", "/v1/**/b", "/v1/***", "v1/*", "/v1/*?x", "", "/"}) {
        EXPECT_NE(refusal(core::check_path_pattern, pattern), "") << pattern;
    }
}

TEST(IsHeaderValue, printable_ascii_only) {
    EXPECT_TRUE(core::is_header_value("Bearer sk_test_1 ~!"));
    for (const std::string& value :
         {std::string(), std::string("a\r\nX: y"), std::string("a\nb"), std::string("a\tb"),
          std::string("é"), std::string("a\0b", 3), std::string("\x7f")}) {
        EXPECT_FALSE(core::is_header_value(value));
    }
}

}  // namespace
}  // namespace pg_seats::test
