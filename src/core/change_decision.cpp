// What an answer means for the seat changes that a call carries.
#include "core/deciding.hpp"
#include "core/identity.hpp"

namespace pg_seats::core {
namespace {

Decision read_base_next(Situation& situation, std::string_view proven) {
    set_proven(situation, proven);
    situation.leg.purpose = Purpose::read_base;
    return ask(situation);
}

// What was refused may be stored under the key, so the changes need others.
Decision planned_again(const Situation& situation, std::string_view reason) {
    Decision decision = under_new_key(situation, reason);
    decision.due_in = Duration{0};
    return decision;
}

// A refusal about the amount, or about one line, says nothing about fewer changes.
bool can_be_split(const Call& call, const Judgement& judgement) {
    if (call.last_id == 0 || (call.splits_left && *call.splits_left <= 1)) {
        return false;
    }
    const bool about_amount = judgement.decline_code == "insufficient_funds" ||
                              judgement.decline_code == "card_velocity_exceeded" ||
                              judgement.decline_code == "withdrawal_count_limit_exceeded" ||
                              judgement.error_code == "amount_too_large";
    return about_amount || (!judgement.is_card_refusal && judgement.param.starts_with("items"));
}

// Executed; what is there now is read, if the answer at hand does not tell.
Decision change_is_proven(Situation& situation, std::string_view reason) {
    if (situation.leg.purpose != Purpose::read_object || !take_subscription(situation)) {
        return read_base_next(situation, reason);
    }
    set_proven(situation, reason);
    return with_subscription(situation);
}

Decision change_still_awaits(Situation& situation) {
    if (take_subscription(situation)) {
        return with_subscription(situation);
    }
    return situation.leg.subscription ? read_items_next(situation) : awaiting_still(situation);
}

// Executed, or waiting for its payment, but in another call than the one that we know of: its
// freeze was lost. Whom that one carried is told by its marker.
Decision change_went_with_others(Situation& situation) {
    if (take_subscription(situation)) {
        return with_subscription(situation);
    }
    return situation.leg.subscription ? read_items_next(situation) : search_events_next(situation);
}

Decision payment_did_not_come(const Situation& situation) {
    // It was waiting for a payment, and now neither waits nor was applied: expired, voided or
    // replaced. Nothing was bought.
    const bool wanted = situation.call.cancelled;
    Decision decision = finish(situation, wanted ? Result::cancelled : Result::refused,
                               wanted ? "invoice_voided" : "payment_did_not_come");
    decision.verdict = Verdict::refused;
    add_known_facts(situation, decision);
    return decision;
}

// Stripe's clock and ours may differ by so much.
constexpr Moment clocks_may_differ = Moment{300} * 1'000'000;

Moment moment_of(std::int64_t unix_seconds) {
    constexpr std::int64_t year_2000 = 946'684'800;
    return (unix_seconds - year_2000) * 1'000'000;
}

// Stripe names the latest invoice of the subscription, whoever has made it: a call that makes none
// is answered with that of somebody else. (Whether it was known before the call, SQL sees.)
bool is_of_call(const Situation& situation, const SubscriptionFacts& subscription) {
    const InvoiceFacts& invoice = *subscription.invoice;
    const Call& call = situation.call;
    const bool replayed = situation.answer.response.headers.replayed;
    const Moment sent_at = replayed ? call.first_sent_at : situation.sent_at;
    const bool is_new =
        invoice.created &&
        (subscription.has_test_clock || moment_of(*invoice.created) + clocks_may_differ > sent_at);
    return is_new && invoice.billing_reason == "subscription_update" &&
           call.body.find("proration_behavior=always_invoice") != std::string::npos;
}

}  // namespace

void add_invoice(const Situation& situation, Decision& decision) {
    const auto& own = situation.leg.invoice;
    const auto& subscription = situation.leg.subscription;
    const auto latest = subscription ? subscription->invoice : std::nullopt;
    if (latest && (!own || latest->id == own->id)) {
        decision.invoice = to_json(*latest, own.has_value());
    } else if (own) {
        decision.invoice = to_json(*own, true);
    }
}

// The facts of the answer at hand as SQL takes them; none if it does not tell them all.
void add_known_facts(const Situation& situation, Decision& decision) {
    const auto subscription = read_subscription(situation.answer.body);
    decision.facts =
        subscription && subscription->items_complete ? to_json(*subscription) : std::string();
    decision.facts_as_of = situation.sent_at;
}

// Provably not executed, and nothing stored under the key: the changes are planned anew, on a new
// base and with what has come since.
void plan_anew_if_harmless(const Situation&, Decision& decision) {
    if (!decision.doubt) {
        decision.state = State::pending;
        decision.forget_first_sent = true;
    }
}

// Somebody has removed an item that our call was to change. Nothing was executed: the changes are
// planned anew on what is there now. (Not for ever: then a person looks at it.)
std::optional<Decision> change_was_there(Situation& situation) {
    const Judgement& first = situation.leg.first;
    if (first.reason != "item_missing" || first.doubt_after ||
        situation.call.attempts >= situation.policy.most_plans) {
        return std::nullopt;
    }
    Decision decision = planned_again(situation, first.reason);
    decision.verdict = Verdict::again;
    decision.error = first.message;
    add_known_facts(situation, decision);
    if (decision.facts.empty()) {
        // Not all of its items were in the answer: when the base is no longer fresh it is read.
        decision.due_in = situation.policy.base_lifetime;
    }
    return decision;
}

Decision change_was_refused(Situation& situation) {
    if (!can_be_split(situation.call, situation.judgement)) {
        return refuse(situation);
    }
    Decision decision = planned_again(situation, situation.judgement.reason);
    decision.split = true;
    return decision;
}

Decision change_was_done(Situation& situation) {
    // A replayed answer proves the change and its invoice, not what is there now.
    const bool replayed = situation.answer.response.headers.replayed;
    const bool is_whole = take_subscription(situation);
    Leg& leg = situation.leg;
    if (leg.subscription && leg.subscription->invoice && is_of_call(situation, *leg.subscription)) {
        leg.invoice = leg.subscription->invoice;
    }
    if (replayed || !is_whole) {
        leg.subscription.reset();
        return read_base_next(situation, replayed ? "replayed" : "answered");
    }
    Decision decision = finish(situation, Result::done, {});
    decision.proves_marker = true;
    add_facts(situation, decision);
    if (leg.invoice) {
        add_invoice(situation, decision);
    }
    return decision;
}

Decision change_awaits_payment(Situation& situation) {
    Decision decision = keep(situation, State::awaiting);
    decision.reason = "awaiting_payment";
    decision.due_in = std::chrono::minutes{1};
    if (situation.answer.response.headers.replayed || !take_subscription(situation)) {
        decision.due_in = Duration{0};  // a read tells
    } else {
        add_facts(situation, decision);
    }
    return decision;
}

Decision change_is_proven_by_event(Situation& situation) {
    return change_is_proven(situation, "proven_by_event");
}

Decision change_was_looked_at(Situation& situation, const ObjectFacts& facts) {
    const Call& call = situation.call;
    if (of_same_change(facts.marker, call.marker)) {
        return change_is_proven(situation, "proven_by_marker");
    }
    if (of_same_change(facts.pending_marker, call.marker)) {
        return change_still_awaits(situation);
    }
    if (begins_with_change(facts.marker, call.uuid) ||
        begins_with_change(facts.pending_marker, call.uuid)) {
        return change_went_with_others(situation);
    }
    if (call.state == State::awaiting) {
        // Another call than the one before ours: a failover has forgotten what became of ours, and
        // that this one followed it.
        return facts.marker == call.last_lane_marker ? payment_did_not_come(situation)
                                                     : search_events_next(situation);
    }
    return object_shows_nothing(situation, facts);
}

}  // namespace pg_seats::core
