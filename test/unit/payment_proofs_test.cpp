// What answers about payments lead to: a table, told as in proofs.hpp.
#include "proofs.hpp"

namespace pg_seats::test {
namespace {

using core::Purpose;
using core::State;
using core::Transport;

constexpr std::string_view ours = "uuid-uuid-1";

std::string intent(std::string_view marker = ours, std::string_view more = "") {
    return R"({"id":"pi_1","object":"payment_intent","status":"requires_payment_method",)"
           R"("amount":1000,"currency":"eur","client_secret":"pi_1_secret_x","metadata":{"pg_seats":")" +
           std::string(marker) + R"("})" + std::string(more) + "}";
}

std::string refund(std::string_view marker, std::string_view of = "pi_1") {
    return R"({"id":"re_1","object":"refund","status":"succeeded","amount":5,"currency":"eur",)"
           R"("payment_intent":")" +
           std::string(of) + R"(","metadata":{"pg_seats":")" + std::string(marker) + R"("}})";
}

void make(Case& c, std::string_view kind, const core::Rules& rules) {
    c.rules = &rules;
    c.call.kind = kind;
    c.call.payment_id = 11;
    c.call.last_lane_marker.clear();
}

void payment(Case& c) {
    make(c, "payment", core::rules::payment);
    c.call.path = "/v1/payment_intents";
    c.call.body = "amount=1000&currency=eur";
    c.call.verifier = core::Verifier::list;
    c.answer(200, intent());
}

void cancel(Case& c) {
    make(c, "payment_cancel", core::rules::payment_cancel);
    c.call.path = "/v1/payment_intents/pi_1/cancel";
    c.call.verifier = core::Verifier::events;
    c.call.marker.clear();
    c.answer(200, intent());
}

void read(Case& c) {
    make(c, "payment_read", core::rules::payment_read);
    c.call.method = "GET";
    c.call.path = "/v1/payment_intents/pi_1";
    c.call.body = "expand[0]=latest_charge";
    c.call.lane_id = 0;
    c.call.beside_lane_id = 3;
    c.call.marker.clear();
    c.answer(200, intent());
}

void read_refunds(Case& c) {
    read(c);
    c.call.path = "/v1/refunds";
    c.call.body = "limit=100&payment_intent=pi_1";
    c.answer(200, list(refund("")));
}

void listing(Case& c) {
    read(c);
    make(c, "payment_list", core::rules::payment_list);
    c.call.path = "/v1/payment_intents";
    c.call.body = "created[gte]=1&limit=100";
    c.call.beside_lane_id = 0;
    c.answer(200, list(intent("other")));
}

void refunding(Case& c) {
    make(c, "refund", core::rules::refund);
    c.call.path = "/v1/refunds";
    c.call.body = "amount=5&payment_intent=pi_1";
    c.call.verifier = core::Verifier::list;
    c.answer(200, refund(ours));
}

// So long ago that Stripe has forgotten the key.
void forgotten(Case& c) {
    c.call.first_sent_at = c.call.last_sent_at = ago(25 * 60 * 60);
}

const Row rows[] = {
    {"made", [](Case& c) { payment(c); }, R"(done clean marker facts [done])"},
    {"made_and_said_once_more",
     [](Case& c) {
         payment(c);
         c.replayed();
     },
     R"(done by replayed replayed marker facts as of -500000 [done])"},
    {"another_intent_than_ours",
     [](Case& c) {
         payment(c);
         c.answer(200, intent("other-other-1"));
     },
     R"(waiting unreadable doubt in 1000 error 'the answer is not what was asked for' [unknown])"},
    {"an_intent_without_metadata",
     [](Case& c) {
         payment(c);
         c.answer(200, R"({"id":"pi_1","object":"payment_intent","status":"x"})");
     },
     R"(waiting unreadable doubt in 1000 error 'the answer is not what was asked for' [unknown])"},
    {"another_object",
     [](Case& c) {
         payment(c);
         c.answer(200, refund(ours));
     },
     R"(waiting unreadable doubt in 1000 error 'the answer is not what was asked for' [unknown])"},
    {"no_answer",
     [](Case& c) {
         payment(c);
         c.nothing(Transport::timed_out);
     },
     R"(waiting timed_out doubt in 1000 error 'gone' [unknown])"},
    {"an_amount_that_stripe_does_not_take",
     [](Case& c) {
         payment(c);
         c.error(400, R"("code":"amount_too_small","param":"amount")");
     },
     R"(refused invalid_request clean answer [refused])"},
    {"an_amount_in_doubt",
     [](Case& c) {
         payment(c);
         c.doubt().error(400, R"("code":"amount_too_small","param":"amount")");
     },
     R"(waiting refused_after_doubt doubt in 1000 [unknown])"},
    {"no_such_customer",
     [](Case& c) {
         payment(c);
         c.error(404, R"("code":"resource_missing","param":"customer")");
     },
     R"(refused not_found clean answer [refused])"},
    {"no_such_customer_in_doubt",
     [](Case& c) {
         payment(c);
         c.doubt().error(404, R"("code":"resource_missing","param":"customer")");
     },
     R"(waiting not_found doubt in 1000 [unknown])"},
    {"a_key_for_something_else",
     [](Case& c) {
         payment(c);
         c.response.status = 400;
         c.response.body = R"({"error":{"type":"idempotency_error"}})";
     },
     R"(verifying idempotency_mismatch doubt in 0 [unknown])"},
    {"found",
     [](Case& c) {
         payment(c);
         c.asks(Purpose::search_list).answer(200, list(intent()));
     },
     R"(done by read proven_by_list marker facts journal call.proven_done [done])"},
    {"found_of_another_generation",
     [](Case& c) {
         payment(c);
         c.asks(Purpose::search_list).answer(200, list(intent("uuid-uuid-3")));
     },
     R"(done by read proven_by_list marker facts journal call.proven_done [done])"},
    {"next_page",
     [](Case& c) {
         payment(c);
         c.asks(Purpose::search_list).answer(200, list(intent("other"), true));
     },
     R"(asks to search list page 1 after pi_1 [done])"},
    {"not_found_yet",
     [](Case& c) {
         payment(c);
         c.asks(Purpose::search_list).answer(200, list(intent("other")));
     },
     R"(waiting not_proven_yet doubt in 1000 [unknown])"},
    {"not_found_and_the_key_is_final",
     [](Case& c) {
         payment(c);
         is_final(c.asks(Purpose::search_list)).answer(200, list(""));
     },
     R"(pending proven_not_executed tries 0 generation 2 verifications 0 not final thawed journal call.new_generation [again])"},
    {"not_found_and_too_old_to_send",
     [](Case& c) {
         payment(c);
         c.asks(Purpose::search_list).answer(200, list(""));
         c.call.first_sent_at = c.call.last_sent_at = ago(21 * 60 * 60);
     },
     R"(verifying not_proven_yet doubt in 600000 [unknown])"},
    {"a_list_that_does_not_say_that_it_ends",
     [](Case& c) {
         payment(c);
         is_final(c.asks(Purpose::search_list)).answer(200, R"({"object":"list","data":[]})");
     },
     R"(verifying not_proven_yet doubt in 600000 [unknown])"},
    {"not_found_and_the_key_is_forgotten",
     [](Case& c) {
         payment(c);
         forgotten(c.asks(Purpose::search_list));
         c.answer(200, list(""));
     },
     R"(refused by read not_proven [refused])"},
    {"list_not_read_and_the_key_is_forgotten",
     [](Case& c) {
         payment(c);
         forgotten(c.asks(Purpose::search_list));
         c.nothing(Transport::timed_out);
     },
     R"(verifying timed_out doubt verifications 0 in 1000 error 'gone' [again])"},
    {"cancelled", [](Case& c) { cancel(c); }, R"(done clean facts [done])"},
    {"cancelled_and_said_once_more",
     [](Case& c) {
         cancel(c);
         c.replayed();
     },
     R"(done by replayed facts as of -500000 [done])"},
    {"cancel_without_an_answer",
     [](Case& c) {
         cancel(c);
         c.nothing(Transport::timed_out);
     },
     R"(waiting timed_out generation 2 in 1000 error 'gone' [again])"},
    {"cancel_without_an_answer_many_times",
     [](Case& c) {
         cancel(c);
         c.call.tries = c.call.attempts = 40;
         c.doubt().nothing(Transport::timed_out);
     },
     R"(waiting timed_out generation 2 in 60000 error 'gone' [again])"},
    {"cancel_not_sent",
     [](Case& c) {
         cancel(c);
         c.nothing(Transport::broken, false);
     },
     R"(pending not_sent tries 0 attempts 0 thawed in 1000 error 'gone' [again])"},
    {"cancel_of_another",
     [](Case& c) {
         cancel(c);
         c.call.path = "/v1/payment_intents/pi_2/cancel";
     },
     R"(waiting unreadable generation 2 in 1000 error 'the answer is not what was asked for' [again])"},
    {"cancel_refused",
     [](Case& c) {
         cancel(c);
         c.error(
             400,
             R"("code":"payment_intent_unexpected_state","payment_intent":{"id":"pi_1","object":"payment_intent","status":"succeeded"})");
     },
     R"(refused unexpected_state clean facts [refused])"},
    {"cancel_refused_with_another",
     [](Case& c) {
         cancel(c);
         c.error(
             400,
             R"("code":"payment_intent_unexpected_state","payment_intent":{"id":"pi_2","object":"payment_intent","status":"succeeded"})");
     },
     R"(refused unexpected_state clean [refused])"},
    {"cancel_of_none",
     [](Case& c) {
         cancel(c);
         c.error(404, R"("code":"resource_missing")");
     },
     R"(refused not_found clean [refused])"},
    {"intent_read", [](Case& c) { read(c); }, R"(done clean facts [done])"},
    {"intent_read_another",
     [](Case& c) {
         read(c);
         c.call.path = "/v1/payment_intents/pi_2";
     },
     R"(waiting unreadable in 1000 error 'the answer is not what was asked for' [again])"},
    {"intent_read_another_again",
     [](Case& c) {
         read(c);
         c.call.path = "/v1/payment_intents/pi_2";
         c.call.tries = 4;
     },
     R"(refused unreadable clean error 'the answer is not what was asked for' [done])"},
    {"intent_not_there",
     [](Case& c) {
         read(c);
         c.error(404, R"("code":"resource_missing")");
     },
     R"(refused not_found clean [refused])"},
    {"intent_may_not_be_read",
     [](Case& c) {
         read(c);
         c.error(403, "");
     },
     R"(refused forbidden clean [halted])"},
    {"read_without_an_answer",
     [](Case& c) {
         read(c);
         c.nothing(Transport::timed_out);
     },
     R"(waiting timed_out in 1000 error 'gone' [again])"},
    {"refunds_read", [](Case& c) { read_refunds(c); }, R"(done clean facts [done])"},
    {"refunds_of_another",
     [](Case& c) {
         read_refunds(c);
         c.answer(200, list(refund("", "pi_2")));
     },
     R"(waiting unreadable in 1000 error 'the answer is not what was asked for' [again])"},
    {"refunds_no_list",
     [](Case& c) {
         read_refunds(c);
         c.answer(200, refund(""));
     },
     R"(waiting unreadable in 1000 error 'the answer is not what was asked for' [again])"},
    {"refunds_too_many",
     [](Case& c) {
         read_refunds(c);
         c.too_large();
     },
     R"(asks to send of 50 [again] +counts reads)"},
    {"listed", [](Case& c) { listing(c); }, R"(done clean facts [done])"},
    {"listed_nothing_to_go_on_from",
     [](Case& c) {
         listing(c);
         c.answer(200, list("", true));
     },
     R"(waiting unreadable in 1000 error 'the answer is not what was asked for' [again])"},
    {"not_listed",
     [](Case& c) {
         listing(c);
         c.error(400, R"("code":"x")");
     },
     R"(refused invalid_request clean [refused])"},
    {"refunded", [](Case& c) { refunding(c); }, R"(done clean marker facts [done])"},
    {"refunded_something_else",
     [](Case& c) {
         refunding(c);
         c.answer(200, refund("other-other-1"));
     },
     R"(waiting unreadable doubt in 1000 error 'the answer is not what was asked for' [unknown])"},
    {"refunded_of_another",
     [](Case& c) {
         refunding(c);
         c.answer(200, refund(ours, "pi_2"));
     },
     R"(waiting unreadable doubt in 1000 error 'the answer is not what was asked for' [unknown])"},
    {"refund_refused",
     [](Case& c) {
         refunding(c);
         c.error(400, R"("code":"charge_already_refunded")");
     },
     R"(refused invalid_request clean answer [refused])"},
    {"refund_found",
     [](Case& c) {
         refunding(c);
         c.asks(Purpose::search_list).answer(200, list(refund(ours)));
     },
     R"(done by read proven_by_list marker facts journal call.proven_done [done])"},
    {"refund_not_found",
     [](Case& c) {
         refunding(c);
         c.asks(Purpose::search_list).answer(200, list(""));
     },
     R"(waiting not_proven_yet doubt in 1000 [unknown])"},
    {"refund_not_found_and_key_forgotten",
     [](Case& c) {
         refunding(c);
         forgotten(c.asks(Purpose::search_list));
         c.answer(200, list(""));
     },
     R"(pending proven_not_executed tries 0 generation 2 verifications 0 thawed journal call.new_generation [again])"},
    {"refund_cannot_be_found",
     [](Case& c) {
         refunding(c);
         c.asks(Purpose::search_list).answer(200, list(""));
         c.call.verifications = 6;
     },
     R"(review not_proven doubt journal call.review alert review:7 [unknown])"}

};

INSTANTIATE_TEST_SUITE_P(Payments, Proofs, testing::ValuesIn(rows), name_of);

TEST(PaymentSecrets, only_of_what_is_fresh_and_asked_for) {
    const auto secret_of = [](void (*make)(Case&), auto change) {
        Case c;
        make(c);
        change(c);
        return std::string(c.decide().secret.reveal());
    };
    const auto nothing = [](Case&) {};
    EXPECT_EQ(secret_of(payment, nothing), "pi_1_secret_x");
    EXPECT_EQ(secret_of(read, nothing), "pi_1_secret_x");
    EXPECT_EQ(secret_of(payment, [](Case& c) { c.replayed(); }), "");
    EXPECT_EQ(secret_of(payment, [](Case& c) { c.answer(200, intent("other-other-1")); }), "");
    EXPECT_EQ(secret_of(read, [](Case& c) { c.call.path = "/v1/payment_intents/pi_2"; }), "");
    EXPECT_EQ(secret_of(cancel, nothing), "");
    EXPECT_EQ(secret_of(payment,
                        [](Case& c) { c.asks(Purpose::search_list).answer(200, list(intent())); }),
              "");
}

// However long the window, and however often it was looked through in vain: no person.
TEST(PaymentLists, go_on_where_they_stopped) {
    Case c;
    payment(c);
    c.asks(Purpose::search_list).answer(200, list(intent("other"), true));
    c.leg.pages = c.policy.most_pages - 1;
    core::Decision decision = c.decide();
    EXPECT_EQ(decision.state, State::verifying);
    EXPECT_EQ(decision.list_cursor, "pi_1");

    c.leg.cursor = "pi_9";
    c.nothing(Transport::timed_out);
    decision = c.decide();
    EXPECT_EQ(decision.state, State::verifying);
    EXPECT_EQ(decision.list_cursor, "pi_9");

    c.answer(200, list(intent("other")));
    c.call.verifications = 1'000;
    decision = c.decide();
    EXPECT_EQ(decision.state, State::waiting);
    EXPECT_TRUE(decision.doubt);
    EXPECT_EQ(decision.list_cursor, "");
}

}  // namespace
}  // namespace pg_seats::test
