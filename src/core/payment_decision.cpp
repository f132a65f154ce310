// What an answer means for payments: their intents, made, cancelled and read, and refunds. Nothing
// counts as ours that does not carry our marker, or the id that was asked for.
#include "core/call_rules.hpp"
#include "core/deciding.hpp"
#include "core/identity.hpp"
#include "core/payment_facts.hpp"

namespace pg_seats::core {
namespace {

constexpr std::string_view intents_path = "/v1/payment_intents/";
constexpr std::string_view not_asked_for = "the answer is not what was asked for";

// Of the path, or of the query or form.
std::string_view intent_of(const Call& call) {
    const std::string_view path = call.path;
    if (path.starts_with(intents_path)) {
        const std::string_view rest = path.substr(intents_path.size());
        return rest.substr(0, rest.find('/'));
    }
    return form_value(call.body, "payment_intent").value_or(std::string_view());
}

// What a replayed answer says was so when it was given first.
Moment as_of(const Situation& situation) {
    const Moment first = situation.call.first_sent_at;
    const bool is_old = situation.answer.response.headers.replayed && first != 0;
    return is_old ? first : situation.sent_at;
}

Decision decide_as(Situation& situation, const Judgement& judgement) {
    Situation other{.call = situation.call,
                    .rules = situation.rules,
                    .leg = std::move(situation.leg),
                    .answer = situation.answer,
                    .judgement = judgement,
                    .standing = situation.standing,
                    .policy = situation.policy,
                    .sent_at = situation.sent_at,
                    .now = situation.now,
                    .tick = situation.tick,
                    .chance = situation.chance,
                    .effects = std::move(situation.effects)};
    Decision decision = decide_answer(other);
    situation.leg = std::move(other.leg);
    situation.effects = std::move(other.effects);
    return decision;
}

Judgement altered(const Situation& situation, Verdict verdict, std::string_view reason) {
    Judgement judgement = situation.judgement;
    judgement.verdict = verdict;
    judgement.halt_scope = HaltScope::none;
    judgement.needs_read = false;
    judgement.reason = reason;
    return judgement;
}

// Executed, it seems, but the answer does not say what: in doubt, until it is found.
Decision made_something_else(Situation& situation) {
    Judgement judgement = altered(situation, Verdict::unknown, "unreadable");
    judgement.doubt_after = true;
    judgement.key_is_final = false;
    judgement.message = not_asked_for;
    return decide_as(situation, judgement);
}

void add_facts(Decision& decision, std::string facts, Moment as_of) {
    decision.answer.clear();  // what it says is stored where it belongs
    decision.facts = std::move(facts);
    decision.facts_as_of = as_of;
}

Decision was_made(Situation& situation, std::string facts) {
    const bool is_replayed = situation.answer.response.headers.replayed;
    Decision decision =
        finish(situation, Result::done, is_replayed ? "replayed" : std::string_view());
    add_facts(decision, std::move(facts), as_of(situation));
    decision.proves_marker = !situation.call.marker.empty();
    return decision;
}

Decision is_in_list(const Situation& situation, std::string facts) {
    Decision decision = proven_done(situation, "proven_by_list");
    add_facts(decision, std::move(facts), situation.sent_at);
    return decision;
}

Decision cannot_be_read(const Situation& situation, std::string_view reason, std::string message) {
    Decision decision = finish(situation, Result::refused, reason);
    decision.answer.clear();
    decision.verdict = Verdict::refused;
    decision.error = std::move(message);
    return decision;
}

// Something in between may have put it there.
Decision ask_once_more(Situation& situation) {
    Judgement judgement = altered(situation, Verdict::again, "unreadable");
    judgement.message = not_asked_for;
    return decide_as(situation, judgement);
}

// Asked for again, a few times.
Decision is_something_else(Situation& situation) {
    if (situation.call.tries < situation.policy.failed_reads_to_tell) {
        return ask_once_more(situation);
    }
    return cannot_be_read(situation, "unreadable", std::string(not_asked_for));
}

Decision was_read(Situation& situation, std::optional<std::string> facts) {
    if (!facts) {
        return is_something_else(situation);
    }
    Decision decision = finish(situation, Result::done, {});
    add_facts(decision, *std::move(facts), situation.sent_at);
    return decision;
}

}  // namespace

// ---- making an intent, or giving money back

// "Not there" is said of what its parameters name: that is about this one alone. And a key that was
// used for something else says no more under any patience.
Decision decide_creation(Situation& situation) {
    const Judgement& judgement = situation.judgement;
    if (situation.leg.purpose != Purpose::send) {
        return decide_answer(situation);
    }
    if (judgement.verdict == Verdict::halted && judgement.needs_read) {
        const Verdict verdict = judgement.doubt_after ? Verdict::unknown : Verdict::refused;
        return decide_as(situation, altered(situation, verdict, judgement.reason));
    }
    Decision decision = decide_answer(situation);
    if (judgement.reason == "idempotency_mismatch" && decision.state == State::waiting) {
        decision.state = State::verifying;
        decision.due_in = Duration{0};
    }
    return decision;
}

// ---- making an intent

Decision payment_was_made(Situation& situation) {
    const auto intent = read_intent(situation.answer.body);
    if (!intent || !of_same_change(intent->marker, situation.call.marker)) {
        return made_something_else(situation);
    }
    Decision decision = was_made(situation, to_json(*intent));
    if (!situation.answer.response.headers.replayed) {
        decision.secret = read_client_secret(situation.answer.body);
    }
    return decision;
}

// (One that cannot be read is there all the same: a list of all of them is to find it.)
Decision payment_is_in_list(Situation& situation, std::string object) {
    const auto intent = read_intent(ParsedBody(object));
    return is_in_list(situation, intent ? to_json(*intent) : std::string());
}

// Nobody ever had its client secret, so nobody can pay it.
Decision payment_is_not_proven(Situation& situation) {
    Decision decision = finish(situation, Result::refused, "not_proven");
    decision.answer.clear();
    decision.verdict = Verdict::refused;
    return decision;
}

// ---- cancelling it

// Cancelling does nothing the second time. So it is repeated, and under another key: the old one
// would repeat the old answer.
Decision decide_payment_cancel(Situation& situation) {
    const Judgement& judgement = situation.judgement;
    std::optional<Judgement> other;
    if (judgement.verdict == Verdict::unknown) {
        other = altered(situation, Verdict::again, judgement.reason);
        other->doubt_after = false;
    } else if (judgement.verdict == Verdict::halted && judgement.needs_read) {
        other = altered(situation, Verdict::refused, judgement.reason);
    }
    Decision decision = other ? decide_as(situation, *other) : decide_answer(situation);
    if (decision.outcome == Decision::Outcome::stays) {
        decision.doubt = false;
        if (situation.answer.response.sent && decision.generation == situation.call.generation) {
            ++decision.generation;
            decision.key_final_at = 0;
        }
    }
    return decision;
}

Decision payment_was_cancelled(Situation& situation) {
    const auto intent = read_intent(situation.answer.body);
    if (!intent || intent->id != intent_of(situation.call)) {
        return ask_once_more(situation);
    }
    Decision decision = finish(situation, Result::done, {});
    add_facts(decision, to_json(*intent), as_of(situation));
    return decision;
}

// With the intent as it is, mostly: it is at the payer's bank, has succeeded, or is gone.
Decision payment_cancel_was_refused(Situation& situation) {
    Decision decision =
        cannot_be_read(situation, situation.judgement.reason, situation.judgement.message);
    const auto intent = read_intent_of_error(situation.answer.body);
    if (intent && intent->id == intent_of(situation.call)) {
        add_facts(decision, to_json(*intent), as_of(situation));
    }
    return decision;
}

// ---- reading it, its refunds and disputes, and all of them

// What is more than an answer may hold is asked for in smaller parts.
Decision decide_list(Situation& situation) {
    if (situation.answer.response.over_limit) {
        const bool is_list = form_value(situation.call.body, "limit").has_value();
        if (is_list && situation.leg.page_size > 1) {
            situation.effects.count = Counter::reads;
            situation.leg.page_size /= 2;
            Decision decision = ask(situation);
            decision.verdict = situation.judgement.verdict;
            return decision;
        }
        if (situation.call.tries >= situation.policy.failed_reads_to_tell) {
            situation.effects.count = Counter::reads;
            return cannot_be_read(situation, "answer_too_large",
                                  "the answer is larger than pg_seats.response_limit");
        }
    }
    return decide_answer(situation);
}

Decision payment_was_read(Situation& situation) {
    const Call& call = situation.call;
    const ParsedBody& body = situation.answer.body;
    const std::string_view wanted = intent_of(call);
    if (call.path == "/v1/refunds") {
        return was_read(situation, refunds_json(body, wanted));
    }
    if (call.path == "/v1/disputes") {
        return was_read(situation, disputes_json(body, wanted));
    }
    const auto intent = read_intent(body);
    const bool is_asked_for = intent && intent->id == wanted;
    Decision decision =
        was_read(situation, is_asked_for ? std::optional(to_json(*intent)) : std::nullopt);
    if (decision.result == Result::done) {
        decision.secret = read_client_secret(body);
    }
    return decision;
}

Decision payments_were_listed(Situation& situation) {
    return was_read(situation, intents_json(situation.answer.body));
}

Decision payment_cannot_be_read(Situation& situation) {
    return cannot_be_read(situation, situation.judgement.reason, situation.judgement.message);
}

// ---- giving it back

Decision refund_was_made(Situation& situation) {
    const auto refund = read_refund(situation.answer.body);
    const bool is_ours =
        refund && of_same_change(refund->marker, situation.call.marker) &&
        (refund->payment_intent.empty() || refund->payment_intent == intent_of(situation.call));
    return is_ours ? was_made(situation, to_json(*refund)) : made_something_else(situation);
}

Decision refund_is_in_list(Situation& situation, std::string object) {
    const auto refund = read_refund(ParsedBody(object));
    return is_in_list(situation, refund ? to_json(*refund) : std::string());
}

}  // namespace pg_seats::core
