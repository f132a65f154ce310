#include "core/decision.hpp"

#include <algorithm>
#include <array>
#include <tuple>

#include "core/deciding.hpp"
#include "core/secrets.hpp"

namespace pg_seats::core {
namespace {

// May have been executed: the same key a few times, then proof by a read.
Decision in_doubt(const Situation& situation) {
    const auto& [call, policy, judgement] =
        std::tie(situation.call, situation.policy, situation.judgement);
    Decision decision = keep(situation, State::waiting);
    decision.doubt = true;
    decision.reason = judgement.reason;
    if (judgement.key_is_final) {
        // Stripe will never say anything else under this key. Seen twice, some time apart, because
        // the first request may still have been running behind the first replay.
        const std::chrono::seconds gap{policy.final_answer_gap_s};
        if (call.key_final_at == 0) {
            decision.key_final_at = situation.now;
            decision.due_in = gap;
        } else if (older_than(situation, call.key_final_at, policy.final_answer_gap_s)) {
            decision.state = State::verifying;
            decision.due_in = Duration{0};
        } else {  // somebody was impatient
            const std::chrono::microseconds passed{situation.now - call.key_final_at};
            decision.due_in = std::chrono::ceil<Duration>(gap - passed);
        }
        return decision;
    }
    const bool verify = call.tries >= policy.tries_before_verifying ||
                        older_than(situation, call.first_sent_at, policy.verify_after_silence_s) ||
                        older_than(situation, call.first_sent_at, policy.key_lifetime_s);
    if (verify) {
        decision.state = State::verifying;
        decision.due_in = Duration{0};
    } else {
        decision.due_in = backoff(situation, call.tries, judgement.retry_after);
    }
    return decision;
}

// (What a read of our own asks for is answered by it, whatever the leg.)
Proof proof_at_hand(const Situation& situation) {
    switch (situation.leg.purpose) {
        case Purpose::search_events:
            return Proof::event;
        case Purpose::send:
            return situation.answer.response.headers.replayed ? Proof::replayed : Proof::answered;
        default:
            return situation.rules.reads_subscription ? Proof::answered : Proof::read;
    }
}

void apply_not_executed(const Situation& situation, Decision& decision) {
    if (situation.rules.not_executed != nullptr) {
        situation.rules.not_executed(situation, decision);
    }
}

// Provably not executed now.
Decision try_again(const Situation& situation) {
    const Call& call = situation.call;
    const Judgement& judgement = situation.judgement;
    Decision decision = keep(situation, State::waiting);
    decision.reason = judgement.reason;
    decision.doubt = judgement.doubt_after;
    decision.due_in = backoff(situation, call.tries, judgement.retry_after);
    if (!situation.answer.response.sent) {
        decision.tries = call.tries - 1;
        decision.attempts = call.attempts - 1;
        if (decision.tries <= 0 && !situation.is_in_doubt()) {
            // No byte was ever sent under this key: thawed, as if it had not been claimed.
            decision.state = State::pending;
            decision.forget_first_sent = true;
            decision.tries = 0;
        }
    }
    if (call.is_preview()) {
        ++decision.generation;  // its key may have a stored failure, and is there for nothing else
    }
    apply_not_executed(situation, decision);
    return decision;
}

// Our own mistake or configuration: no attempt is spent, and the row keeps its place.
Decision hold(const Situation& situation) {
    const Judgement& judgement = situation.judgement;
    Decision decision = keep(situation, State::waiting);
    decision.reason = judgement.reason;
    decision.doubt = judgement.doubt_after;
    decision.tries = situation.call.tries - 1;
    decision.attempts = situation.call.attempts - 1;
    if (!decision.doubt && decision.tries <= 0) {
        // As if it had not been claimed: the key's life begins with the first try that may have
        // done something, and who wants it back need not wait for the end of the halt.
        decision.state = State::pending;
        decision.forget_first_sent = true;
    }
    apply_not_executed(situation, decision);
    if (!situation.standing.halted && !situation.effects.halt) {
        decision.due_in = situation.policy.pause_for_probe;
    }
    return decision;
}

// Whoever may not read prices, or asks for one that is not there, may do anything else.
bool is_about_this_call(int status) {
    return status == 400 || status == 403 || status == 404;
}

Decision not_accepted(Situation& situation) {
    const Judgement& judgement = situation.judgement;
    Decision decision =
        to_review(situation, judgement.reason,
                  "Stripe did not accept the form of the request: " + judgement.message);
    decision.doubt = judgement.doubt_after;
    decision.alert->fingerprint =
        "form:" + std::string(situation.standing.name) + ":" + judgement.fingerprint;
    return decision;
}

Decision halted(Situation& situation) {
    const Judgement& judgement = situation.judgement;
    const Rules& rules = situation.rules;
    if (rules.is_refused_by_status && is_about_this_call(situation.answer.response.status)) {
        return rules.refused(situation);
    }
    if (judgement.halt_scope == HaltScope::destination && may_be_about_everybody(situation)) {
        return hold(situation);
    }
    if (situation.call.is_preview()) {
        // It changes nothing: there is nothing that a person would have to decide.
        Decision decision = finish(situation, Result::refused, judgement.reason);
        decision.journal = JournalKind::refused;
        return decision;
    }
    if (judgement.halt_scope == HaltScope::destination && rules.not_accepted == nullptr) {
        Decision decision =
            to_review(situation, judgement.reason,
                      "Stripe turns this call away and answers others: " + judgement.message);
        decision.doubt = judgement.doubt_after;
        return decision;
    }
    if (judgement.needs_read) {
        situation.leg.first = judgement;
        situation.leg.purpose = Purpose::read_missing;
        return ask(situation);
    }
    if (judgement.halt_scope != HaltScope::destination && is_our_mistake(situation)) {
        return hold(situation);
    }
    return rules.not_accepted != nullptr ? rules.not_accepted(situation) : not_accepted(situation);
}

Decision refused(Situation& situation) {
    return situation.rules.refused != nullptr ? situation.rules.refused(situation)
                                              : refuse(situation);
}

Decision done(Situation& situation) {
    if (situation.rules.done != nullptr) {
        return situation.rules.done(situation);
    }
    Decision decision =
        finish(situation, Result::done,
               situation.answer.response.headers.replayed ? "replayed" : std::string_view{});
    decision.proves_marker = !situation.call.marker.empty();
    return decision;
}

// Executed, but Stripe waits for a payment. Only a call that names its object can be followed; for
// any other the pending update is part of an answer that means what its caller makes of it.
Decision awaiting(Situation& situation) {
    if (situation.rules.awaiting != nullptr) {
        return situation.rules.awaiting(situation);
    }
    if (situation.call.verifier != Verifier::object) {
        return done(situation);
    }
    Decision decision = keep(situation, State::awaiting);
    decision.reason = "awaiting_payment";
    decision.due_in = std::chrono::minutes{1};
    decision.journal = JournalKind::awaiting_payment;
    return decision;
}

Decision by_verdict(Situation& situation) {
    switch (situation.judgement.verdict) {
        case Verdict::done:
            situation.effects.count = Counter::done;
            return done(situation);
        case Verdict::awaiting:
            return awaiting(situation);
        case Verdict::refused:
            situation.effects.count = Counter::refused;
            return refused(situation);
        case Verdict::again:
            situation.effects.count = Counter::again;
            return try_again(situation);
        case Verdict::unknown:
            situation.effects.count = Counter::unknown;
            return in_doubt(situation);
        case Verdict::halted:
            break;
    }
    situation.effects.count = Counter::halted;
    return halted(situation);
}

Decision decide_sent(Situation& situation) {
    const Judgement& judgement = situation.judgement;
    Decision decision = by_verdict(situation);
    if (!decision.verdict || decision.outcome == Decision::Outcome::settled) {
        decision.verdict = judgement.verdict;  // (What stays may have been judged once more.)
    }
    if (decision.error.empty()) {
        decision.error = judgement.message;
    }
    decision.error_code = judgement.error_code;
    decision.decline_code = judgement.decline_code;
    return decision;
}

}  // namespace

void set_proven(Situation& situation, std::string_view reason) {
    situation.leg.proven = reason;
    situation.leg.proof = proof_at_hand(situation);
}

bool older_than(const Situation& situation, Moment moment, int seconds) {
    return moment != 0 && situation.now - moment > Moment{seconds} * 1'000'000;
}

Duration backoff(const Situation& situation, int tries,
                 std::optional<std::chrono::seconds> retry_after) {
    const Backoff rules{situation.policy.retry_first, situation.policy.retry_cap};
    return rules.delay(std::max(tries, 1), situation.chance, retry_after);
}

Decision keep(const Situation& situation, State state) {
    Decision decision;
    decision.outcome = Decision::Outcome::stays;
    decision.state = state;
    decision.doubt = situation.is_in_doubt();
    decision.tries = situation.call.tries;
    decision.attempts = situation.call.attempts;
    decision.generation = situation.call.generation;
    decision.verifications = situation.verifications();
    decision.key_final_at = situation.call.key_final_at;
    return decision;
}

Decision finish(const Situation& situation, Result result, std::string_view reason) {
    const Answer& answer = situation.answer;
    Decision decision;
    decision.outcome = Decision::Outcome::settled;
    decision.result = result;
    decision.proof = situation.leg.proven.empty() ? proof_at_hand(situation) : situation.leg.proof;
    decision.reason = reason;
    decision.generation = situation.call.generation;
    decision.attempts = situation.call.attempts;
    decision.answer = strip_secrets(answer.response.body, answer.body);
    decision.clean = situation.leg.purpose == Purpose::send && situation.call.attempts == 1 &&
                     !answer.response.headers.replayed;
    return decision;
}

Decision to_review(const Situation& situation, std::string_view reason,
                   std::string_view what_happened) {
    const Call& call = situation.call;
    const std::string id = std::to_string(call.id);
    Decision decision = keep(situation, State::review);
    decision.reason = reason;
    decision.journal = JournalKind::review;
    decision.alert = Alert{"review:" + id, "critical", "review",
                           call.method + " " + call.path + " (call " + id +
                               ") needs a person: " + std::string(what_happened),
                           "See seats.reviews; SELECT seats.explain_call(" + id +
                               ") tells more, seats.resolve_review settles it."};
    return decision;
}

Decision under_new_key(const Situation& situation, std::string_view reason) {
    Decision decision = keep(situation, State::pending);
    decision.generation = situation.call.generation + 1;
    decision.tries = 0;
    decision.verifications = 0;
    decision.doubt = false;
    decision.forget_first_sent = true;
    decision.key_final_at = 0;
    decision.reason = reason;
    return decision;
}

void begin_list(Leg& leg, Purpose purpose) {
    leg.purpose = purpose;
    leg.pages = 0;
    leg.page_size = Leg{}.page_size;
    leg.cursor.clear();
}

Decision ask(const Situation& situation) {
    Decision decision;
    decision.outcome = Decision::Outcome::asks;
    decision.next = situation.leg;
    return decision;
}

Decision refuse(const Situation& situation) {
    Decision decision = finish(situation, Result::refused, situation.judgement.reason);
    decision.journal = situation.rules.has_own_journal ? JournalKind::none : JournalKind::refused;
    return decision;
}

Decision decide_answer(Situation& situation) {
    return situation.leg.purpose == Purpose::send ? decide_sent(situation) : decide_read(situation);
}

Judgement judge_leg(const Call& call, const Rules& rules, Purpose purpose, const Answer& answer,
                    Expectation expected) {
    const bool is_sent = purpose == Purpose::send;
    return judge({.mutation = is_sent && call.is_mutation(),
                  .deletion = is_sent && call.method == "DELETE",
                  .doubt_before = is_sent && call.doubt && rules.can_be_in_doubt,
                  .expect_stripe = expected.is_stripe,
                  .livemode = expected.livemode,
                  .answer = answer});
}

Decision decide(Situation situation) {
    Decision decision = situation.rules.decide(situation);
    decision.effects = std::move(situation.effects);
    return decision;
}

std::string_view to_string(Result result) {
    constexpr std::array<std::string_view, 4> names{"", "done", "refused", "cancelled"};
    return names.at(static_cast<std::size_t>(result));
}

std::string_view to_string(Proof proof) {
    constexpr std::array<std::string_view, 5> names{"", "answered", "replayed", "read", "event"};
    return names.at(static_cast<std::size_t>(proof));
}

std::string_view to_string(JournalKind kind) {
    constexpr std::array<std::string_view, 6> names{"",
                                                    "call.refused",
                                                    "call.review",
                                                    "call.awaiting_payment",
                                                    "call.proven_done",
                                                    "call.new_generation"};
    return names.at(static_cast<std::size_t>(kind));
}

}  // namespace pg_seats::core
