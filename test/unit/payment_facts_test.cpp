#include "core/payment_facts.hpp"

#include <gtest/gtest.h>

namespace pg_seats::test {
namespace {

std::string intent_json(std::string_view body) {
    const auto facts = core::read_intent(core::ParsedBody(body));
    return facts ? core::to_json(*facts) : "nothing";
}

TEST(PaymentFacts, of_an_intent) {
    EXPECT_EQ(
        intent_json(R"({"id":"pi_1","object":"payment_intent","status":"requires_action",
            "amount":1000,"amount_received":0,"currency":"eur","created":17,
            "client_secret":"pi_1_secret_x","transfer_data":{"d":"a"},
            "latest_charge":{"id":"ch_1","amount_refunded":5,"disputed":true},
            "last_payment_error":{"code":"card_declined","decline_code":"lost","charge":"ch_0"},
            "next_action":{"type":"redirect_to_url","redirect_to_url":{"url":"https://s/?pi_1_secret_x"}},
            "metadata":{"pg_seats":"u-u-1","pg_seats_member":"ab","pg_seats_attempt":"2",
            "pg_seats_installation":"01234567-89ab-cdef-0123-456789abcdef"}})"),
        R"({"object":"payment_intent","id":"pi_1","status":"requires_action","amount":1000,)"
        R"("amount_received":0,"currency":"eur","created":17,)"
        R"("charge":"ch_1","charge_refunded":5,"charge_disputed":true,"error_code":"card_declined",)"
        R"("decline_code":"lost","failed_charge":"ch_0","next_action":"redirect_to_url",)"
        R"("cancellation_reason":null,"has_transfer":true,"marker":"u-u-1",)"
        R"("installation":"01234567-89ab-cdef-0123-456789abcdef","hash":"ab","attempt":2})");
}

TEST(PaymentFacts, what_somebody_else_wrote_into_metadata_is_no_number_and_no_uuid) {
    const auto facts = core::read_intent(core::ParsedBody(
        R"({"id":"pi_1","object":"payment_intent","status":"x","latest_charge":"ch_1","metadata":
            {"pg_seats_attempt":"9999999999","pg_seats_installation":"x"}})"));
    ASSERT_TRUE(facts);
    EXPECT_EQ(facts->attempt, std::nullopt);
    EXPECT_EQ(facts->installation, "");
    EXPECT_EQ(facts->charge, "ch_1");
    EXPECT_EQ(facts->charge_refunded, std::nullopt);
}

// Sums of them are made in SQL, where a number that is too large ends the settlement each time
// anew.
TEST(PaymentFacts, an_amount_that_no_sum_can_have_is_none_and_a_currency_is_in_lower_case) {
    const auto facts = core::read_intent(core::ParsedBody(
        R"({"id":"pi_1","object":"payment_intent","status":"succeeded","amount":9223372036854775807,
            "amount_received":1000000000000000,"currency":"EUR"})"));
    ASSERT_TRUE(facts);
    EXPECT_EQ(facts->amount, std::nullopt);
    EXPECT_EQ(facts->amount_received, 1'000'000'000'000'000);
    EXPECT_EQ(facts->currency, "eur");
}

TEST(PaymentFacts, anything_else_is_no_intent) {
    for (const char* body : {"", "[]", R"({"id":"pi_1","object":"payment_intent"})",
                             R"({"object":"payment_intent","status":"x"})",
                             R"({"id":"re_1","object":"refund","status":"x"})"}) {
        EXPECT_EQ(intent_json(body), "nothing") << body;
    }
}

std::string refunds(std::string_view elements, std::string_view end = R"(,"has_more":false)") {
    const std::string body =
        R"({"object":"list","data":[)" + std::string(elements) + "]" + std::string(end) + "}";
    return core::refunds_json(core::ParsedBody(body), "pi_1").value_or("nothing");
}

TEST(PaymentFacts, a_page_is_complete_only_if_it_can_be_read_and_says_whether_there_are_more) {
    constexpr std::string_view one =
        R"({"id":"re_1","object":"refund","amount":5,"currency":"eur","status":null})";
    constexpr std::string_view whole =
        R"({"object":"refunds","complete":true,"next":null,"refunds":[{"id":"re_1","amount":5,"currency":"eur",)"
        R"("status":null,"charge":null,"failure_reason":null,"reason":null,)"
        R"("marker":null,"created":null}]})";
    EXPECT_EQ(refunds(one), whole);
    EXPECT_TRUE(refunds(one, R"(,"has_more":true)")
                    .starts_with(R"({"object":"refunds","complete":true,"next":"re_1")"));
    EXPECT_TRUE(refunds("", R"(,"has_more":true)")
                    .starts_with(R"({"object":"refunds","complete":false,"next":null)"));
    EXPECT_TRUE(
        refunds(one, "").starts_with(R"({"object":"refunds","complete":false,"next":null)"));
    EXPECT_EQ(refunds(R"({"id":"re_2","object":"refund"})"),
              R"({"object":"refunds","complete":false,"next":null,"refunds":[]})");
    EXPECT_EQ(refunds(R"({"id":"re_2","object":"refund","payment_intent":"pi_2"})"), "nothing");
    EXPECT_EQ(core::refunds_json(core::ParsedBody(R"({"object":"refund"})"), "pi_1"), std::nullopt);
}

TEST(PaymentFacts, a_page_of_intents_has_a_way_to_go_on) {
    const auto page = [](std::string_view body) {
        return core::intents_json(core::ParsedBody(body)).value_or("nothing");
    };
    EXPECT_EQ(page(R"({"object":"list","data":[],"has_more":false})"),
              R"({"object":"intents","has_more":false,"last_id":null,"intents":[]})");
    EXPECT_EQ(page(R"({"object":"list","data":[],"has_more":true})"), "nothing");
    EXPECT_EQ(page(R"({"object":"list","data":[]})"), "nothing");
}

TEST(ClientSecrets, are_moved_and_never_longer_than_their_place) {
    core::ClientSecret one{"pi_1_secret_x"};
    const core::ClientSecret other = std::move(one);
    EXPECT_EQ(other.reveal(), "pi_1_secret_x");
    constexpr std::size_t longest = core::ClientSecret::longest;
    EXPECT_EQ(core::ClientSecret(std::string(longest, 'x')).reveal().size(), longest);
    EXPECT_TRUE(core::ClientSecret(std::string(longest + 1, 'x')).empty());
    EXPECT_TRUE(core::ClientSecret("").empty());
}

}  // namespace
}  // namespace pg_seats::test
