#include "core/subscription.hpp"

#include <gtest/gtest.h>

#include "core/safe_text.hpp"

namespace pg_seats::test {
namespace {

std::string json_of(std::string_view body) {
    const auto facts = core::read_subscription(core::ParsedBody(body));
    return facts ? core::to_json(*facts) : "nothing";
}

// A subscription of few words with more members.
std::string with(std::string_view members) {
    return R"({"object":"subscription","id":"sub_1","status":"active",)" + std::string(members) +
           "}";
}

core::SubscriptionFacts facts_with(std::string_view members) {
    const auto facts = core::read_subscription(core::ParsedBody(with(members)));
    return facts.value_or(core::SubscriptionFacts{});
}

constexpr const char* full = R"({"id":"sub_1","object":"subscription","status":"active",
    "livemode":true,"customer":{"id":"cus_1","object":"customer","email":"a@example.com"},
    "collection_method":"charge_automatically","currency":"usd","cancel_at_period_end":true,
    "cancel_at":1800000000,"canceled_at":1700000001,"ended_at":null,"trial_end":1700000002,
    "schedule":"sub_sched_1","pause_collection":{"behavior":"void"},
    "metadata":{"pg_seats":"m-1","note":"free text"},"description":"free text",
    "items":{"object":"list","has_more":false,"data":[
        {"id":"si_1","object":"subscription_item","quantity":7,"current_period_end":1700003000,
         "price":{"id":"price_1","object":"price","active":true,"currency":"usd","livemode":true,
            "nickname":"free text",
            "recurring":{"interval":"month","interval_count":1,"usage_type":"licensed"}}},
        {"id":"si_2","object":"subscription_item","current_period_end":1700002000,
         "price":{"id":"price_2","recurring":{"usage_type":"metered"}}}]},
    "pending_update":{"expires_at":1700009000,"metadata":{"pg_seats":"m-2"},
        "subscription_items":[{"id":"si_1","quantity":9,"price":{"id":"price_1"}}]},
    "latest_invoice":{"id":"in_1","object":"invoice","status":"open","amount_due":1200,
        "amount_paid":200,"total":1300,"created":1700000500,
        "currency":"usd","billing_reason":"subscription_update",
        "hosted_invoice_url":"https://invoice.stripe.com/i/acct_1/test_YWNjdA?s=ap",
        "confirmation_secret":{"client_secret":"pi_1_secret_x"}}})";

TEST(ReadSubscription, all_facts_and_no_others) {
    EXPECT_EQ(
        json_of(full),
        R"({"id":"sub_1","customer":"cus_1","status":"active","livemode":true,)"
        R"("collection_method":"charge_automatically","currency":"usd",)"
        R"("cancel_at_period_end":true,"cancel_at":1800000000,"canceled_at":1700000001,)"
        R"("ended_at":null,"trial_end":1700000002,"current_period_end":1700002000,)"
        R"("schedule":"sub_sched_1","paused":true,"marker":"m-1","items":[)"
        R"({"id":"si_1","price":"price_1","quantity":7,"metered":false},)"
        R"({"id":"si_2","price":"price_2","quantity":null,"metered":true}],"prices":[)"
        R"({"id":"price_1","interval":"month","interval_count":1,"currency":"usd",)"
        R"("currencies":null,"unit_amount":null,"active":true,"livemode":true,"metered":false},)"
        R"({"id":"price_2","interval":null,"interval_count":null,"currency":null,)"
        R"("currencies":null,"unit_amount":null,"active":null,"livemode":null,"metered":true}],)"
        R"("items_complete":true,"pending_update":{"expires_at":1700009000,"marker":"m-2",)"
        R"("items":[{"id":"si_1","price":"price_1","quantity":9}]},)"
        R"("invoice":{"id":"in_1","status":"open",)"
        R"("url":"https://invoice.stripe.com/i/acct_1/test_YWNjdA?s=ap","total":1300,)"
        R"("amount_due":1200,"amount_paid":200,"currency":"usd"}})");
}

TEST(ReadSubscription, of_few_words) {
    EXPECT_EQ(
        json_of(with(R"("x":1)")),
        R"({"id":"sub_1","customer":null,"status":"active","livemode":null,)"
        R"("collection_method":null,"currency":null,"cancel_at_period_end":false,)"
        R"("cancel_at":null,"canceled_at":null,"ended_at":null,"trial_end":null,)"
        R"("current_period_end":null,"schedule":null,"paused":false,"marker":null,)"
        R"("items":[],"prices":[],"items_complete":false,"pending_update":null,"invoice":null})");
}

TEST(ReadSubscription, anything_else_is_none) {
    for (const char* body :
         {"", "{}", "[]", "null", "<html>", R"({"object":"subscription"})",
          R"({"object":"subscription","id":"sub_1"})", R"({"object":"subscription","status":"a"})",
          R"({"object":"subscription","id":"","status":"active"})",
          R"({"object":"subscription","id":1,"status":"active"})",
          R"({"object":"invoice","id":"sub_1","status":"active"})",
          R"({"object":"subscription","id":"sub\u0000","status":"active"})",
          R"({"object":"subscription","id":"sub_1","status":"active")"}) {
        EXPECT_EQ(json_of(body), "nothing") << body;
    }
    EXPECT_FALSE(core::read_subscription(core::JsonValue()).has_value());
}

TEST(ReadSubscription, old_shape) {
    const auto facts = facts_with(R"("current_period_end":1600000000,"items":{"data":[
        {"id":"si_1","plan":{"id":"gold","usage_type":"metered"},"quantity":1},
        {"id":"si_2","plan":"silver","quantity":2}]})");
    EXPECT_EQ(facts.current_period_end, 1'600'000'000);
    ASSERT_EQ(facts.items.size(), 2U);
    EXPECT_EQ(facts.items[0].price, "gold");
    EXPECT_TRUE(facts.items[0].metered);
    EXPECT_EQ(facts.items[1].price, "silver");
    EXPECT_FALSE(facts.items[1].metered);
    EXPECT_TRUE(facts.items_complete);
}

TEST(ReadSubscription, expanded_or_not) {
    EXPECT_EQ(facts_with(R"("customer":"cus_2")").customer, "cus_2");
    EXPECT_EQ(facts_with(R"("schedule":{"id":"sub_sched_2"})").schedule, "sub_sched_2");
    EXPECT_EQ(facts_with(R"("customer":["cus_2"])").customer, "");
    const auto invoice = facts_with(R"("latest_invoice":"in_2")").invoice;
    ASSERT_TRUE(invoice.has_value());
    EXPECT_EQ(invoice->id, "in_2");
    EXPECT_EQ(invoice->status, "");
    EXPECT_FALSE(invoice->amount_due.has_value());
    EXPECT_FALSE(facts_with(R"("latest_invoice":{"status":"open"})").invoice.has_value());
}

std::string invoice_with(const std::string& members) {
    const auto facts = facts_with(R"("latest_invoice":{"id":"in_1",)" + members + "}");
    return facts.invoice ? core::to_json(*facts.invoice, true) : "nothing";
}

std::string amounts(const std::string& total, const std::string& due, const std::string& paid,
                    const std::string& currency = R"("usd")") {
    return R"({"id":"in_1","currency":)" + currency + R"(,"total":)" + total + R"(,"amount_due":)" +
           due + R"(,"amount_paid":)" + paid + R"(,"status":null,"made_by_call":true})";
}

TEST(ReadInvoice, amounts_as_they_are) {
    const std::string usd = R"("currency":"usd",)";
    EXPECT_EQ(invoice_with(usd + R"("total":1250,"amount_due":1250,"amount_paid":1250)"),
              amounts("1250", "1250", "1250"));
    // A credit goes to the customer's balance: nothing is due.
    EXPECT_EQ(invoice_with(usd + R"("total":-999,"amount_due":0,"amount_paid":0)"),
              amounts("-999", "0", "0"));
    EXPECT_EQ(invoice_with(R"("currency":"JPY","total":0,"amount_due":0,"amount_paid":0)"),
              amounts("0", "0", "0", R"("jpy")"));
}

TEST(ReadInvoice, amounts_that_are_none_are_absent) {
    const std::string usd = R"("currency":"usd")";
    for (const char* other :
         {"", R"(,"total":null,"amount_due":null,"amount_paid":null)",
          R"(,"total":"1250","amount_due":"1250","amount_paid":"1250")",
          R"(,"total":12.5,"amount_due":{},"amount_paid":[])",
          R"(,"total":9000000000000000000,"amount_due":true,"amount_paid":-2000000000000000)"}) {
        EXPECT_EQ(invoice_with(usd + other), amounts("null", "null", "null")) << other;
    }
    EXPECT_EQ(invoice_with(R"("currency":7,"total":1)"), amounts("1", "null", "null", "null"));
}

TEST(ReadInvoice, when_it_was_made) {
    const auto made = [](const std::string& created) {
        const auto facts =
            facts_with(R"("latest_invoice":{"id":"in_1","created":)" + created + "}");
        return facts.invoice->created;
    };
    EXPECT_EQ(made("1700000500"), 1'700'000'500);
    for (const char* other : {"null", R"("1700000500")", "-1", "253402300800"}) {
        EXPECT_FALSE(made(other).has_value()) << other;
    }
    EXPECT_TRUE(facts_with(R"("test_clock":"clock_1")").has_test_clock);
    EXPECT_FALSE(facts_with(R"("test_clock":null)").has_test_clock);
    EXPECT_FALSE(facts_with(R"("x":1)").has_test_clock);
}

TEST(ReadSubscription, items_are_incomplete_when_there_may_be_more) {
    for (const char* items :
         {R"("items":{"data":[{"id":"si_1"}],"has_more":true})", R"("items":{"has_more":false})",
          R"("items":null)", R"("items":{"data":{}})", R"("items":{"data":[{"id":"si_1"},{}]})",
          R"("items":{"data":[{"id":"si_1"},{"id":"in_1","object":"invoice"}]})"}) {
        EXPECT_FALSE(facts_with(items).items_complete) << items;
    }
    EXPECT_TRUE(facts_with(R"("items":{"data":[],"has_more":false})").items_complete);
}

TEST(ReadSubscription, items_are_bounded) {
    std::string data = R"({"id":"si_0"})";
    for (int i = 1; i < 3000; ++i) {
        data += R"(,{"id":"si_)" + std::to_string(i) + R"("})";
    }
    const auto facts = facts_with(R"("items":{"data":[)" + data + "]}");
    EXPECT_EQ(facts.items.size(), core::most_elements);
    EXPECT_FALSE(facts.items_complete);
}

TEST(ReadSubscription, quantities_are_integers) {
    const auto items = facts_with(R"("items":{"data":[{"id":"a","quantity":0},
        {"id":"b","quantity":2.0},{"id":"c","quantity":"3"},{"id":"d","quantity":null}]})")
                           .items;
    ASSERT_EQ(items.size(), 4U);
    EXPECT_EQ(items[0].quantity, 0);
    for (std::size_t i = 1; i < items.size(); ++i) {
        EXPECT_FALSE(items[i].quantity.has_value()) << i;
    }
}

TEST(ReadSubscription, times_fit_a_timestamp) {
    for (const char* time : {"-1", "253402300800", "9223372036854775807", "1.5", "\"1\"", "true"}) {
        EXPECT_FALSE(facts_with("\"cancel_at\":" + std::string(time)).cancel_at.has_value())
            << time;
    }
    EXPECT_EQ(facts_with(R"("cancel_at":253402300799)").cancel_at, 253'402'300'799);
}

TEST(ReadSubscription, a_pending_update_of_any_shape_is_one) {
    const auto pending = facts_with(R"("pending_update":{})").pending_update;
    ASSERT_TRUE(pending.has_value());
    EXPECT_TRUE(pending->items.empty());
    EXPECT_TRUE(facts_with(R"("pending_update":"later")").pending_update.has_value());
    EXPECT_FALSE(facts_with(R"("pending_update":null)").pending_update.has_value());
}

TEST(ReadSubscription, what_is_too_long_is_absent_and_not_cut) {
    const std::string id(255, 'x');
    EXPECT_EQ(facts_with(R"("customer":")" + id + "\"").customer, id);
    EXPECT_EQ(facts_with(R"("customer":")" + id + "x\"").customer, "");
}

TEST(ReadSubscription, no_secret_and_no_control_character) {
    for (const char* text : {R"(pi_1_secret_x)", R"(a\u0000b)", R"(a\nb)", R"(a\u007fb)"}) {
        EXPECT_EQ(facts_with("\"customer\":\"" + std::string(text) + "\"").customer, "") << text;
        EXPECT_EQ(facts_with(R"("metadata":{"pg_seats":")" + std::string(text) + "\"}").marker, "")
            << text;
    }
    EXPECT_EQ(facts_with(R"("metadata":{"pg_seats":"sk_live_1"})").marker, "");
    const auto items =
        facts_with(R"("items":{"data":[{"id":"si_1","price":{"id":"sk_monthly \"é\\"}}]})");
    ASSERT_EQ(items.items.size(), 1U);
    EXPECT_EQ(items.items[0].price, "sk_monthly \"é\\");
    EXPECT_NE(core::to_json(items).find(R"("price":"sk_monthly \"é\\")"), std::string::npos);
}

TEST(SubscriptionJson, is_safe_whatever_the_facts) {
    core::SubscriptionFacts facts;
    facts.id = std::string("sub\0_1", 6);
    facts.status = "\xff";
    facts.customer = std::string(256, 'x');
    facts.marker = "pi_1_secret_x";
    const std::string json = core::to_json(facts);
    EXPECT_TRUE(json.starts_with(R"({"id":null,"customer":null,"status":null,)")) << json;
    EXPECT_NE(json.find(R"("marker":null)"), std::string::npos);
    EXPECT_TRUE(core::is_valid_utf8(json));
}

std::string url_of(const std::string& url) {
    const auto invoice =
        facts_with(R"("latest_invoice":{"id":"in_1","hosted_invoice_url":")" + url + "\"}").invoice;
    return invoice ? invoice->url : "no invoice";
}

TEST(InvoiceUrl, https_or_this_machine) {
    for (const char* url :
         {"https://invoice.stripe.com/i/acct_1/test_x?s=ap", "https://pay.example.com:8443/i#a",
          "http://127.0.0.1:12111/i/in_1", "http://localhost/i", "http://localhost?x"}) {
        EXPECT_EQ(url_of(url), url);
    }
    for (const char* url :
         {"", "http://example.com/", "http://localhost.example.com/",
          "http://127.0.0.1.example.com", "http://localhost@example.com/",
          "http://localhost:80@example.com/", "https://", "https:///i", "https://a@b/",
          "javascript:alert(1)", "HTTPS://a/", " https://a/", "https://a/ b", "https://a/<b>",
          R"(https://a\\b)", R"(https://a/\")", "https://é/", "https://a/?k=pi_1_secret_x"}) {
        EXPECT_EQ(url_of(url), "") << url;
    }
    const std::string longest = "https://a/" + std::string(core::longest_url - 10, 'x');
    EXPECT_EQ(url_of(longest), longest);
    EXPECT_EQ(url_of(longest + "x"), "");
}

TEST(ReadItemPage, a_page) {
    const auto page =
        core::read_item_page(core::ParsedBody(R"({"object":"list","has_more":true,"data":[
        {"id":"si_1","quantity":3,"price":{"id":"price_1"}},{"quantity":1},{"id":"si_3"}]})"));
    ASSERT_TRUE(page.has_value());
    ASSERT_EQ(page->items.size(), 2U);
    EXPECT_EQ(page->items[0].id, "si_1");
    EXPECT_EQ(page->items[0].quantity, 3);
    EXPECT_TRUE(page->has_more);
    EXPECT_EQ(page->last_id, "si_3");
    EXPECT_EQ(page->unreadable, 1U);
}

TEST(ReadItemPage, empty_and_none) {
    const auto page =
        core::read_item_page(core::ParsedBody(R"({"object":"list","data":[],"has_more":false})"));
    ASSERT_TRUE(page.has_value());
    EXPECT_TRUE(page->items.empty());
    EXPECT_FALSE(page->has_more);
    EXPECT_EQ(page->last_id, "");
    for (const char* body :
         {"", "{}", R"({"object":"list"})", R"({"object":"list","data":{}})", R"({"data":[]})"}) {
        EXPECT_FALSE(core::read_item_page(core::ParsedBody(body)).has_value()) << body;
    }
}

TEST(ReadItemPage, too_long_a_page_goes_on) {
    std::string data = R"({"id":"si_0"})";
    for (int i = 1; i < 1500; ++i) {
        data += R"(,{"id":"si_)" + std::to_string(i) + R"("})";
    }
    const auto page =
        core::read_item_page(core::ParsedBody(R"({"object":"list","data":[)" + data + "]}"));
    ASSERT_TRUE(page.has_value());
    EXPECT_EQ(page->items.size(), core::most_elements);
    EXPECT_TRUE(page->has_more);
    EXPECT_EQ(page->last_id, "si_999");
}

}  // namespace
}  // namespace pg_seats::test
