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

}  // namespace
}  // namespace pg_seats::test
