#include "core/price.hpp"

#include <gtest/gtest.h>

#include "core/subscription.hpp"

namespace pg_seats::test {
namespace {

std::string json_of(std::string_view body) {
    const auto facts = core::read_price(core::ParsedBody(body));
    return facts ? core::to_json(*facts) : "nothing";
}

TEST(ReadPrice, what_decides_whether_a_subscription_can_have_it) {
    EXPECT_EQ(
        json_of(R"({"id":"price_1","object":"price","active":false,"currency":"usd","livemode":true,
            "nickname":"free text","unit_amount":1000,"type":"recurring",
            "currency_options":{"eur":{"unit_amount":900},"usd":{"unit_amount":1000}},
            "recurring":{"interval":"year","interval_count":2,"usage_type":"metered"}})"),
        R"({"id":"price_1","interval":"year","interval_count":2,"currency":"usd",)"
        R"("currencies":["eur","usd"],"unit_amount":1000,"active":false,"livemode":true,"metered":true})");
}

TEST(ReadPrice, one_that_is_bought_once) {
    EXPECT_EQ(
        json_of(R"({"id":"price_1","object":"price","recurring":null})"),
        R"({"id":"price_1","interval":null,"interval_count":null,"currency":null,)"
        R"("currencies":null,"unit_amount":null,"active":null,"livemode":null,"metered":false})");
}

TEST(ReadPrice, anything_else_is_none) {
    for (const char* body :
         {"", "[]", "<html>", R"({"object":"price"})", R"({"id":"price_1"})",
          R"({"id":1,"object":"price"})", R"({"id":"price_1","object":"product"})"}) {
        EXPECT_EQ(json_of(body), "nothing") << body;
    }
}

TEST(ReadPrice, strange_currencies_are_left_out) {
    EXPECT_EQ(
        core::read_price(core::ParsedBody(R"({"id":"p","object":"price","currency_options":[]})"))
            ->currencies,
        std::nullopt);
    EXPECT_EQ(
        core::read_price(core::ParsedBody(R"({"id":"p","object":"price","currency_options":{}})"))
            ->currencies->size(),
        0U);
    const auto facts = core::read_price(core::ParsedBody(
        R"({"id":"p","object":"price","currency_options":{"a\u0001":{},"eur":1}})"));
    ASSERT_EQ(facts->currencies->size(), 1U);
    EXPECT_EQ(facts->currencies->front(), "eur");
}

TEST(ReadPrice, of_items_each_once_and_of_plans_in_old_shapes) {
    const auto facts =
        core::read_subscription(core::ParsedBody(R"({"object":"subscription","id":"sub_1",
        "status":"active","items":{"data":[
        {"id":"si_1","price":{"id":"price_1","object":"price","recurring":{"interval":"month"}}},
        {"id":"si_2","price":{"id":"price_1","object":"price","recurring":{"interval":"month"}}},
        {"id":"si_3","price":"price_3"},
        {"id":"si_4","plan":{"id":"gold","object":"plan","interval":"year","interval_count":1,
            "usage_type":"licensed","currency":"eur","active":true}}]}})"));
    ASSERT_TRUE(facts.has_value());
    ASSERT_EQ(facts->prices.size(), 2U);
    EXPECT_EQ(facts->prices[0].id, "price_1");
    EXPECT_EQ(facts->prices[0].interval, "month");
    EXPECT_EQ(facts->prices[1].id, "gold");
    EXPECT_EQ(facts->prices[1].interval, "year");
    EXPECT_EQ(facts->prices[1].currency, "eur");
    EXPECT_EQ(facts->prices[1].active, true);
}

}  // namespace
}  // namespace pg_seats::test
