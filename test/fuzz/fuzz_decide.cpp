// Any answer to any leg of any kind of row: deciding must not crash, and what keeps money safe must
// hold whatever was read.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/rules.hpp"

using namespace pg_seats::core;

namespace {

void check(bool holds) {
    if (!holds) {
        std::abort();
    }
}

constexpr Moment now = 1'000'000'000'000'000;

struct Bytes {
    const std::uint8_t* data;
    std::size_t size;
    unsigned next() {
        if (size == 0) {
            return 0;
        }
        --size;
        return *data++;
    }
    bool flag() { return (next() & 1U) != 0; }
    // Never, a moment ago, minutes, a day, or more.
    Moment moment() {
        constexpr std::array<Moment, 5> ages{0, 1, 400, 80'000, 200'000};
        const Moment age = ages.at(next() % ages.size());
        return age == 0 ? 0 : now - age * 1'000'000;
    }
};

Call any_call(Bytes& bytes, bool is_read) {
    Call call;
    call.id = 7;
    call.lane_id = static_cast<std::int64_t>(bytes.next() % 3);
    call.uuid = "uuid";
    call.installation = "us";
    call.method = is_read ? "GET" : "POST";
    call.path = bytes.next() % 8 == 0 ? std::string(preview_path) : "/v1/subscriptions/sub_1";
    call.verifier = bytes.flag() ? Verifier::object : Verifier::list;
    call.marker = bytes.flag() ? "uuid-uuid-1" : "";
    call.last_lane_marker = bytes.flag() ? "before-before-1" : "";
    call.tries = call.attempts = 1 + static_cast<int>(bytes.next() % 6);
    call.verifications = static_cast<int>(bytes.next() % 8);
    call.doubt = bytes.flag();
    call.created_at = bytes.moment();
    call.first_sent_at = bytes.moment();
    call.last_sent_at = bytes.moment();
    call.key_final_at = bytes.moment();
    call.last_id = bytes.flag() ? 9 : 0;
    call.cancelled = bytes.flag();
    return call;
}

void check_decision(const Call& call, const Rules& rules, const Leg& leg,
                    const Decision& decision) {
    using Outcome = Decision::Outcome;
    const bool is_verification = leg.purpose == Purpose::read_object ||
                                 leg.purpose == Purpose::search_list ||
                                 leg.purpose == Purpose::search_events;
    check(decision.verdict.has_value());
    check((decision.outcome == Outcome::settled) == (decision.result != Result::none));
    check((decision.outcome == Outcome::settled) == (decision.proof != Proof::none));
    check(!decision.due_in || decision.due_in->count() >= 0);
    if (decision.outcome == Outcome::asks) {
        const Purpose next = decision.next.purpose;
        // (Only a list is asked for once more, in smaller pages.)
        check(next != Purpose::send ||
              (rules.decide == decide_list && decision.next.page_size < leg.page_size));
        check(next != Purpose::probe && next != Purpose::list_events);
        check(next != Purpose::read_items || decision.next.subscription.has_value() ||
              leg.purpose == Purpose::read_items);
        check(decision.next.page_size >= 1 && decision.next.page_size <= 100);
    }
    if (decision.outcome == Outcome::stays) {
        check(decision.state != State::sending && decision.state != State::carried);
        check((decision.state == State::review) == decision.alert.has_value());
        check(decision.state == State::review || decision.due_in || decision.effects.halt ||
              decision.state == State::pending || decision.state == State::waiting);
        check(decision.generation == call.generation || call.is_preview() || !decision.doubt);
        // Doubt ends by proof: another generation, or the end.
        check(!is_verification || !call.doubt || !rules.can_be_in_doubt || decision.doubt ||
              decision.generation > call.generation);
    }
    // A refusal needs more than a word, where the call may have been executed.
    if (decision.result == Result::refused && rules.can_be_in_doubt && call.doubt &&
        is_verification) {
        check(call.state == State::awaiting ||
              (rules.when_key_is_forgotten != nullptr && decision.reason == "not_proven"));
    }
    check(decision.secret.empty() || decision.result == Result::done);
    check(rules.can_be_in_doubt || call.state == State::verifying ||
          decision.outcome != Decision::Outcome::stays || decision.state != State::verifying);
}

}  // namespace

// First the row, the leg and what the transport tells, a byte each; then the body.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    constexpr std::array kinds{&rules::call,         &rules::of_our_own,     &rules::change,
                               &rules::read,         &rules::price,          &rules::delivery,
                               &rules::payment,      &rules::payment_cancel, &rules::payment_read,
                               &rules::payment_list, &rules::refund};
    constexpr std::array purposes{
        Purpose::send,          Purpose::send,         Purpose::read_object, Purpose::search_list,
        Purpose::search_events, Purpose::read_missing, Purpose::read_base,   Purpose::read_items};
    Bytes bytes{data, size};
    const Rules& rules = *kinds.at(bytes.next() % kinds.size());
    const bool is_read = rules.reads_subscription || rules.is_refused_by_status;
    const bool is_delivery = rules.decide == decide_delivery;
    Call call = any_call(bytes, is_read);
    Leg leg;
    leg.purpose = is_delivery ? Purpose::send : purposes.at(bytes.next() % purposes.size());
    leg.pages = static_cast<int>(bytes.next() % 25);
    leg.page_size = 100 >> (bytes.next() % 7);
    leg.first.doubt_after = call.doubt;
    leg.first.reason = bytes.flag() ? "item_missing" : "not_found";
    if (leg.purpose == Purpose::read_items) {
        leg.subscription.emplace().id = "sub_1";
    }
    constexpr std::array states{State::verifying, State::awaiting};
    call.state = leg.purpose == Purpose::send || leg.purpose == Purpose::read_missing
                     ? State::sending
                     : states.at(bytes.next() % states.size());

    Answer answer;
    answer.response.transport = static_cast<Transport>(bytes.next() % 3);
    answer.response.sent = answer.response.transport == Transport::complete || bytes.flag();
    answer.response.status =
        static_cast<int>(bytes.next() % 6) * 100 + 2 * static_cast<int>(bytes.next() % 3);
    answer.response.over_limit = answer.response.transport != Transport::complete && bytes.flag();
    answer.response.headers.replayed = bytes.flag();
    answer.response.body = std::string_view(reinterpret_cast<const char*>(bytes.data), bytes.size);
    answer.parse(!is_delivery);

    Mistakes mistakes;
    const Standing standing{.mistakes = mistakes, .halted = (size & 1U) != 0, .name = "stripe"};
    const Policy policy;
    const Judgement judgement =
        judge_leg(call, rules, leg.purpose, answer, {.is_stripe = !is_delivery, .livemode = false});
    const Decision decision = decide({.call = call,
                                      .rules = rules,
                                      .leg = leg,
                                      .answer = answer,
                                      .judgement = judgement,
                                      .standing = standing,
                                      .policy = policy,
                                      .sent_at = now,
                                      .now = now,
                                      .tick = TimePoint{std::chrono::hours{1}},
                                      .chance = 0.5});
    check_decision(call, rules, leg, decision);
    return 0;
}
