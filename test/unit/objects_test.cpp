#include "core/objects.hpp"

#include <gtest/gtest.h>

namespace pg_seats::test {
namespace {

TEST(ReadAccount, finds_the_id_of_an_account_only) {
    const auto account =
        core::read_account(core::ParsedBody(R"({"id":"acct_1","object":"account","x":[1]})"));
    ASSERT_TRUE(account.has_value());
    EXPECT_EQ(account->id, "acct_1");
    for (const char* body :
         {"", "{}", "[]", "null", "<html>", R"({"id":"acct_1"})", R"({"object":"account"})",
          R"({"object":"account","id":1})", R"({"object":"customer","id":"cus_1"})",
          R"({"object":"account","id":"acct_1")",
          R"({"object":"account","id":"sk_test_0123456789"})",
          R"({"object":"account","id":"acct_"})", R"({"object":"account","id":"acct_1 2"})"}) {
        EXPECT_FALSE(core::read_account(core::ParsedBody(body)).has_value()) << body;
    }
}

TEST(ReadObject, all_facts) {
    const auto facts = core::read_object(core::ParsedBody(R"({"id":"sub_1","object":"subscription",
        "status":"active","livemode":true,"metadata":{"pg_seats":"m-1"},
        "pending_update":{"expires_at":1,"metadata":{"pg_seats":"m-2"}}})"));
    ASSERT_TRUE(facts.has_value());
    EXPECT_EQ(facts->id, "sub_1");
    EXPECT_EQ(facts->object, "subscription");
    EXPECT_EQ(facts->status, "active");
    EXPECT_EQ(facts->livemode, true);
    EXPECT_EQ(facts->marker, "m-1");
    EXPECT_EQ(facts->pending_marker, "m-2");
    EXPECT_TRUE(facts->has_pending_update);
    EXPECT_FALSE(facts->deleted);
}

TEST(ReadObject, few_facts_and_wrong_types) {
    const auto facts =
        core::read_object(core::ParsedBody(R"({"object":"subscription","id":7,"status":null,
        "livemode":"yes","metadata":[],"pending_update":null,"deleted":true})"));
    ASSERT_TRUE(facts.has_value());
    EXPECT_EQ(facts->id, "");
    EXPECT_FALSE(facts->livemode.has_value());
    EXPECT_EQ(facts->marker, "");
    EXPECT_FALSE(facts->has_pending_update);
    EXPECT_TRUE(facts->deleted);
    EXPECT_FALSE(core::read_object(core::ParsedBody(R"({"error":{"type":"x"}})")).has_value());
    EXPECT_FALSE(core::read_object(core::ParsedBody(R"({"object":"a"} trailing)")).has_value());
    EXPECT_FALSE(core::read_object(core::ParsedBody(R"({"object":"a","n":99999999999999999999})"))
                     .has_value());
}

constexpr const char* list = R"({"object":"list","has_more":true,"data":[
    {"id":"pi_1","metadata":{"pg_seats":"other"}},
    {"id":"pi_2","metadata":{"pg_seats":"mine"},"client_secret":"pi_2_secret_x","n":1},
    {"id":"pi_3"}]})";

TEST(FindMarker, found) {
    const auto search = core::find_marker_in_list(core::ParsedBody(list), "mine");
    ASSERT_TRUE(search.has_value());
    EXPECT_TRUE(search->found);
    EXPECT_TRUE(search->has_more);
    EXPECT_EQ(search->last_id, "pi_3");
    EXPECT_EQ(search->object_id, "pi_2");
    EXPECT_EQ(search->object_json, R"({"id":"pi_2","metadata":{"pg_seats":"mine"},"n":1})");
}

TEST(FindMarker, not_found) {
    for (const char* marker : {"min", "mine2", ""}) {
        const auto search = core::find_marker_in_list(core::ParsedBody(list), marker);
        ASSERT_TRUE(search.has_value());
        EXPECT_FALSE(search->found);
        EXPECT_EQ(search->last_id, "pi_3");
    }
    const auto empty =
        core::find_marker_in_list(core::ParsedBody(R"({"object":"list","data":[]})"), "mine");
    ASSERT_TRUE(empty.has_value());
    EXPECT_FALSE(empty->has_more);
    EXPECT_EQ(empty->last_id, "");
}

TEST(FindMarker, no_list_is_no_answer) {
    for (const char* body :
         {"", "{}", R"({"object":"list"})", R"({"object":"list","data":{}})",
          R"({"object":"subscription","data":[]})", R"({"object":"list","data":[)"}) {
        EXPECT_FALSE(core::find_marker_in_list(core::ParsedBody(body), "mine").has_value()) << body;
    }
}

constexpr const char* events = R"({"object":"list","has_more":true,"data":[
    {"id":"evt_1","type":"invoice.payment_failed","request":{"idempotency_key":"k-1"},
     "data":{"object":{"id":"in_1"}}},
    {"id":"evt_2","type":"customer.subscription.updated","request":{"idempotency_key":"k-1"},
     "data":{"object":{"id":"sub_1","metadata":{"pg_seats":"m-1"},"client_secret":"x"}}},
    {"id":"evt_3","type":"a","request":null,"data":{}},
    {"id":"evt_4","type":"a","request":null,"data":{"object":{"id":"in_2"}}}]})";

TEST(SearchEvents, the_object_with_the_marker_comes_first) {
    const auto search = core::search_events(core::ParsedBody(events), "k-1", "m-1");
    ASSERT_TRUE(search.has_value());
    EXPECT_TRUE(search->found);
    EXPECT_TRUE(search->has_marker);
    EXPECT_TRUE(search->tells_failure);
    EXPECT_TRUE(search->has_more);
    EXPECT_EQ(search->last_id, "evt_4");
    EXPECT_EQ(search->object_json, R"({"id":"sub_1","metadata":{"pg_seats":"m-1"}})");
}

TEST(SearchEvents, key_without_marker_and_neither) {
    const auto by_key = core::search_events(core::ParsedBody(events), "k-1", "other");
    ASSERT_TRUE(by_key.has_value());
    EXPECT_TRUE(by_key->found);
    EXPECT_FALSE(by_key->has_marker);
    EXPECT_EQ(by_key->object_json, R"({"id":"in_1"})");
    const auto neither = core::search_events(core::ParsedBody(events), "", "");
    ASSERT_TRUE(neither.has_value());
    EXPECT_FALSE(neither->found || neither->has_marker || neither->tells_failure);
    EXPECT_EQ(neither->object_json, "");
    EXPECT_FALSE(core::search_events(core::ParsedBody("{}"), "k-1", "m-1").has_value());
}

TEST(StripClientSecrets, at_any_depth) {
    EXPECT_EQ(core::strip_secrets(
                  R"({"client_secret":"a","b":[{"client_secret":null,"c":1}],"d":{"e":{}}})"),
              R"({"b":[{"c":1}],"d":{"e":{}}})");
}

TEST(StripClientSecrets, behind_an_escape) {
    EXPECT_EQ(core::strip_secrets(R"({"client\u005fsecret":"pi_1_\u0073ecret_x","a":1})"),
              R"({"a":1})");
}

TEST(StripClientSecrets, inside_other_texts) {
    EXPECT_EQ(core::strip_secrets(
                  R"({"url":"https://a/?payment_intent_client_secret=pi_1_secret_xY9&z=1"})"),
              R"({"url":"https://a/?payment_intent_client_secret=[removed]&z=1"})");
    EXPECT_EQ(core::strip_secrets(R"({"a":["seti_9_secret_z"]})"), R"({"a":["[removed]"]})");
}

TEST(StripClientSecrets, leaves_other_bytes_alone) {
    for (const char* body :
         {R"({ "a" : 1.50 , "b":"\u00e9" })", "not json", "",
          R"({"team":"team_blue_secret_santa"})", R"({"confirmation_secret":null, "x":1})"}) {
        EXPECT_EQ(core::strip_secrets(body), body);
    }
}

TEST(StripClientSecrets, what_is_no_json_is_emptied) {
    EXPECT_EQ(core::strip_secrets(R"({"client_secret":"pi_1_sec)"), "");
    EXPECT_EQ(core::strip_secrets(R"({"client\u005fsecret":"pi_1)"), "");
}

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
