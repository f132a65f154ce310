#include "core/event.hpp"

#include <gtest/gtest.h>

namespace pg_seats::test {
namespace {

core::EventFacts facts_of(std::string_view body) {
    const auto facts = core::read_event(core::ParsedBody(body));
    EXPECT_TRUE(facts.has_value()) << body;
    return facts.value_or(core::EventFacts{});
}

// An event about an object.
core::EventFacts about(std::string_view object) {
    return facts_of(R"({"object":"event","id":"evt_1","type":"a.b","data":{"object":)" +
                    std::string(object) + "}}");
}

TEST(ReadEvent, a_subscription_was_changed) {
    const auto facts = facts_of(R"({"id":"evt_1","object":"event","type":
        "customer.subscription.updated","created":1700000000,"livemode":false,
        "account":"acct_1","api_version":"2025-09-30.clover","pending_webhooks":1,
        "request":{"id":"req_1","idempotency_key":"k-1"},
        "data":{"object":{"id":"sub_1","object":"subscription","status":"past_due",
            "customer":{"id":"cus_1"},"items":{"data":[{"id":"si_1","quantity":5}]}},
          "previous_attributes":{"status":"active","items":{"data":[
            {"id":"si_1","quantity":4,"price":{"id":"price_1"}}]}}}})");
    EXPECT_EQ(
        core::to_json(facts),
        R"({"id":"evt_1","type":"customer.subscription.updated","created":1700000000,)"
        R"("livemode":false,"account":"acct_1","api_version":"2025-09-30.clover","thin":false,)"
        R"("idempotency_key":"k-1","request_id":"req_1","object_type":"subscription",)"
        R"("object_id":"sub_1","customer":"cus_1","subscription_id":"sub_1",)"
        R"("payment_intent_id":null,"installation":null,"hash":null,"attempt":null,"subscription":)" +
            core::to_json(facts.subscription.value_or(core::SubscriptionFacts{})) +
            R"(,"previous_items":[{"id":"si_1","price":"price_1","quantity":4,"metered":false}],)"
            R"("previous_status":"active","invoice":null,"payment_intent":null})");
    ASSERT_TRUE(facts.subscription.has_value());
    EXPECT_EQ(facts.subscription->items.at(0).quantity, 5);
}

TEST(ReadEvent, thin) {
    const auto facts = facts_of(R"({"id":"evt_2","object":"v2.core.event",
        "type":"v1.customer.subscription.updated","created":"2026-10-01T00:00:00.000Z",
        "livemode":true,"related_object":{"id":"sub_1","type":"subscription","url":"/v1/x"},
        "reason":{"type":"request","request":{"id":"req_2","idempotency_key":"k-2"}},
        "data":{"object":{"id":"in_1","object":"invoice"}}})");
    EXPECT_EQ(
        core::to_json(facts),
        R"({"id":"evt_2","type":"v1.customer.subscription.updated","created":null,)"
        R"("livemode":true,"account":null,"api_version":null,"thin":true,)"
        R"("idempotency_key":"k-2","request_id":"req_2","object_type":"subscription",)"
        R"("object_id":"sub_1","customer":null,"subscription_id":"sub_1","payment_intent_id":null,)"
        R"("installation":null,"hash":null,"attempt":null,"subscription":null,)"
        R"("previous_items":null,"previous_status":null,"invoice":null,"payment_intent":null})");
}

TEST(ReadEvent, anything_else_is_none) {
    for (const char* body :
         {"", "{}", "[]", R"({"object":"event","id":"evt_1"})", R"({"object":"event","type":"a"})",
          R"({"object":"event","id":"","type":"a"})", R"({"object":"event","id":1,"type":"a"})",
          R"({"object":"list","id":"evt_1","type":"a"})",
          R"({"object":"event","id":"evt_1","type":"a\u0000"})",
          R"({"object":"event","id":"evt_1","type":"a")"}) {
        EXPECT_FALSE(core::read_event(core::ParsedBody(body)).has_value()) << body;
    }
    EXPECT_FALSE(core::read_event(core::JsonValue()).has_value());
}

TEST(ReadEvent, of_an_unknown_kind_is_read_all_the_same) {
    const auto facts = about(R"({"id":"x_1","object":"novelty","customer":"cus_1",
        "subscription":"sub_9","status":"a"})");
    EXPECT_EQ(facts.object_type, "novelty");
    EXPECT_EQ(facts.object_id, "x_1");
    EXPECT_EQ(facts.customer, "cus_1");
    EXPECT_EQ(facts.subscription_id, "");
    EXPECT_FALSE(facts.subscription || facts.invoice || facts.payment_intent);
    for (const char* data : {"null", "[]", "\"x\"", "{}", R"({"object":"sub_1"})"}) {
        const auto empty = facts_of(R"({"object":"event","id":"evt_1","type":"a","data":)" +
                                    std::string(data) + "}");
        EXPECT_EQ(empty.object_id, "") << data;
    }
}

TEST(ReadEvent, who_asked) {
    const auto request = [](const char* value) {
        return facts_of(R"({"object":"event","id":"evt_1","type":"a","request":)" +
                        std::string(value) + "}");
    };
    EXPECT_EQ(request(R"("req_old")").request_id, "req_old");
    EXPECT_EQ(request(R"("req_old")").idempotency_key, "");
    EXPECT_EQ(request("null").request_id, "");
    EXPECT_EQ(request(R"({"id":null,"idempotency_key":null})").request_id, "");
    EXPECT_EQ(request(R"({"id":null,"idempotency_key":"k"})").idempotency_key, "k");
    // Other programs choose their keys as they like.
    EXPECT_EQ(request(R"({"id":"req_1","idempotency_key":"sk_live_123"})").idempotency_key, "");
}

TEST(ReadEvent, whose_it_is_is_not_guessed) {
    const auto event = [](const char* more) {
        return core::read_event(core::ParsedBody(R"({"object":"event","id":"evt_1","type":"a")" +
                                                 std::string(more) + "}"));
    };
    EXPECT_EQ(event("")->account, "");
    EXPECT_EQ(event(R"(,"account":null)")->account, "");
    EXPECT_EQ(event(R"(,"account":"acct_1")")->account, "acct_1");
    EXPECT_EQ(event(R"(,"account":{"id":"acct_1"})")->account, "acct_1");
    for (const char* account : {R"(,"account":1)", R"(,"account":true)", R"(,"account":{})",
                                R"(,"account":[])", R"(,"account":"")", R"(,"account":"acct_1
")"}) {
        EXPECT_FALSE(event(account).has_value()) << account;
    }
}

TEST(ReadEvent, invoices_of_either_shape_name_their_subscription) {
    const char* const invoices[] = {
        R"({"id":"in_1","object":"invoice","subscription":"sub_1"})",
        R"({"id":"in_1","object":"invoice","subscription":{"id":"sub_1"}})",
        R"({"id":"in_1","object":"invoice",
            "parent":{"subscription_details":{"subscription":"sub_1"}}})",
        R"({"id":"in_1","object":"invoice","subscription":null,
            "parent":{"subscription_details":{"subscription":{"id":"sub_1"}}}})"};
    for (const char* invoice : invoices) {
        EXPECT_EQ(about(invoice).subscription_id, "sub_1") << invoice;
    }
    EXPECT_EQ(about(R"({"id":"in_1","object":"invoice","parent":null})").subscription_id, "");
}

TEST(ReadEvent, invoice) {
    const auto facts = about(R"({"id":"in_1","object":"invoice","status":"open","amount_due":-5,
        "currency":"eur","billing_reason":"subscription_cycle","customer_email":"a@example.com",
        "hosted_invoice_url":"https://invoice.stripe.com/i/x"})");
    EXPECT_NE(
        core::to_json(facts).find(
            R"("invoice":{"id":"in_1","status":"open","url":"https://invoice.stripe.com/i/x",)"
            R"("total":null,"amount_due":-5,"amount_paid":null,"currency":"eur",)"
            R"("billing_reason":"subscription_cycle"},)"),
        std::string::npos)
        << core::to_json(facts);
    EXPECT_EQ(core::to_json(facts).find("example.com"), std::string::npos);
    // invoice.upcoming is about an invoice that has no id yet.
    const auto upcoming = about(R"({"object":"invoice","subscription":"sub_1"})");
    EXPECT_FALSE(upcoming.invoice.has_value());
    EXPECT_EQ(upcoming.subscription_id, "sub_1");
}

TEST(ReadEvent, payment_intent) {
    const auto facts = about(R"({"id":"pi_1","object":"payment_intent","status":"succeeded",
        "amount":500,"amount_received":499,"currency":"usd","created":1700000000,
        "client_secret":"pi_1_secret_x",
        "metadata":{"pg_seats":"m-1"}})");
    EXPECT_TRUE(core::to_json(facts).ends_with(
        R"("payment_intent":{"id":"pi_1","status":"succeeded","amount":500,)"
        R"("amount_received":499,"currency":"usd","created":1700000000,"operation":"m-1"}})"))
        << core::to_json(facts);
    EXPECT_EQ(core::to_json(facts).find("secret"), std::string::npos);
}

TEST(ReadEvent, whose_payment_it_is_about) {
    const auto intent = about(R"({"id":"pi_1","object":"payment_intent","metadata":{
        "pg_seats_installation":"0b2f8c1e-1111-4222-8333-444455556666",
        "pg_seats_member":"0123456789abcdef0123456789abcdef","pg_seats_attempt":"12"}})");
    EXPECT_EQ(intent.payment_intent_id, "pi_1");
    EXPECT_EQ(intent.marks.installation, "0b2f8c1e-1111-4222-8333-444455556666");
    EXPECT_EQ(intent.marks.hash, "0123456789abcdef0123456789abcdef");
    EXPECT_EQ(intent.marks.attempt, 12);
    for (const char* object :
         {R"({"id":"ch_1","object":"charge","payment_intent":"pi_2"})",
          R"({"id":"re_1","object":"refund","payment_intent":{"id":"pi_2","object":"x"}})",
          R"({"id":"dp_1","object":"dispute","payment_intent":"pi_2"})"}) {
        EXPECT_EQ(about(object).payment_intent_id, "pi_2") << object;
    }
    EXPECT_EQ(about(R"({"id":"ch_1","object":"charge","payment_intent":null})").payment_intent_id,
              "");
    EXPECT_EQ(about(R"({"id":"x","object":"novelty","payment_intent":"pi_2"})").payment_intent_id,
              "");
    const auto thin = facts_of(R"({"id":"evt_2","object":"v2.core.event",
        "type":"v1.payment_intent.succeeded","related_object":{"id":"pi_3",
        "type":"payment_intent"}})");
    EXPECT_EQ(thin.payment_intent_id, "pi_3");
}

TEST(ReadEvent, what_others_write_into_metadata_names_no_payment) {
    for (const char* metadata :
         {R"({"pg_seats_installation":"0B2F8C1E-1111-4222-8333-444455556666"})",
          R"({"pg_seats_installation":"0b2f8c1e1-111-4222-8333-444455556666"})",
          R"({"pg_seats_installation":7,"pg_seats_member":{},"pg_seats_attempt":12})",
          R"({"pg_seats_member":"0123456789abcdef0123456789abcde-"})",
          R"({"pg_seats_member":"0123456789abcdef0123456789abcdef0"})",
          R"({"pg_seats_attempt":""})", R"({"pg_seats_attempt":"-1"})",
          R"({"pg_seats_attempt":"1234567890"})", R"({"pg_seats_attempt":"1 "})", "null", "[]"}) {
        const auto marks = about(R"({"id":"pi_1","object":"payment_intent","metadata":)" +
                                 std::string(metadata) + "}")
                               .marks;
        EXPECT_EQ(marks.installation, "") << metadata;
        EXPECT_EQ(marks.hash, "") << metadata;
        EXPECT_FALSE(marks.attempt.has_value()) << metadata;
    }
}

TEST(ReadEvent, previous_items_only_if_they_changed) {
    const auto previous = [](const char* attributes) {
        return facts_of(R"({"object":"event","id":"evt_1","type":"a","data":{"object":{},
                           "previous_attributes":)" +
                        std::string(attributes) + "}}")
            .previous_items;
    };
    EXPECT_FALSE(previous("null").has_value());
    EXPECT_FALSE(previous("{}").has_value());
    EXPECT_FALSE(previous(R"({"items":null})").has_value());
    EXPECT_FALSE(previous(R"({"quantity":1})").has_value());
    const auto none = previous(R"({"items":{"data":[]}})");
    ASSERT_TRUE(none.has_value());
    EXPECT_TRUE(none->empty());
}

TEST(ReadEvent, a_subscription_that_cannot_be_read_is_named) {
    const auto facts = about(R"({"id":"sub_1","object":"subscription"})");
    EXPECT_EQ(facts.subscription_id, "sub_1");
    EXPECT_FALSE(facts.subscription.has_value());
}

TEST(ReadEventPage, a_page) {
    const auto page =
        core::read_event_page(core::ParsedBody(R"({"object":"list","has_more":true,"data":[
        {"object":"event","id":"evt_4"},
        {"object":"event","id":"evt_3","type":"a"},
        7,
        {"object":"event","id":"evt_2","type":"b"},
        {"object":"event","id":"evt_1","type":null}]})"));
    ASSERT_TRUE(page.has_value());
    ASSERT_EQ(page->events.size(), 2U);
    EXPECT_EQ(page->events[0].id, "evt_3");
    EXPECT_EQ(page->events[1].type, "b");
    EXPECT_TRUE(page->has_more);
    EXPECT_EQ(page->last_id, "evt_1");
}

TEST(ReadEventPage, empty_and_none) {
    const auto page = core::read_event_page(core::ParsedBody(R"({"object":"list","data":[]})"));
    ASSERT_TRUE(page.has_value());
    EXPECT_TRUE(page->events.empty() && page->last_id.empty());
    EXPECT_FALSE(page->has_more);
    for (const char* body : {"", "{}", R"({"object":"list"})", R"({"object":"event","data":[]})",
                             R"({"object":"list","data":[)"}) {
        EXPECT_FALSE(core::read_event_page(core::ParsedBody(body)).has_value()) << body;
    }
}

TEST(ReadEventPage, too_long_a_page_goes_on) {
    std::string data = "0";
    for (std::size_t i = 1; i < core::most_elements + 5; ++i) {
        data += R"(,{"object":"event","type":"a","id":"evt_)" + std::to_string(i) + R"("})";
    }
    const auto page =
        core::read_event_page(core::ParsedBody(R"({"object":"list","data":[)" + data + "]}"));
    ASSERT_TRUE(page.has_value());
    EXPECT_TRUE(page->has_more);
    EXPECT_EQ(page->events.size(), core::most_elements - 1);
    EXPECT_EQ(page->last_id, "evt_999");
}

}  // namespace
}  // namespace pg_seats::test
