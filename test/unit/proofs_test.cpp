// What is done about an answer to a call, and about a read that is to prove something: a row for
// each rule. test/mistakes/core.txt breaks them one by one.
#include <gtest/gtest.h>

#include "proofs.hpp"

namespace pg_seats::test {
namespace {

using core::Purpose;
using core::State;
using core::Transport;

void noted_in(Case& c, std::initializer_list<std::int64_t> lanes,
              const std::string& fingerprint = "400/invalid_request_error/parameter_unknown/foo",
              core::TimePoint at = tick) {
    for (const std::int64_t lane : lanes) {
        c.mistakes.note({fingerprint, lane, lane * 10, at});
    }
}

Case& ours(Case& c) {
    c.rules = &core::rules::of_our_own;
    return c.error(400, no_parameter);
}

void known(Case& c) {
    ours(c);
    (void)c.mistakes.take_back({"400/invalid_request_error/parameter_unknown/foo", 1, 1, tick});
}

// ---- the answer of a call

const Row sent[] = {
    {"executed", [](Case&) {}, "done clean marker answer [done]"},
    {"executed_without_a_verifier",
     [](Case& c) {
         c.call.verifier = core::Verifier::events;
         c.call.marker = "";
     },
     "done clean answer [done]"},
    {"executed_by_a_second_attempt_has_an_attempt_row", [](Case& c) { c.call.attempts = 2; },
     "done marker answer [done]"},
    {"replayed", [](Case& c) { c.replayed(); }, "done by replayed replayed marker answer [done]"},
    {"executed_and_awaits_payment", [](Case& c) { c.answer(200, subscription("x", pending)); },
     "awaiting awaiting_payment in 60000 journal call.awaiting_payment [awaiting] +counts nothing"},
    {"what_only_its_object_tells_is_not_followed_without_one",
     [](Case& c) {
         c.answer(200, subscription("x", pending));
         c.call.verifier = core::Verifier::list;
     },
     "done clean marker answer [awaiting] +counts nothing"},
    {"card_refused", [](Case& c) { c.error(402, R"("code":"card_declined")"); },
     "refused payment_failed clean answer journal call.refused [refused]"},
    {"form_refused", [](Case& c) { c.error(400, R"("param":"name")"); },
     "refused invalid_request clean answer journal call.refused [refused]"},
    {"refused_after_doubt_refuses_nothing",
     [](Case& c) { c.doubt().error(400, R"("param":"name")"); },
     "waiting refused_after_doubt doubt in 1000 [unknown]"},
    {"card_refused_after_doubt", [](Case& c) { c.doubt().error(402, R"("code":"card_declined")"); },
     "refused payment_failed clean answer journal call.refused [refused]"},
    {"again", [](Case& c) { c.error(409, R"("code":"idempotency_key_in_use")"); },
     "waiting key_in_use doubt in 1000 [again]"},
    {"again_later_with_every_try",
     [](Case& c) {
         c.error(409, R"("code":"lock_timeout")");
         c.call.tries = 3;
     },
     "waiting lock_timeout in 4000 [again]"},
    {"again_when_stripe_says_so",
     [](Case& c) {
         c.error(429, R"("code":"rate_limit")");
         c.response.headers.retry_after = std::chrono::seconds{7};
     },
     "waiting rate_limited in 8000 [again]"},
    {"the_doubt_of_an_exchange_that_may_have_been_two_stays",
     [](Case& c) {
         c.error(409, R"("code":"lock_timeout")");
         c.response.resent = true;
     },
     "waiting lock_timeout doubt in 1000 [again]"},
    {"never_sent_is_as_if_not_claimed", [](Case& c) { c.nothing(Transport::broken, false); },
     "pending not_sent tries 0 attempts 0 thawed in 1000 error 'gone' [again]"},
    {"never_sent_this_time_keeps_its_key",
     [](Case& c) {
         c.nothing(Transport::broken, false);
         c.call.tries = c.call.attempts = 2;
     },
     "waiting not_sent tries 1 attempts 1 in 2000 error 'gone' [again]"},
    {"never_sent_in_doubt_stays_frozen",
     [](Case& c) { c.doubt().nothing(Transport::broken, false); },
     "waiting not_sent doubt tries 0 attempts 0 in 1000 error 'gone' [again]"},
    {"never_sent_and_not_counted_as_a_try",
     [](Case& c) {
         c.nothing(Transport::broken, false);
         c.call.tries = 0;
     },
     "pending not_sent attempts 0 thawed in 1000 error 'gone' [again]"},
    {"what_an_earlier_try_may_have_deleted_is_gone",
     [](Case& c) {
         c.call.method = "DELETE";
         c.doubt().error(404, no_seat);
     },
     "done clean marker answer [done]"},
    {"what_no_try_can_have_deleted_is_looked_into",
     [](Case& c) {
         c.call.method = "DELETE";
         c.error(404, no_seat);
     },
     "asks to read missing object of not_found [halted]"},
    {"lost_answer", [](Case& c) { c.nothing(Transport::broken); },
     "waiting connection_broken doubt in 1000 error 'gone' [unknown]"},
    {"late_answer", [](Case& c) { c.nothing(Transport::timed_out); },
     "waiting timed_out doubt in 1000 error 'gone' [unknown]"},
    {"half_an_answer", [](Case& c) { c.answer(200, "{\"object\":"); },
     "waiting answer_cut doubt in 1000 [unknown]"},
    {"three_tries_in_doubt_are_sent_again",
     [](Case& c) {
         c.nothing(Transport::broken);
         c.call.tries = 3;
     },
     "waiting connection_broken doubt in 4000 error 'gone' [unknown]"},
    {"four_tries_in_doubt_are_verified",
     [](Case& c) {
         c.nothing(Transport::broken);
         c.call.tries = 4;
     },
     "verifying connection_broken doubt in 0 error 'gone' [unknown]"},
    {"silence_is_verified",
     [](Case& c) {
         c.nothing(Transport::broken);
         c.call.first_sent_at = ago(301);
     },
     "verifying connection_broken doubt in 0 error 'gone' [unknown]"},
    {"silence_is_counted_from_the_first_try",
     [](Case& c) {
         c.nothing(Transport::broken);
         c.call.first_sent_at = ago(299);
     },
     "waiting connection_broken doubt in 1000 error 'gone' [unknown]"},
    {"old_key_is_verified",
     [](Case& c) {
         c.nothing(Transport::broken);
         c.policy.verify_after_silence_s = 1'000'000;
         c.call.first_sent_at = ago(20 * 3600 + 1);
     },
     "verifying connection_broken doubt in 0 error 'gone' [unknown]"},
    {"final_answer_is_seen_once", [](Case& c) { c.error(500, no_seat).replayed(); },
     "waiting replayed_error doubt final now in 60000 [unknown]"},
    {"final_answer_is_seen_twice", [](Case& c) { is_final(c).error(500, no_seat).replayed(); },
     "verifying replayed_error doubt in 0 [unknown]"},
    {"final_answer_is_seen_again_too_early",
     [](Case& c) {
         c.error(500, no_seat).replayed();
         c.call.key_final_at = ago(20);
     },
     "waiting replayed_error doubt in 40000 [unknown]"},
    {"plain_404_is_looked_into", [](Case& c) { c.error(404, no_seat); },
     "asks to read missing object of not_found [halted]"},
    {"plain_404_is_looked_into_in_doubt", [](Case& c) { c.doubt().error(404, no_seat); },
     "asks to read missing object of not_found in doubt [halted]"},
    {"a_proxys_404_is_nobodys_answer",
     [](Case& c) {
         c.answer(404, "<html>");
         c.response.headers.request_id = "";
     },
     "waiting not_stripe doubt tries 0 attempts 0 in 500 [halted] +question +probe"},
    {"form_is_not_accepted", [](Case& c) { c.error(400, no_parameter); },
     "review unknown_parameter journal call.review alert "
     "form:stripe:400/invalid_request_error/parameter_unknown/foo [halted]"},
    {"form_is_not_accepted_in_doubt", [](Case& c) { c.doubt().error(400, no_parameter); },
     "review unknown_parameter doubt journal call.review alert "
     "form:stripe:400/invalid_request_error/parameter_unknown/foo [halted]"},
    {"preview_is_repeated_under_another_key",
     [](Case& c) { c.preview().error(409, R"("code":"lock_timeout")"); },
     "waiting lock_timeout generation 2 in 1000 [again]"},
    {"preview_is_in_nobodys_review", [](Case& c) { c.preview().error(400, no_parameter); },
     "refused unknown_parameter clean answer journal call.refused [halted]"},
};

// ---- what stops its destination

const Row stops[] = {
    {"wrong_key_is_asked_about", [](Case& c) { c.error(401, no_seat); },
     "pending unauthorized tries 0 attempts 0 thawed in 500 [halted] +question +probe"},
    {"held_spends_no_try",
     [](Case& c) {
         c.error(401, no_seat);
         c.call.tries = c.call.attempts = 2;
     },
     "waiting unauthorized tries 1 attempts 1 in 500 [halted] +question +probe"},
    {"held_in_doubt_stays_frozen", [](Case& c) { c.doubt().error(401, no_seat); },
     "waiting unauthorized doubt tries 0 attempts 0 in 500 [halted] +question +probe"},
    {"held_until_the_halt_ends",
     [](Case& c) {
         c.error(401, no_seat);
         c.halted = true;
     },
     "pending unauthorized tries 0 attempts 0 thawed [halted]"},
    {"asked_about_and_not_answered_yet",
     [](Case& c) {
         c.error(401, no_seat);
         c.mistakes.ask(7);
     },
     "pending unauthorized tries 0 attempts 0 thawed in 500 [halted] +probe"},
    {"others_are_answered_and_this_call_is_not", [](Case& c) { was_asked(c).error(401, no_seat); },
     "review unauthorized journal call.review alert review:7 [halted]"},
    {"a_new_key_is_asked_about_anew",
     [](Case& c) {
         was_asked(c).error(401, no_seat);
         c.mistakes.key_is_new();
     },
     "pending unauthorized tries 0 attempts 0 thawed in 500 [halted] +question +probe"},
    {"executed_in_the_wrong_mode_halts_at_once",
     [](Case& c) { c.answer(200, subscription("x", R"(,"livemode":true)")); },
     "waiting mode_mismatch doubt tries 0 attempts 0 [halted] +question +halt mode_mismatch"},
    {"executed_in_the_wrong_mode_once_more",
     [](Case& c) { was_asked(c).answer(200, subscription("x", R"(,"livemode":true)")); },
     "review mode_mismatch doubt journal call.review alert review:7 [halted]"},
    {"preview_that_is_turned_away_is_refused",
     [](Case& c) { was_asked(c).preview().error(403, no_seat); },
     "refused forbidden clean answer journal call.refused [halted]"},
    {"applications_mistakes_are_nobody_elses",
     [](Case& c) {
         noted_in(c, {4, 5, 6, 8});
         c.error(400, no_parameter);
     },
     "review unknown_parameter journal call.review alert "
     "form:stripe:400/invalid_request_error/parameter_unknown/foo [halted]"},
    {"our_mistake_in_one_lane", [](Case& c) { ours(c); },
     "review unknown_parameter journal call.review alert "
     "form:stripe:400/invalid_request_error/parameter_unknown/foo [halted] +refusal 3"},
    {"our_mistake_without_a_lane",
     [](Case& c) {
         ours(c);
         c.call.lane_id = 0;
     },
     "review unknown_parameter journal call.review alert "
     "form:stripe:400/invalid_request_error/parameter_unknown/foo [halted] +refusal -7"},
    {"our_mistake_in_four_lanes",
     [](Case& c) {
         noted_in(c, {4, 5, 6, 3});
         ours(c);
     },
     "review unknown_parameter journal call.review alert "
     "form:stripe:400/invalid_request_error/parameter_unknown/foo [halted] +refusal 3"},
    {"our_mistake_in_five_lanes",
     [](Case& c) {
         noted_in(c, {4, 5, 6, 8});
         ours(c);
     },
     "pending unknown_parameter tries 0 attempts 0 thawed [halted] +refusal 3 +everywhere "
     "+halt same_refusal_in_many_lanes by a person"},
    {"five_refusals_of_one_lane",
     [](Case& c) {
         noted_in(c, {3, 3, 3, 3, 3});
         ours(c);
     },
     "review unknown_parameter journal call.review alert "
     "form:stripe:400/invalid_request_error/parameter_unknown/foo [halted] +refusal 3"},
    {"different_mistakes_in_five_lanes",
     [](Case& c) {
         noted_in(c, {4, 5, 6, 8}, "another");
         ours(c);
     },
     "review unknown_parameter journal call.review alert "
     "form:stripe:400/invalid_request_error/parameter_unknown/foo [halted] +refusal 3"},
    {"our_mistake_in_five_lanes_over_more_than_a_minute",
     [](Case& c) {
         noted_in(c, {4, 5, 6, 8}, "400/invalid_request_error/parameter_unknown/foo",
                  tick - std::chrono::seconds{61});
         ours(c);
     },
     "review unknown_parameter journal call.review alert "
     "form:stripe:400/invalid_request_error/parameter_unknown/foo [halted] +refusal 3"},
    {"also_those_under_way_when_it_was_halted",
     [](Case& c) {
         known(c);
         c.halted = true;
     },
     "pending unknown_parameter tries 0 attempts 0 thawed [halted] "
     "+halt same_refusal_in_many_lanes by a person"},
    {"resumed_and_still_wrong",
     [](Case& c) {
         known(c);
         c.mistakes.resumed(tick - std::chrono::seconds{59});
     },
     "pending unknown_parameter tries 0 attempts 0 thawed [halted] "
     "+halt same_refusal_in_many_lanes by a person"},
    {"resumed_long_ago_is_counted_anew",
     [](Case& c) {
         known(c);
         c.mistakes.resumed(tick - std::chrono::seconds{61});
     },
     "review unknown_parameter journal call.review alert "
     "form:stripe:400/invalid_request_error/parameter_unknown/foo [halted] +refusal 3"},
    {"resumed_forgets_what_was_noted_before",
     [](Case& c) {
         noted_in(c, {4, 5, 6, 8});
         c.mistakes.resumed(tick);
         ours(c);
     },
     "review unknown_parameter journal call.review alert "
     "form:stripe:400/invalid_request_error/parameter_unknown/foo [halted] +refusal 3"},
    {"a_path_of_ours_that_stripe_does_not_know",
     [](Case& c) {
         noted_in(c, {4, 5, 6, 8}, "405/invalid_request_error//");
         ours(c).error(405, R"("message":"no")");
     },
     "pending unrecognized_path tries 0 attempts 0 thawed error 'no' [halted] +refusal 3 "
     "+everywhere +halt same_refusal_in_many_lanes by a person"},
    {"what_a_parameter_says_is_no_mistake_of_ours",
     [](Case& c) {
         c.change();
         noted_in(c, {4, 5, 6, 8}, "400/invalid_request_error/parameter_missing/foo");
         c.error(400, R"("code":"parameter_missing","param":"foo")");
     },
     "review parameter_missing journal call.review alert "
     "form:stripe:400/invalid_request_error/parameter_missing/foo [halted]"},
    {"wrong_key_of_ours_in_five_lanes",
     [](Case& c) {
         was_asked(c).change().error(401, no_seat);
         noted_in(c, {4, 5, 6, 8}, "401/invalid_request_error/resource_missing/id");
     },
     "pending unauthorized tries 0 attempts 0 thawed [halted] +refusal 3 +everywhere "
     "+halt same_refusal_in_many_lanes by a person"},
    {"wrong_mode_of_a_team_is_not_ours",
     [](Case& c) {
         was_asked(c).change().error(400, R"("code":"livemode_mismatch")");
         noted_in(c, {4, 5, 6, 8}, "400/invalid_request_error/livemode_mismatch/");
     },
     "review mode_mismatch journal call.review alert review:7 [halted]"},
    {"wrong_account_of_a_team_is_not_ours",
     [](Case& c) {
         was_asked(c).change().error(400, R"("code":"account_invalid")");
         noted_in(c, {4, 5, 6, 8}, "400/invalid_request_error/account_invalid/");
     },
     "review account_mismatch journal call.review alert review:7 [halted]"},
};

// ---- what a read proves of a call

const Row verification[] = {
    {"our_marker_is_on_the_object", [](Case& c) { c.asks(Purpose::read_object); },
     "done by read proven_by_marker marker answer journal call.proven_done [done]"},
    {"our_marker_of_another_generation",
     [](Case& c) { c.asks(Purpose::read_object).answer(200, subscription("uuid-uuid-9")); },
     "done by read proven_by_marker marker answer journal call.proven_done [done]"},
    {"our_marker_waits_for_its_payment",
     [](Case& c) { c.asks(Purpose::read_object).answer(200, subscription("x", pending)); },
     "awaiting awaiting_payment doubt in 540000 [awaiting]"},
    {"payment_is_looked_for_every_hour",
     [](Case& c) {
         c.in(State::awaiting).asks(Purpose::read_object).answer(200, subscription("x", pending));
         c.call.verifications = 2;
     },
     "awaiting awaiting_payment in 3600000 [awaiting]"},
    {"payment_did_not_come",
     [](Case& c) {
         c.in(State::awaiting).asks(Purpose::read_object);
         c.answer(200, subscription("before-before-1"));
     },
     "refused by read payment_did_not_come answer journal call.refused [refused]"},
    {"former_marker_and_the_key_is_final",
     [](Case& c) {
         is_final(c).asks(Purpose::read_object).answer(200, subscription("before-before-1"));
     },
     "pending proven_not_executed tries 0 generation 2 verifications 0 not final thawed "
     "journal call.new_generation [again]"},
    {"former_marker_and_the_key_is_forgotten",
     [](Case& c) {
         c.asks(Purpose::read_object).answer(200, subscription("before-before-1"));
         c.call.first_sent_at = c.call.last_sent_at = ago(24 * 3600 + 1);
     },
     "pending proven_not_executed tries 0 generation 2 verifications 0 thawed "
     "journal call.new_generation [again]"},
    {"former_marker_and_the_key_was_used_a_moment_ago",
     [](Case& c) {
         c.asks(Purpose::read_object).answer(200, subscription("before-before-1"));
         c.call.first_sent_at = ago(24 * 3600 + 1);
     },
     "asks to search events [done]"},
    {"former_marker_and_the_key_may_still_execute",
     [](Case& c) { c.asks(Purpose::read_object).answer(200, subscription("before-before-1")); },
     "asks to search events [done]"},
    {"former_marker_and_the_key_was_final_once",
     [](Case& c) {
         c.asks(Purpose::read_object).answer(200, subscription("before-before-1"));
         c.call.key_final_at = ago(20);
     },
     "asks to search events [done]"},
    {"foreign_marker_proves_nothing",
     [](Case& c) { is_final(c).asks(Purpose::read_object).answer(200, subscription("x-x-1")); },
     "asks to search events [done]"},
    {"no_marker_where_there_was_none",
     [](Case& c) {
         is_final(c).asks(Purpose::read_object).answer(200, subscription(""));
         c.call.last_lane_marker = "";
     },
     "pending proven_not_executed tries 0 generation 2 verifications 0 not final thawed "
     "journal call.new_generation [again]"},
    {"a_list_is_no_object",
     [](Case& c) { is_final(c).asks(Purpose::read_object).answer(200, list("")); },
     "asks to search events [done]"},
    {"object_is_not_there", [](Case& c) { c.asks(Purpose::read_object).error(404, no_seat); },
     "asks to search events [refused]"},
    {"failed_read_is_no_verification",
     [](Case& c) { c.asks(Purpose::read_object).answer(500, "x"); },
     "verifying server_error doubt verifications 0 in 1000 [again]"},
    {"failed_read_while_a_payment_is_awaited",
     [](Case& c) {
         c.in(State::awaiting).asks(Purpose::read_object).answer(500, "x");
         c.call.verifications = 2;
     },
     "awaiting server_error verifications 1 in 1000 [again]"},
    {"failed_read_waits_as_long_as_stripe_says",
     [](Case& c) {
         c.asks(Purpose::read_object).error(429, R"("code":"rate_limit")");
         c.response.headers.retry_after = std::chrono::seconds{7};
     },
     "verifying rate_limited doubt verifications 0 in 8000 [again]"},
    {"read_is_turned_away_and_asked_about",
     [](Case& c) { c.asks(Purpose::search_events).error(403, no_seat); },
     "verifying forbidden doubt verifications 0 in 1000 [halted] +question +probe"},
    {"read_is_turned_away_and_others_are_not",
     [](Case& c) { was_asked(c).asks(Purpose::search_events).error(403, no_seat); },
     "waiting not_proven_yet doubt in 1000 [unknown]"},
    {"object_is_too_large", [](Case& c) { c.asks(Purpose::read_object).too_large(); },
     "asks to search events [again]"},
    {"object_is_too_large_while_a_payment_is_awaited",
     [](Case& c) { c.in(State::awaiting).asks(Purpose::read_object).too_large(); },
     "awaiting awaiting_payment in 540000 [awaiting]"},
    {"list_has_our_marker",
     [](Case& c) { c.asks(Purpose::search_list).answer(200, list(subscription("uuid-uuid-1"))); },
     "done by read proven_by_list marker answer journal call.proven_done [done]"},
    {"list_goes_on",
     [](Case& c) { c.asks(Purpose::search_list).answer(200, list(subscription("x"), true)); },
     "asks to search list page 1 after sub_1 [done]"},
    {"list_is_too_long",
     [](Case& c) {
         is_final(c).asks(Purpose::search_list).answer(200, list(subscription("x"), true));
         c.leg.pages = 19;
     },
     "asks to search events [done]"},
    {"list_is_whole_and_the_key_is_final",
     [](Case& c) { is_final(c).asks(Purpose::search_list).answer(200, list("")); },
     "pending proven_not_executed tries 0 generation 2 verifications 0 not final thawed "
     "journal call.new_generation [again]"},
    {"list_is_whole_and_the_key_may_still_execute",
     [](Case& c) { c.asks(Purpose::search_list).answer(200, list("")); },
     "asks to search events [done]"},
    {"list_page_is_too_large", [](Case& c) { c.asks(Purpose::search_list).too_large(); },
     "asks to search list of 50 [again]"},
    {"list_element_is_too_large",
     [](Case& c) {
         c.asks(Purpose::search_list).too_large();
         c.leg.page_size = 1;
     },
     "asks to search events of 100 [again]"},
    {"events_are_read_from_the_first_page",
     [](Case& c) {
         c.asks(Purpose::search_list).error(404, no_seat);
         c.leg.pages = 3;
         c.leg.page_size = 50;
         c.leg.cursor = "sub_9";
     },
     "asks to search events of 100 [refused]"},
    {"event_has_our_marker",
     [](Case& c) {
         c.asks(Purpose::search_events).answer(200, list(event("other", "uuid-uuid-1")));
     },
     "done by event proven_by_event answer journal call.proven_done [done]"},
    {"event_has_our_key_and_not_our_marker",
     [](Case& c) { c.asks(Purpose::search_events).answer(200, list(event("us-uuid-1", "x"))); },
     "waiting not_proven_yet doubt in 1000 [unknown]"},
    {"event_has_the_key_of_a_call_without_a_marker",
     [](Case& c) {
         c.asks(Purpose::search_events).answer(200, list(event("us-uuid-1", "")));
         c.call.marker = "";
     },
     "done by event proven_by_event answer journal call.proven_done [done]"},
    {"event_tells_of_a_failure",
     [](Case& c) {
         c.asks(Purpose::search_events)
             .answer(200, list(event("us-uuid-1", "", "invoice.payment_failed")));
         c.call.marker = "";
     },
     "waiting not_proven_yet doubt in 1000 [unknown]"},
    {"event_has_the_key_of_another_generation",
     [](Case& c) {
         c.asks(Purpose::search_events).answer(200, list(event("us-uuid-1", "")));
         c.call.marker = "";
         c.call.generation = 2;
     },
     "waiting not_proven_yet doubt in 1000 [unknown]"},
    {"events_go_on",
     [](Case& c) { c.asks(Purpose::search_events).answer(200, list(event("x", "x"), true)); },
     "asks to search events page 1 after evt_1 [done]"},
    {"events_are_too_many",
     [](Case& c) {
         c.asks(Purpose::search_events).answer(200, list(event("x", "x"), true));
         c.leg.pages = 19;
     },
     "waiting not_proven_yet doubt in 1000 [unknown]"},
    {"events_page_is_too_large", [](Case& c) { c.asks(Purpose::search_events).too_large(); },
     "asks to search events of 50 [again]"},
    {"event_is_too_large",
     [](Case& c) {
         c.asks(Purpose::search_events).too_large();
         c.leg.page_size = 1;
     },
     "waiting not_proven_yet doubt in 1000 error 'its answer is larger than "
     "pg_seats.response_limit' [unknown]"},
    {"no_event_and_the_key_is_good",
     [](Case& c) { c.asks(Purpose::search_events).answer(200, list("")); },
     "waiting not_proven_yet doubt in 1000 [unknown]"},
    {"no_event_and_the_key_is_final",
     [](Case& c) {
         c.asks(Purpose::search_events).answer(200, list(""));
         c.call.key_final_at = ago(1);
     },
     "review not_proven doubt journal call.review alert review:7 [unknown]"},
    {"no_event_and_the_key_is_too_old",
     [](Case& c) {
         c.asks(Purpose::search_events).answer(200, list(""));
         c.call.first_sent_at = ago(20 * 3600 + 1);
     },
     "review not_proven doubt journal call.review alert review:7 [unknown]"},
    {"fifth_verification_without_proof",
     [](Case& c) {
         c.asks(Purpose::search_events).answer(200, list(""));
         c.call.verifications = 5;
     },
     "waiting not_proven_yet doubt in 1000 [unknown]"},
    {"sixth_verification_without_proof",
     [](Case& c) {
         c.asks(Purpose::search_events).answer(200, list(""));
         c.call.verifications = 6;
     },
     "review not_proven doubt journal call.review alert review:7 [unknown]"},
};

// ---- the read after a plain 404

const Row missing[] = {
    {"it_is_there_after_all", [](Case& c) { c.missing(no_seat); },
     "review not_found journal call.review alert review:7 [halted]"},
    {"it_is_not_there", [](Case& c) { c.missing(no_seat).error(404, no_seat); },
     "review not_found journal call.review alert review:7 [halted]"},
    {"it_is_not_there_in_doubt", [](Case& c) { c.missing(no_seat, true).error(404, no_seat); },
     "review not_found doubt journal call.review alert review:7 [halted]"},
    {"it_is_over", [](Case& c) { c.missing(no_seat).answer(200, over()); },
     "refused by read object_is_terminal answer journal call.refused [refused]"},
    {"it_is_deleted",
     [](Case& c) { c.missing(no_seat).answer(200, R"({"object":"customer","deleted":true})"); },
     "refused by read object_is_terminal answer journal call.refused [refused]"},
    {"it_was_never_paid",
     [](Case& c) {
         c.missing(no_seat).answer(
             200, R"({"id":"sub_1","object":"subscription","status":"incomplete_expired"})");
     },
     "refused by read object_is_terminal answer journal call.refused [refused]"},
    {"it_is_over_in_doubt", [](Case& c) { c.missing(no_seat, true).answer(200, over()); },
     "asks to search events doubted [done]"},
    {"it_is_over_in_doubt_of_this_very_exchange_and_no_event_tells",
     [](Case& c) {
         c.leg.purpose = Purpose::search_events;
         c.leg.doubted = true;
         c.answer(200, list(""));
     },
     "waiting not_proven_yet doubt verifications 1 in 1000 [unknown]"},
    {"the_read_has_failed", [](Case& c) { c.missing(no_seat).answer(500, "x"); },
     "waiting server_error in 1000 [again]"},
    {"the_read_has_failed_in_doubt", [](Case& c) { c.missing(no_seat, true).answer(500, "x"); },
     "waiting server_error doubt in 1000 [again]"},
    {"the_read_is_turned_away_and_others_are_not",
     [](Case& c) { was_asked(c).missing(no_seat).error(403, no_seat); },
     "waiting not_proven_yet in 1000 [unknown]"},
    {"the_read_is_turned_away_and_only_the_404_has_left_doubt",
     [](Case& c) {
         was_asked(c).missing(no_seat).error(403, no_seat);
         c.leg.first.doubt_after = true;
     },
     "waiting not_proven_yet doubt in 1000 [unknown]"},
    {"the_read_is_turned_away_and_the_key_is_too_old",
     [](Case& c) {
         was_asked(c).missing(no_seat).error(403, no_seat);
         c.leg.first.doubt_after = true;
         c.call.first_sent_at = ago(20 * 3600 + 1);
     },
     "review not_proven doubt journal call.review alert review:7 [unknown]"},
    {"it_is_too_large", [](Case& c) { c.missing(no_seat).too_large(); },
     "review not_found journal call.review alert review:7 [halted]"},
    {"it_is_too_large_in_doubt",
     [](Case& c) {
         c.missing(no_seat).too_large();
         c.leg.first.doubt_after = true;
     },
     "review not_found doubt journal call.review alert review:7 [halted]"},
    {"a_proxy_says_that_it_is_not_there",
     [](Case& c) {
         c.missing(no_seat).answer(404, "<html>");
         c.response.headers.request_id = "";
     },
     "waiting not_stripe in 1000 [halted] +question +probe"},
    {"an_item_of_an_applications_call", [](Case& c) { c.missing(no_item); },
     "review item_missing error 'No such item' journal call.review alert review:7 [halted]"},
    {"changes_are_planned_anew_where_an_item_is_gone", [](Case& c) { c.change().missing(no_item); },
     "pending item_missing tries 0 generation 2 thawed in 0 facts si_1 price_1 error 'No such "
     "item' [again]"},
    {"changes_are_planned_anew_when_the_base_is_read",
     [](Case& c) { c.change().missing(no_item).answer(200, subscription("x", half)); },
     "pending item_missing tries 0 generation 2 thawed in 60000 no facts error 'No such item' "
     "[again]"},
    {"changes_in_doubt_are_not_planned_anew", [](Case& c) { c.change().missing(no_item, true); },
     "review item_missing doubt error 'No such item' journal call.review alert review:7 [halted]"},
    {"changes_are_planned_anew_five_times",
     [](Case& c) {
         c.change().missing(no_item);
         c.call.attempts = 5;
     },
     "review item_missing error 'No such item' journal call.review alert review:7 [halted]"},
    {"changes_of_a_subscription_that_is_there_are_not_planned_anew",
     [](Case& c) { c.change().missing(no_seat); },
     "review not_found journal call.review alert review:7 [halted]"},
    {"changes_of_a_subscription_that_is_over",
     [](Case& c) { c.change().missing(no_seat).answer(200, over()); },
     "refused by read object_is_terminal answer facts [refused]"},
};

INSTANTIATE_TEST_SUITE_P(Sent, Proofs, testing::ValuesIn(sent), name_of);
INSTANTIATE_TEST_SUITE_P(Stops, Proofs, testing::ValuesIn(stops), name_of);
INSTANTIATE_TEST_SUITE_P(Verification, Proofs, testing::ValuesIn(verification), name_of);
INSTANTIATE_TEST_SUITE_P(Missing, Proofs, testing::ValuesIn(missing), name_of);

// ---- what a row of a table cannot say

TEST(ProofsOf, mistakes_take_back_what_others_had) {
    core::Mistakes mistakes;
    const core::Refusal last{"same", 1, 10, tick};
    mistakes.note({"same", 2, 20, tick});
    mistakes.note({"other", 3, 30, tick});
    mistakes.note(last);
    EXPECT_EQ(mistakes.take_back(last), std::vector<std::int64_t>{20});
    EXPECT_TRUE(mistakes.take_back(last).empty()) << "once";
    EXPECT_TRUE(mistakes.is_known("same", true, tick));
    EXPECT_FALSE(mistakes.is_known("other", true, tick));
}

TEST(ProofsOf, mistakes_forget_questions_when_they_are_many) {
    core::Mistakes mistakes;
    for (std::int64_t call = 0; call < 10'000; ++call) {
        mistakes.ask(call);
    }
    mistakes.probe_passed();
    EXPECT_TRUE(mistakes.is_new_question(5));
    mistakes.ask(5);
    EXPECT_FALSE(mistakes.is_new_question(5));
    EXPECT_FALSE(mistakes.is_answered(5));
    EXPECT_TRUE(mistakes.is_new_question(6));
}

TEST(ProofsOf, mistakes_forget_what_is_old) {
    core::Mistakes mistakes;
    mistakes.note({"same", 2, 20, tick - std::chrono::seconds{61}});
    mistakes.note({"same", 3, 30, tick});
    EXPECT_EQ(mistakes.take_back({"same", 1, 10, tick}), std::vector<std::int64_t>{30})
        << "what became of it long ago stays";
}

TEST(ProofsOf, codes_of_stripe_are_handed_on) {
    Case c;
    c.error(402, R"("code":"card_declined","decline_code":"lost_card","message":"No.")");
    const core::Decision decision = c.decide();
    EXPECT_EQ(decision.error, "No.");
    EXPECT_EQ(decision.error_code, "card_declined");
    EXPECT_EQ(decision.decline_code, "lost_card");
}

TEST(ProofsOf, what_is_said_of_a_review) {
    Case c;
    c.missing(no_seat).error(404, no_seat);
    const core::Decision decision = c.decide();
    ASSERT_TRUE(decision.alert);
    EXPECT_EQ(decision.alert->severity, "critical");
    EXPECT_EQ(decision.alert->kind, "review");
    EXPECT_EQ(decision.alert->summary,
              "POST /v1/subscriptions/sub_1 (call 7) needs a person: Stripe knows no such object: "
              "wrong id, or wrong account?");
    EXPECT_NE(decision.alert->hint.find("explain_call(7)"), std::string::npos);
}

TEST(ProofsOf, what_is_said_of_a_halt) {
    Case c;
    noted_in(c, {4, 5, 6, 8});
    ours(c).error(400, R"("code":"parameter_unknown","param":"foo","message":"No foo.")");
    const core::Effects effects = c.decide().effects;
    ASSERT_TRUE(effects.halt);
    EXPECT_EQ(effects.halt->message, "No foo.");
    ASSERT_TRUE(effects.refusal);
    EXPECT_EQ(effects.refusal->fingerprint, "400/invalid_request_error/parameter_unknown/foo");
    EXPECT_EQ(effects.refusal->call_id, 7);
    EXPECT_EQ(effects.refusal->at, tick);
}

TEST(ProofsOf, deciding_touches_nothing) {
    Case situation;
    situation.error(401, no_seat);
    const std::string first = told(situation, situation.decide());
    EXPECT_EQ(told(situation, situation.decide()), first);
}

TEST(ProofsOf, names) {
    for (const State state : {State::pending, State::carried, State::sending, State::waiting,
                              State::verifying, State::awaiting, State::review}) {
        EXPECT_EQ(core::state_of(to_string(state)), state);
    }
    EXPECT_EQ(to_string(Purpose::send), "send");
    EXPECT_EQ(to_string(Purpose::read_base), "read base");
    EXPECT_EQ(to_string(Purpose::probe), "probe");
    EXPECT_EQ(to_string(core::Result::cancelled), "cancelled");
}

}  // namespace
}  // namespace pg_seats::test
