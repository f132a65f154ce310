// What is done about answers to changes of seats, to reads and to deliveries: a row for each rule.
// test/mistakes/core.txt breaks them one by one.
#include <gtest/gtest.h>

#include "proofs.hpp"

namespace pg_seats::test {
namespace {

using core::Proof;
using core::Purpose;
using core::State;
using core::Transport;

// ---- changes of seats

const Row changes[] = {
    {"executed", [](Case& c) { c.change(); }, "done clean marker answer facts si_1 price_1 [done]"},
    {"replayed_does_not_tell_what_is_there_now", [](Case& c) { c.change().replayed(); },
     "asks to read base proven: replayed by replayed [done]"},
    {"answered_with_another_subscription",
     [](Case& c) {
         c.change();
         c.call.path = "/v1/subscriptions/sub_2";
     },
     "asks to read base proven: answered by answered [done]"},
    {"answered_with_some_of_the_items",
     [](Case& c) { c.change().answer(200, subscription("uuid-uuid-1", half)); },
     "asks to read base proven: answered by answered [done]"},
    {"awaits_payment", [](Case& c) { c.change().answer(200, subscription("x", pending)); },
     "awaiting awaiting_payment in 60000 facts si_1 price_1 [awaiting] +counts nothing"},
    {"awaits_payment_by_a_replay",
     [](Case& c) { c.change().answer(200, subscription("x", pending)).replayed(); },
     "awaiting awaiting_payment in 0 [awaiting] +counts nothing"},
    {"awaits_payment_and_some_of_the_items_are_told",
     [](Case& c) {
         c.change().answer(200, subscription("x", std::string(pending) + std::string(half)));
     },
     "awaiting awaiting_payment in 0 [awaiting] +counts nothing"},
    {"awaits_payment_and_another_subscription_is_told",
     [](Case& c) {
         c.change().answer(200, subscription("x", pending));
         c.call.path = "/v1/subscriptions/sub_2";
     },
     "awaiting awaiting_payment in 0 [awaiting] +counts nothing"},
    {"refused_alone",
     [](Case& c) { c.change().error(402, R"("decline_code":"insufficient_funds")"); },
     "refused payment_failed clean answer [refused]"},
    {"refused_for_the_amount_is_split",
     [](Case& c) {
         c.change().error(402, R"("decline_code":"insufficient_funds")");
         c.call.last_id = 9;
     },
     "pending payment_failed tries 0 generation 2 thawed split in 0 [refused]"},
    {"refused_for_the_cards_pace_is_split",
     [](Case& c) {
         c.change().error(402, R"("decline_code":"card_velocity_exceeded")");
         c.call.last_id = 9;
     },
     "pending payment_failed tries 0 generation 2 thawed split in 0 [refused]"},
    {"refused_for_the_number_of_payments_is_split",
     [](Case& c) {
         c.change().error(402, R"("decline_code":"withdrawal_count_limit_exceeded")");
         c.call.last_id = 9;
     },
     "pending payment_failed tries 0 generation 2 thawed split in 0 [refused]"},
    {"refused_for_a_sum_that_is_too_large_is_split",
     [](Case& c) {
         c.change().error(400, R"("code":"amount_too_large")");
         c.call.last_id = 9;
     },
     "pending invalid_request tries 0 generation 2 thawed split in 0 [refused]"},
    {"a_split_begins_anew_under_another_key",
     [](Case& c) {
         is_final(c).change().error(402, R"("decline_code":"insufficient_funds")");
         c.call.last_id = 9;
         c.call.verifications = 2;
     },
     "pending payment_failed tries 0 generation 2 verifications 0 not final thawed split in 0 "
     "[refused]"},
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
     "done by read proven_by_marker marker facts si_1 price_1 [done]"},
    {"our_marker_is_on_a_subscription_of_many_items",
     [](Case& c) {
         c.change().asks(Purpose::read_object).answer(200, subscription("uuid-uuid-1", half));
     },
     "asks to read base proven: proven_by_marker by read [done]"},
    {"our_marker_waits_while_we_do",
     [](Case& c) {
         c.change().in(State::awaiting).asks(Purpose::read_object);
         c.answer(200, subscription("x", pending));
     },
     "awaiting awaiting_payment in 540000 facts si_1 price_1 [awaiting]"},
    {"our_marker_waits_while_we_do_on_a_subscription_of_many_items",
     [](Case& c) {
         c.change().in(State::awaiting).asks(Purpose::read_object);
         c.answer(200, subscription("x", std::string(pending) + std::string(half)));
     },
     "asks to read items [done]"},
    {"our_marker_waits_while_we_do_on_another_subscription",
     [](Case& c) {
         c.change().in(State::awaiting).asks(Purpose::read_object);
         c.answer(200, subscription("x", pending));
         c.call.path = "/v1/subscriptions/sub_2";
     },
     "awaiting awaiting_payment in 540000 [awaiting]"},
    {"our_marker_waits_and_we_did_not_know",
     [](Case& c) { c.change().asks(Purpose::read_object).answer(200, subscription("x", pending)); },
     "learned facts si_1 price_1 [done]"},
    {"went_with_others",
     [](Case& c) {
         c.change().asks(Purpose::read_object).answer(200, subscription("uuid-last-1"));
     },
     "learned facts si_1 price_1 [done]"},
    {"went_with_others_in_a_subscription_of_many_items",
     [](Case& c) {
         c.change().asks(Purpose::read_object).answer(200, subscription("uuid-last-1", half));
     },
     "asks to read items [done]"},
    {"went_with_others_and_awaits_payment",
     [](Case& c) {
         c.change().asks(Purpose::read_object);
         c.answer(200, subscription(
                           "x", R"(,"pending_update":{"metadata":{"pg_seats":"uuid-last-1"}})"));
     },
     "learned facts si_1 price_1 [done]"},
    {"went_with_others_in_what_cannot_be_read",
     [](Case& c) {
         c.change().asks(Purpose::read_object).answer(200, subscription("uuid-last-1"));
         c.call.path = "/v1/subscriptions/sub_2";
     },
     "asks to search events [done]"},
    {"payment_did_not_come",
     [](Case& c) {
         c.change().in(State::awaiting).asks(Purpose::read_object);
         c.answer(200, subscription("before-before-1"));
     },
     "refused by read payment_did_not_come answer facts si_1 price_1 [refused]"},
    {"invoice_was_voided_as_somebody_wished",
     [](Case& c) {
         c.change().in(State::awaiting).asks(Purpose::read_object);
         c.answer(200, subscription("before-before-1"));
         c.call.cancelled = true;
     },
     "cancelled by read invoice_voided answer facts si_1 price_1 [refused]"},
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
     "pending proven_not_executed tries 0 generation 2 verifications 0 not final thawed facts si_1 "
     "price_1 journal call.new_generation [again]"},
    {"a_list_that_proves_it_not_executed_is_no_base",
     [](Case& c) { is_final(c).change().asks(Purpose::search_list).answer(200, list("")); },
     "pending proven_not_executed tries 0 generation 2 verifications 0 not final thawed journal "
     "call.new_generation [again]"},
    {"event_has_our_marker",
     [](Case& c) {
         c.change().asks(Purpose::search_events).answer(200, list(event("x", "uuid-uuid-1")));
     },
     "asks to read base proven: proven_by_event by event [done]"},
};

// ---- whose the latest invoice is

// A purchase that is answered with this.
void answered(Case& c, const std::string& more) {
    c.bought().answer(200, subscription("uuid-uuid-1", more));
}

// … whose answer proves it, and a read shows this now.
void replayed(Case& c, std::string_view id, std::string_view status) {
    c.bought().asks(Purpose::read_base).proven("replayed", Proof::replayed);
    c.leg.invoice.emplace();
    c.leg.invoice->id = "in_1";
    c.leg.invoice->status = "open";
    c.answer(200, subscription("uuid-uuid-1", latest(id, status)));
}

const Row invoices[] = {
    {"its_own", [](Case& c) { answered(c, latest("in_1", "paid")); },
     "done clean marker answer facts si_1 price_1 its invoice in_1 paid [done]"},
    {"none", [](Case& c) { answered(c, R"(,"latest_invoice":null)"); },
     "done clean marker answer facts si_1 price_1 [done]"},
    {"its_mere_id", [](Case& c) { answered(c, R"(,"latest_invoice":"in_1")"); },
     "done clean marker answer facts si_1 price_1 [done]"},
    {"made_before_the_call", [](Case& c) { answered(c, latest("in_1", "paid", 301)); },
     "done clean marker answer facts si_1 price_1 [done]"},
    {"made_before_the_call_by_another_clock",
     [](Case& c) { answered(c, latest("in_1", "paid", 299)); },
     "done clean marker answer facts si_1 price_1 its invoice in_1 paid [done]"},
    {"made_in_the_time_of_a_test_clock",
     [](Case& c) { answered(c, latest("in_1", "paid", 86'400) + R"(,"test_clock":"clock_1")"); },
     "done clean marker answer facts si_1 price_1 its invoice in_1 paid [done]"},
    {"made_nobody_knows_when",
     [](Case& c) {
         answered(c, R"(,"latest_invoice":{"id":"in_1","billing_reason":"subscription_update"})");
     },
     "done clean marker answer facts si_1 price_1 [done]"},
    {"of_a_renewal", [](Case& c) { answered(c, latest("in_1", "paid", 0, "subscription_cycle")); },
     "done clean marker answer facts si_1 price_1 [done]"},
    {"of_a_call_that_asks_for_none",
     [](Case& c) {
         answered(c, latest("in_1", "paid"));
         c.call.body = "proration_behavior=create_prorations";
     },
     "done clean marker answer facts si_1 price_1 [done]"},
    {"of_another_subscription",
     [](Case& c) {
         answered(c, latest("in_1", "paid"));
         c.call.path = "/v1/subscriptions/sub_2";
     },
     "asks to read base proven: answered by answered [done]"},
    {"replayed_and_paid_since", [](Case& c) { replayed(c, "in_1", "paid"); },
     "done by replayed replayed marker facts si_1 price_1 its invoice in_1 paid [done]"},
    {"replayed_and_another_one_since", [](Case& c) { replayed(c, "in_2", "paid"); },
     "done by replayed replayed marker facts si_1 price_1 its invoice in_1 open [done]"},
    {"proven_by_a_read",
     [](Case& c) {
         c.bought().asks(Purpose::read_object);
         c.answer(200, subscription("uuid-uuid-1", latest("in_1", "paid")));
     },
     "done by read proven_by_marker marker facts si_1 price_1 latest invoice in_1 paid [done]"},
};

TEST(ProofsOfInvoices, a_replayed_answer_tells_of_its_own) {
    const auto asked = [](const std::string& more, std::int64_t first_sent) {
        Case c;
        c.bought().answer(200, subscription("uuid-uuid-1", more)).replayed();
        c.call.first_sent_at = ago(first_sent);
        return c.decide().next.invoice;
    };
    const auto invoice = asked(latest("in_1", "open", 3'600), 3'600);
    ASSERT_TRUE(invoice.has_value());
    EXPECT_EQ(invoice->id, "in_1");
    EXPECT_FALSE(asked(latest("in_1", "open", 3'600), 60).has_value());
    EXPECT_FALSE(asked("", 60).has_value());
}

// ---- bases of changes, reads of subscriptions and prices

const Row reads[] = {
    {"subscription", [](Case& c) { c.read(); }, "done clean facts si_1 price_1 [done]"},
    {"subscription_of_many_items", [](Case& c) { c.read().answer(200, subscription("", half)); },
     "asks to read items [done]"},
    {"another_subscription",
     [](Case& c) {
         c.read();
         c.call.path = "/v1/subscriptions/sub_2";
     },
     "waiting unreadable verifications 1 in 1000 error 'the answer is not the subscription' "
     "problem [done]"},
    {"subscription_is_not_there", [](Case& c) { c.read().error(404, no_seat); },
     "refused not_found clean answer [refused]"},
    {"subscription_is_turned_away", [](Case& c) { was_asked(c).read().error(403, no_seat); },
     "waiting forbidden verifications 1 in 1000 problem 'forbidden' [halted] +refusal 3"},
    {"subscription_read_is_not_accepted", [](Case& c) { c.read().error(400, no_parameter); },
     "waiting unknown_parameter verifications 1 in 1000 problem 'unknown_parameter' [halted] "
     "+refusal 3"},
    {"subscription_read_fails", [](Case& c) { c.read().answer(500, "x"); },
     "waiting server_error in 1000 [again]"},
    {"another_subscription_for_a_read_in_doubt",
     [](Case& c) {
         c.read().doubt();
         c.call.path = "/v1/subscriptions/sub_2";
     },
     "waiting unreadable doubt verifications 1 in 1000 error 'the answer is not the subscription' "
     "problem [done]"},
    {"items_of_a_subscription_did_not_come",
     [](Case& c) { c.read().asks(Purpose::read_items).in(State::sending).answer(500, "x"); },
     "waiting server_error verifications 1 in 1000 [again]"},
    {"items_of_a_subscription_are_not_there",
     [](Case& c) { c.read().asks(Purpose::read_items).in(State::sending).error(404, no_seat); },
     "refused not_found answer [refused]"},
    {"items_of_a_subscription_are_no_list",
     [](Case& c) {
         c.read().asks(Purpose::read_items).in(State::sending).answer(200, subscription(""));
     },
     "waiting unreadable verifications 1 in 1000 error 'the answer is not a list of a "
     "subscription's items' problem [done]"},
    {"items_of_a_subscription",
     [](Case& c) {
         c.read().asks(Purpose::read_items).answer(200, list(""));
         c.leg.subscription.emplace();
         c.leg.as_of = sent_at;
     },
     "done facts [done]"},
    {"price", [](Case& c) { c.price(); }, "done clean facts [done]"},
    {"another_price",
     [](Case& c) {
         c.price();
         c.call.path = "/v1/prices/price_2";
     },
     "refused not_found clean answer no facts error 'the answer is not this price' [done]"},
    {"price_is_not_there", [](Case& c) { c.price().error(404, no_seat); },
     "refused not_found clean answer no facts [refused]"},
    {"price_is_no_parameter", [](Case& c) { c.price().error(400, no_parameter); },
     "refused not_found clean answer no facts [halted]"},
    {"price_may_not_be_read", [](Case& c) { c.price().error(403, no_seat); },
     "refused not_found clean answer no facts [halted]"},
    {"price_with_a_wrong_key", [](Case& c) { c.price().error(401, no_seat); },
     "pending unauthorized tries 0 attempts 0 thawed in 500 [halted] +question +probe"},

    {"base", [](Case& c) { c.change().asks(Purpose::read_base); },
     "learned facts si_1 price_1 [done]"},
    {"base_of_many_items",
     [](Case& c) { c.change().asks(Purpose::read_base).answer(200, subscription("", half)); },
     "asks to read items [done]"},
    {"base_of_many_items_after_pages_of_something_else",
     [](Case& c) {
         c.change().asks(Purpose::read_base).answer(200, subscription("", half));
         c.leg.pages = 3;
         c.leg.page_size = 50;
         c.leg.cursor = "evt_9";
     },
     "asks to read items of 100 [done]"},
    {"base_is_another",
     [](Case& c) {
         c.change().asks(Purpose::read_base);
         c.call.path = "/v1/subscriptions/sub_2";
     },
     "pending unreadable verifications 1 in 1000 error 'the answer is not the subscription' "
     "problem [done]"},
    {"base_is_not_there", [](Case& c) { c.change().asks(Purpose::read_base).error(404, no_seat); },
     "pending not_found verifications 1 in 1000 problem 'not_found' [refused]"},
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
     "pending server_error verifications 4 in 8000 problem 'server_error' lasts [again]"},
    {"base_did_not_come_often",
     [](Case& c) {
         c.change().asks(Purpose::read_base).answer(500, "x");
         c.call.verifications = 12;
     },
     "pending server_error verifications 10 in 60000 problem 'server_error' lasts [again]"},
    {"base_is_turned_away",
     [](Case& c) { was_asked(c).change().asks(Purpose::read_base).error(403, no_seat); },
     "pending forbidden verifications 1 in 1000 problem 'forbidden' [halted] +refusal 3"},
    {"base_is_turned_away_and_asked_about",
     [](Case& c) { c.change().asks(Purpose::read_base).error(403, no_seat); },
     "pending forbidden verifications 1 in 1000 problem 'forbidden' [halted] +question +probe"},
    {"items_are_turned_away",
     [](Case& c) { was_asked(c).change().asks(Purpose::read_items).error(403, no_seat); },
     "pending forbidden verifications 1 in 1000 problem 'forbidden' [halted] +refusal 3"},
    {"base_waits_as_long_as_stripe_says",
     [](Case& c) {
         c.change().asks(Purpose::read_base).error(429, R"("code":"rate_limit")");
         c.response.headers.retry_after = std::chrono::seconds{7};
     },
     "pending rate_limited verifications 1 in 8000 [again]"},
    {"base_is_too_large", [](Case& c) { c.change().asks(Purpose::read_base).too_large(); },
     "pending answer_too_large verifications 1 in 1000 error 'gone' problem [again]"},
    {"proven_and_its_base_was_read",
     [](Case& c) {
         c.change().asks(Purpose::read_base);
         c.proven("answered", Proof::answered);
     },
     "done answered marker facts si_1 price_1 [done]"},
    {"proven_and_its_base_did_not_come",
     [](Case& c) {
         c.change().in(State::sending).asks(Purpose::read_base).answer(500, "x");
         c.proven("replayed", Proof::replayed);
     },
     "done by replayed replayed marker [done]"},
    {"proven_and_its_base_is_not_there",
     [](Case& c) {
         c.change().in(State::awaiting).asks(Purpose::read_base).error(404, no_seat);
         c.proven("proven_by_event", Proof::event);
     },
     "done by event proven_by_event marker [done]"},
    {"proven_in_doubt_and_its_base_is_not_there",
     [](Case& c) {
         c.change().asks(Purpose::read_base).doubt().error(404, no_seat);
         c.proven("proven_by_event", Proof::event);
     },
     "done by event proven_by_event marker [done]"},
    {"proven_by_a_verification_and_its_base_is_not_there",
     [](Case& c) {
         c.change().in(State::verifying).asks(Purpose::read_base).doubt().error(404, no_seat);
         c.proven("proven_by_event", Proof::event);
     },
     "done by event proven_by_event marker [done]"},
    {"proven_by_a_verification_and_its_base_is_another",
     [](Case& c) {
         c.change().in(State::verifying).asks(Purpose::read_base).doubt();
         c.proven("proven_by_event", Proof::event);
         c.call.path = "/v1/subscriptions/sub_2";
     },
     "done by event proven_by_event marker [done]"},
    {"proven_by_a_verification_and_its_base_did_not_come",
     [](Case& c) {
         c.change().in(State::verifying).asks(Purpose::read_base).doubt().answer(500, "x");
         c.proven("proven_by_event", Proof::event);
     },
     "done by event proven_by_event marker [done]"},
    {"proven_by_a_verification_and_its_items_did_not_come",
     [](Case& c) {
         c.change().in(State::verifying).asks(Purpose::read_items).doubt().answer(500, "x");
         c.proven("proven_by_event", Proof::event);
     },
     "done by event proven_by_event marker [done]"},
    {"items_go_on",
     [](Case& c) {
         c.change().asks(Purpose::read_items);
         c.answer(200, list(R"({"id":"si_2","price":{"id":"price_2"}})", true));
         c.leg.subscription.emplace();
     },
     "asks to read items page 1 after si_2 with si_2 with price_2 [done]"},
    {"items_are_too_many",
     [](Case& c) {
         c.change().asks(Purpose::read_items);
         c.answer(200, list(R"({"id":"si_2","price":{"id":"price_2"}})", true));
         c.leg.subscription.emplace();
         c.leg.pages = 9;
     },
     "pending unreadable verifications 1 in 1000 error 'not all of its items can be read' problem "
     "[done]"},
    {"more_pages_of_items_where_they_are_smaller",
     [](Case& c) {
         c.change().asks(Purpose::read_items);
         c.answer(200, list(R"({"id":"si_2","price":{"id":"price_2"}})", true));
         c.leg.subscription.emplace();
         c.leg.pages = 18;
         c.leg.page_size = 50;
     },
     "asks to read items page 19 after si_2 with si_2 with price_2 [done]"},
    {"items_are_too_many_where_pages_are_smaller",
     [](Case& c) {
         c.change().asks(Purpose::read_items);
         c.answer(200, list(R"({"id":"si_2","price":{"id":"price_2"}})", true));
         c.leg.subscription.emplace();
         c.leg.pages = 19;
         c.leg.page_size = 50;
     },
     "pending unreadable verifications 1 in 1000 error 'not all of its items can be read' problem "
     "[done]"},
    {"items_go_on_and_nothing_says_where",
     [](Case& c) {
         c.change().asks(Purpose::read_items).answer(200, list("", true));
         c.leg.subscription.emplace();
     },
     "pending unreadable verifications 1 in 1000 error 'not all of its items can be read' problem "
     "[done]"},
    {"items_that_cannot_be_read_are_no_seats",
     [](Case& c) {
         c.change().asks(Purpose::read_items).answer(200, list("{}"));
         c.leg.subscription.emplace();
     },
     "pending unreadable verifications 1 in 1000 error 'not all of its items can be read' problem "
     "[done]"},
    {"items_are_no_list",
     [](Case& c) {
         c.change().asks(Purpose::read_items).answer(200, subscription(""));
         c.leg.subscription.emplace();
     },
     "pending unreadable verifications 1 in 1000 error 'the answer is not a list of a "
     "subscription's items' problem [done]"},
    {"items_are_all_read",
     [](Case& c) {
         c.change().asks(Purpose::read_items).answer(200, list(""));
         c.leg.subscription.emplace();
         c.leg.as_of = sent_at;
     },
     "learned facts [done]"},
    {"items_page_is_too_large", [](Case& c) { c.change().asks(Purpose::read_items).too_large(); },
     "asks to read items of 50 [again]"},
    {"item_is_too_large",
     [](Case& c) {
         c.change().asks(Purpose::read_items).too_large();
         c.leg.page_size = 1;
     },
     "pending answer_too_large verifications 1 in 1000 error 'gone' problem [again]"},
    {"items_of_what_is_verified_cannot_be_read",
     [](Case& c) {
         c.change().in(State::verifying).asks(Purpose::read_items).answer(200, list("{}"));
         c.leg.subscription.emplace();
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
     "done clean [unknown] +counts done"},
    {"refused", [](Case& c) { c.delivery().answer(410, "gone"); },
     "refused receiver_refused clean error 'HTTP status 410' alert receiver:stripe [refused] +log"},
    {"moved", [](Case& c) { c.delivery().answer(302, ""); },
     "refused redirect clean error 'HTTP status 302' alert receiver:stripe [halted] +counts "
     "refused +log"},
    {"not_taken_now", [](Case& c) { c.delivery().answer(503, ""); },
     "waiting server_error in 1000 error 'HTTP status 503' [unknown] +counts again"},
    {"in_doubt_is_sent_again", [](Case& c) { c.delivery().doubt().answer(500, ""); },
     "waiting server_error in 1000 error 'HTTP status 500' [unknown] +counts again"},
    {"not_taken_and_the_rest_of_the_answer_lost",
     [](Case& c) {
         c.delivery().nothing(Transport::broken);
         c.response.status = 503;
     },
     "waiting connection_broken in 1000 error 'HTTP status 503' [unknown] +counts again"},
    {"not_reached", [](Case& c) { c.delivery().nothing(Transport::broken, false); },
     "waiting not_sent in 1000 error 'gone' [again]"},
    {"not_taken_now_and_waits_as_long_as_the_receiver_says",
     [](Case& c) {
         c.delivery().answer(429, "");
         c.response.headers.retry_after = std::chrono::seconds{7};
     },
     "waiting rate_limited in 8000 error 'HTTP status 429' [again]"},
    {"not_taken_for_a_day",
     [](Case& c) {
         c.delivery().answer(503, "");
         c.call.created_at = ago(24 * 3600 + 1);
     },
     "refused given_up clean error 'HTTP status 503' alert receiver:stripe [unknown] +counts "
     "refused +log"},
};

INSTANTIATE_TEST_SUITE_P(Changes, Proofs, testing::ValuesIn(changes), name_of);
INSTANTIATE_TEST_SUITE_P(Invoices, Proofs, testing::ValuesIn(invoices), name_of);
INSTANTIATE_TEST_SUITE_P(Reads, Proofs, testing::ValuesIn(reads), name_of);
INSTANTIATE_TEST_SUITE_P(Deliveries, Proofs, testing::ValuesIn(deliveries), name_of);

// What one leg has asked, with an answer of its own.
Case& answered(Case& situation, const core::Decision& asked, std::string_view body) {
    situation.leg = asked.next;
    return situation.answer(200, body);
}

TEST(ProofsOf, items_are_gathered_over_pages) {
    Case c;
    c.change().asks(Purpose::read_base).answer(200, subscription("", half));
    c.policy.most_item_pages = 3;
    answered(c, c.decide(), list(R"({"id":"si_1","price":{"id":"price_1"}})", true));
    answered(c, c.decide(), list(R"({"id":"si_2","price":{"id":"price_2"}})", true));
    c.leg.as_of = ago(5);
    answered(c, c.decide(), list(R"({"id":"si_3","price":{"id":"price_3"}})"));
    const core::Decision decision = c.decide();
    EXPECT_EQ(told(c, decision),
              "learned facts si_1 si_2 si_3 price_1 price_2 price_3 as of -4500000 [done]")
        << "each once, and as of the first page";
}

// (events_were_read asks it of a list, which is no subscription: it need not rely on that.)
TEST(ProofsOf, an_event_does_not_tell_what_is_there_now) {
    Case c;
    c.change().asks(Purpose::search_events);
    core::Answer answer;
    answer.response = c.response;
    answer.parse(true);
    const core::Judgement judgement;
    const core::Standing standing{.mistakes = c.mistakes};
    core::Situation situation{.call = c.call,
                              .rules = *c.rules,
                              .leg = c.leg,
                              .answer = answer,
                              .judgement = judgement,
                              .standing = standing,
                              .policy = c.policy};
    const core::Decision decision = core::change_is_proven_by_event(situation);
    EXPECT_EQ(decision.outcome, core::Decision::Outcome::asks);
    EXPECT_EQ(decision.next.purpose, Purpose::read_base);
}

TEST(ProofsOf, what_is_said_of_a_receiver) {
    Case c;
    c.delivery().answer(410, "gone");
    const core::Decision decision = c.decide();
    ASSERT_TRUE(decision.alert);
    EXPECT_EQ(decision.alert->severity, "warning");
    EXPECT_EQ(decision.alert->kind, "receiver_fails");
    EXPECT_EQ(decision.alert->summary,
              "receiver stripe does not take what it is told: HTTP status 410");
    EXPECT_NE(decision.alert->hint.find("seats.receivers"), std::string::npos);
    ASSERT_EQ(decision.effects.log.size(), 1u);
    EXPECT_EQ(decision.effects.log[0].text,
              "delivery 7 to receiver stripe is given up (receiver_refused): HTTP status 410");
    EXPECT_NE(decision.effects.log[0].hint.find("seats.alerts"), std::string::npos);
}

}  // namespace
}  // namespace pg_seats::test
