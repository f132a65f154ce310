// What is done about answers to changes of seats, to reads and to deliveries: a row for each rule.
// test/mistakes/core.txt breaks them one by one.
#include <gtest/gtest.h>

#include "proofs.hpp"

namespace pg_seats::test {
namespace {

using core::Purpose;
using core::State;
using core::Transport;

// ---- changes of seats

const Row changes[] = {
    {"executed", [](Case& c) { c.change(); }, "done clean marker answer facts [done]"},
    {"replayed_does_not_tell_what_is_there_now", [](Case& c) { c.change().replayed(); },
     "asks to read base proven: replayed [done]"},
    {"answered_with_another_subscription",
     [](Case& c) {
         c.change();
         c.call.path = "/v1/subscriptions/sub_2";
     },
     "asks to read base proven: answered [done]"},
    {"answered_with_some_of_the_items",
     [](Case& c) { c.change().answer(200, subscription("uuid-uuid-1", half)); },
     "asks to read base proven: answered [done]"},
    {"awaits_payment", [](Case& c) { c.change().answer(200, subscription("x", pending)); },
     "awaiting awaiting_payment in 60000 facts [awaiting]"},
    {"awaits_payment_by_a_replay",
     [](Case& c) { c.change().answer(200, subscription("x", pending)).replayed(); },
     "awaiting awaiting_payment in 0 [awaiting]"},
    {"refused_alone",
     [](Case& c) { c.change().error(402, R"("decline_code":"insufficient_funds")"); },
     "refused payment_failed clean answer [refused]"},
    {"refused_for_the_amount_is_split",
     [](Case& c) {
         c.change().error(402, R"("decline_code":"insufficient_funds")");
         c.call.last_id = 9;
     },
     "pending payment_failed tries 0 generation 2 thawed split in 0 [refused]"},
    {"refused_for_one_line_is_split",
     [](Case& c) {
         c.change().error(400, R"("param":"items[1][price]")");
         c.call.last_id = 9;
     },
     "pending invalid_request tries 0 generation 2 thawed split in 0 [refused]"},
    {"refused_for_the_card_is_not_split",
     [](Case& c) {
         c.change().error(402, R"("code":"card_declined","param":"items")");
         c.call.last_id = 9;
     },
     "refused payment_failed clean answer [refused]"},
    {"a_split_is_split_again",
     [](Case& c) {
         c.change().error(402, R"("decline_code":"insufficient_funds")");
         c.call.last_id = 9;
         c.call.splits_left = 2;
     },
     "pending payment_failed tries 0 generation 2 thawed split in 0 [refused]"},
    {"a_split_is_not_split_for_ever",
     [](Case& c) {
         c.change().error(402, R"("decline_code":"insufficient_funds")");
         c.call.last_id = 9;
         c.call.splits_left = 1;
     },
     "refused payment_failed clean answer [refused]"},
    {"not_executed_is_planned_anew",
     [](Case& c) { c.change().error(409, R"("code":"lock_timeout")"); },
     "pending lock_timeout thawed in 1000 [again]"},
    {"not_executed_now_and_in_doubt_is_not_planned_anew",
     [](Case& c) { c.change().doubt().error(409, R"("code":"lock_timeout")"); },
     "waiting lock_timeout doubt in 1000 [again]"},
    {"held_is_planned_anew",
     [](Case& c) {
         c.change().error(401, no_seat);
         c.call.tries = c.call.attempts = 2;
     },
     "pending unauthorized tries 1 attempts 1 thawed in 500 [halted] +question +probe"},
    {"held_in_doubt_is_not_planned_anew", [](Case& c) { c.change().doubt().error(401, no_seat); },
     "waiting unauthorized doubt tries 0 attempts 0 in 500 [halted] +question +probe"},
    {"our_marker_is_on_the_subscription", [](Case& c) { c.change().asks(Purpose::read_object); },
     "done proven_by_marker marker facts [done]"},
    {"our_marker_is_on_a_subscription_of_many_items",
     [](Case& c) {
         c.change().asks(Purpose::read_object).answer(200, subscription("uuid-uuid-1", half));
     },
     "asks to read base proven: proven_by_marker [done]"},
    {"our_marker_waits_while_we_do",
     [](Case& c) {
         c.change().in(State::awaiting).asks(Purpose::read_object);
         c.answer(200, subscription("x", pending));
     },
     "awaiting awaiting_payment in 540000 facts [awaiting]"},
    {"our_marker_waits_and_we_did_not_know",
     [](Case& c) { c.change().asks(Purpose::read_object).answer(200, subscription("x", pending)); },
     "learned facts [done]"},
    {"went_with_others",
     [](Case& c) {
         c.change().asks(Purpose::read_object).answer(200, subscription("uuid-last-1"));
     },
     "learned facts [done]"},
    {"went_with_others_in_a_subscription_of_many_items",
     [](Case& c) {
         c.change().asks(Purpose::read_object).answer(200, subscription("uuid-last-1", half));
     },
     "asks to read items [done]"},
    {"payment_did_not_come",
     [](Case& c) {
         c.change().in(State::awaiting).asks(Purpose::read_object);
         c.answer(200, subscription("before-before-1"));
     },
     "refused payment_did_not_come answer facts [refused]"},
    {"invoice_was_voided_as_somebody_wished",
     [](Case& c) {
         c.change().in(State::awaiting).asks(Purpose::read_object);
         c.answer(200, subscription("before-before-1"));
         c.call.cancelled = true;
     },
     "cancelled invoice_voided answer facts [refused]"},
    {"superseded_while_it_awaited_payment",
     [](Case& c) {
         c.change().in(State::awaiting).asks(Purpose::read_object);
         c.answer(200, subscription("next-next-1"));
     },
     "asks to search events [done]"},
    {"not_executed_takes_the_base_that_has_proved_it",
     [](Case& c) {
         is_final(c).change().asks(Purpose::read_object);
         c.answer(200, subscription("before-before-1"));
     },
     "pending proven_not_executed tries 0 generation 2 verifications 0 not final thawed facts "
     "journal call.new_generation [again]"},
    {"event_has_our_marker",
     [](Case& c) {
         c.change().asks(Purpose::search_events).answer(200, list(event("x", "uuid-uuid-1")));
     },
     "asks to read base proven: proven_by_event [done]"},
};

// ---- bases of changes, reads of subscriptions and prices

const Row reads[] = {
    {"subscription", [](Case& c) { c.read(); }, "done clean facts [done]"},
    {"subscription_of_many_items", [](Case& c) { c.read().answer(200, subscription("", half)); },
     "asks to read items [done]"},
    {"another_subscription",
     [](Case& c) {
         c.read();
         c.call.path = "/v1/subscriptions/sub_2";
     },
     "waiting unreadable verifications 1 in 1000 problem [done]"},
    {"subscription_is_not_there", [](Case& c) { c.read().error(404, no_seat); },
     "refused not_found clean answer [refused]"},
    {"subscription_is_turned_away", [](Case& c) { was_asked(c).read().error(403, no_seat); },
     "waiting forbidden verifications 1 in 1000 problem [halted] +refusal 3"},
    {"subscription_read_is_not_accepted", [](Case& c) { c.read().error(400, no_parameter); },
     "waiting unknown_parameter verifications 1 in 1000 problem [halted] +refusal 3"},
    {"subscription_read_fails", [](Case& c) { c.read().answer(500, "x"); },
     "waiting server_error in 1000 [again]"},
    {"items_of_a_subscription",
     [](Case& c) {
         c.read().asks(Purpose::read_items).answer(200, list(""));
         c.leg.subscription = core::SubscriptionFacts{};
     },
     "done facts [done]"},
    {"price", [](Case& c) { c.price(); }, "done clean facts [done]"},
    {"another_price",
     [](Case& c) {
         c.price();
         c.call.path = "/v1/prices/price_2";
     },
     "refused not_found clean answer no facts [done]"},
    {"price_is_not_there", [](Case& c) { c.price().error(404, no_seat); },
     "refused not_found clean answer no facts [refused]"},
    {"price_may_not_be_read", [](Case& c) { c.price().error(403, no_seat); },
     "refused not_found clean answer no facts [halted]"},
    {"price_with_a_wrong_key", [](Case& c) { c.price().error(401, no_seat); },
     "pending unauthorized tries 0 attempts 0 thawed in 500 [halted] +question +probe"},

    {"base", [](Case& c) { c.change().asks(Purpose::read_base); }, "learned facts [done]"},
    {"base_of_many_items",
     [](Case& c) { c.change().asks(Purpose::read_base).answer(200, subscription("", half)); },
     "asks to read items [done]"},
    {"base_is_another",
     [](Case& c) {
         c.change().asks(Purpose::read_base);
         c.call.path = "/v1/subscriptions/sub_2";
     },
     "pending unreadable verifications 1 in 1000 problem [done]"},
    {"base_is_not_there", [](Case& c) { c.change().asks(Purpose::read_base).error(404, no_seat); },
     "pending not_found verifications 1 in 1000 problem [refused]"},
    {"base_is_not_there_in_doubt",
     [](Case& c) { c.change().asks(Purpose::read_base).doubt().error(404, no_seat); },
     "review subscription_not_found doubt journal call.review alert review:7 [halted]"},
    {"base_did_not_come", [](Case& c) { c.change().asks(Purpose::read_base).answer(500, "x"); },
     "pending server_error verifications 1 in 1000 [again]"},
    {"base_did_not_come_four_times",
     [](Case& c) {
         c.change().asks(Purpose::read_base).answer(500, "x");
         c.call.verifications = 3;
     },
     "pending server_error verifications 4 in 8000 problem lasts [again]"},
    {"base_did_not_come_often",
     [](Case& c) {
         c.change().asks(Purpose::read_base).answer(500, "x");
         c.call.verifications = 12;
     },
     "pending server_error verifications 10 in 60000 problem lasts [again]"},
    {"base_is_turned_away",
     [](Case& c) { was_asked(c).change().asks(Purpose::read_base).error(403, no_seat); },
     "pending forbidden verifications 1 in 1000 problem [halted] +refusal 3"},
    {"base_is_too_large", [](Case& c) { c.change().asks(Purpose::read_base).too_large(); },
     "pending answer_too_large verifications 1 in 1000 problem [again]"},
    {"proven_and_its_base_was_read",
     [](Case& c) {
         c.change().asks(Purpose::read_base);
         c.leg.proven = "answered";
     },
     "done answered marker facts [done]"},
    {"proven_and_its_base_did_not_come",
     [](Case& c) {
         c.change().in(State::sending).asks(Purpose::read_base).answer(500, "x");
         c.leg.proven = "replayed";
     },
     "done replayed marker [done]"},
    {"proven_and_its_base_is_not_there",
     [](Case& c) {
         c.change().in(State::awaiting).asks(Purpose::read_base).error(404, no_seat);
         c.leg.proven = "proven_by_event";
     },
     "done proven_by_event marker [done]"},
    {"items_go_on",
     [](Case& c) {
         c.change().asks(Purpose::read_items);
         c.answer(200, list(R"({"id":"si_2","price":{"id":"price_2"}})", true));
         c.leg.subscription = core::SubscriptionFacts{};
     },
     "asks to read items page 1 after si_2 [done]"},
    {"items_are_too_many",
     [](Case& c) {
         c.change().asks(Purpose::read_items);
         c.answer(200, list(R"({"id":"si_2","price":{"id":"price_2"}})", true));
         c.leg.subscription = core::SubscriptionFacts{};
         c.leg.pages = 9;
     },
     "pending unreadable verifications 1 in 1000 problem [done]"},
    {"items_that_cannot_be_read_are_no_seats",
     [](Case& c) {
         c.change().asks(Purpose::read_items).answer(200, list("{}"));
         c.leg.subscription = core::SubscriptionFacts{};
     },
     "pending unreadable verifications 1 in 1000 problem [done]"},
    {"items_are_no_list",
     [](Case& c) {
         c.change().asks(Purpose::read_items).answer(200, subscription(""));
         c.leg.subscription = core::SubscriptionFacts{};
     },
     "pending unreadable verifications 1 in 1000 problem [done]"},
    {"items_are_all_read",
     [](Case& c) {
         c.change().asks(Purpose::read_items).answer(200, list(""));
         c.leg.subscription = core::SubscriptionFacts{};
     },
     "learned facts [done]"},
    {"items_page_is_too_large", [](Case& c) { c.change().asks(Purpose::read_items).too_large(); },
     "asks to read items of 50 [again]"},
    {"item_is_too_large",
     [](Case& c) {
         c.change().asks(Purpose::read_items).too_large();
         c.leg.page_size = 1;
     },
     "pending answer_too_large verifications 1 in 1000 problem [again]"},
    {"items_of_what_is_verified_cannot_be_read",
     [](Case& c) {
         c.change().in(State::verifying).asks(Purpose::read_items).answer(200, list("{}"));
         c.leg.subscription = core::SubscriptionFacts{};
     },
     "asks to search events [done]"},
    {"items_of_what_awaits_payment_are_not_there",
     [](Case& c) { c.change().in(State::awaiting).asks(Purpose::read_items).error(404, no_seat); },
     "awaiting awaiting_payment in 540000 [awaiting]"},
};

// ---- deliveries

const Row deliveries[] = {
    {"taken", [](Case& c) { c.delivery(); }, "done clean [done]"},
    {"taken_and_the_rest_of_the_answer_lost",
     [](Case& c) {
         c.delivery().nothing(Transport::broken);
         c.response.status = 204;
     },
     "done clean [unknown]"},
    {"refused", [](Case& c) { c.delivery().answer(410, "gone"); },
     "refused receiver_refused clean alert receiver:stripe [refused] +log"},
    {"moved", [](Case& c) { c.delivery().answer(302, ""); },
     "refused redirect clean alert receiver:stripe [halted] +log"},
    {"not_taken_now", [](Case& c) { c.delivery().answer(503, ""); },
     "waiting server_error in 1000 [unknown]"},
    {"in_doubt_is_sent_again", [](Case& c) { c.delivery().doubt().answer(500, ""); },
     "waiting server_error in 1000 [unknown]"},
    {"not_taken_for_a_day",
     [](Case& c) {
         c.delivery().answer(503, "");
         c.call.created_at = ago(24 * 3600 + 1);
     },
     "refused given_up clean alert receiver:stripe [unknown] +log"},
};

INSTANTIATE_TEST_SUITE_P(Changes, Proofs, testing::ValuesIn(changes), name_of);
INSTANTIATE_TEST_SUITE_P(Reads, Proofs, testing::ValuesIn(reads), name_of);
INSTANTIATE_TEST_SUITE_P(Deliveries, Proofs, testing::ValuesIn(deliveries), name_of);

TEST(ProofsOf, items_are_gathered_over_pages) {
    Case situation;
    situation.change().asks(Purpose::read_items);
    situation.leg.subscription.emplace();
    situation.leg.subscription->items.emplace_back().id = "si_1";
    situation.leg.as_of = ago(5);
    situation.answer(200, list(R"({"id":"si_2","price":{"id":"price_2"}})"));
    const core::Decision decision = situation.decide();
    EXPECT_NE(decision.facts.find("si_1"), std::string::npos);
    EXPECT_NE(decision.facts.find("si_2"), std::string::npos);
    EXPECT_EQ(decision.facts_as_of, ago(5)) << "of the first page";
}

}  // namespace
}  // namespace pg_seats::test
