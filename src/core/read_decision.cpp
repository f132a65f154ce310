// What an answer tells of a subscription, or of a price: asked for by a row of its own, or as the
// base of a change.
#include <algorithm>

#include "core/deciding.hpp"

namespace pg_seats::core {
namespace {

// An answer, and not what was asked for.
Decision base_is_unreadable(Situation& situation, std::string message) {
    Judgement judgement;
    judgement.verdict = Verdict::done;
    judgement.reason = "unreadable";
    judgement.message = std::move(message);
    return base_is_missing(situation, judgement);
}

Decision not_found(const Situation& situation, const std::string& message) {
    Decision decision = finish(situation, Result::refused, "not_found");
    decision.verdict = Verdict::refused;
    decision.error = message;
    return decision;
}

// Wrong id, another account's or mode's; or the key may not read prices. That stops nobody: what
// would need the price waits, and says so.
Decision no_price(const Situation& situation, const std::string& message) {
    Decision decision = not_found(situation, message);
    decision.facts_as_of = situation.sent_at;
    return decision;
}

// A change that is proven is done all the same; what is there now is read once more, by itself.
Decision proven_change(const Situation& situation) {
    Decision decision = proven_done(situation, situation.leg.proven);
    decision.answer.clear();
    decision.proves_marker = true;
    decision.journal = JournalKind::none;  // settling writes change.confirmed
    add_invoice(situation, decision);
    return decision;
}

}  // namespace

bool take_subscription(Situation& situation) {
    std::optional<SubscriptionFacts>& subscription = situation.leg.subscription;
    subscription = read_subscription(situation.answer.body);
    if (subscription && !situation.call.path.ends_with("/" + subscription->id)) {
        subscription.reset();
    }
    situation.leg.as_of = situation.sent_at;
    return subscription && subscription->items_complete;
}

// Not all items fit into the answer: the list is read, all of it. (What is missing is not zero.)
Decision read_items_next(Situation& situation) {
    Leg& leg = situation.leg;
    begin_list(leg, Purpose::read_items);
    leg.subscription->items.clear();
    leg.subscription->prices.clear();
    return ask(situation);
}

void add_facts(const Situation& situation, Decision& decision) {
    decision.facts = to_json(*situation.leg.subscription);
    decision.facts_as_of = situation.leg.as_of;
}

Decision with_subscription(const Situation& situation) {
    Decision decision;
    if (situation.rules.reads_subscription) {
        decision = finish(situation, Result::done, {});
        decision.answer.clear();  // what it says is stored where it belongs
    } else if (!situation.leg.proven.empty()) {
        decision = proven_change(situation);
    } else if (situation.call.state == State::awaiting) {
        decision = awaiting_still(situation);
    } else {
        decision = keep(situation, State::pending);
        decision.outcome = Decision::Outcome::learned;
    }
    add_facts(situation, decision);
    return decision;
}

Decision base_was_read(Situation& situation) {
    if (take_subscription(situation)) {
        return with_subscription(situation);
    }
    if (situation.leg.subscription) {
        return read_items_next(situation);
    }
    return base_is_unreadable(situation, "the answer is not the subscription");
}

Decision items_were_read(Situation& situation) {
    Leg& leg = situation.leg;
    const auto page = read_item_page(situation.answer.body);
    if (!page) {
        return base_is_unreadable(situation, "the answer is not a list of a subscription's items");
    }
    auto& items = leg.subscription->items;
    items.insert(items.end(), page->items.begin(), page->items.end());
    auto& prices = leg.subscription->prices;
    prices.insert(prices.end(), page->prices.begin(), page->prices.end());
    if (page->has_more && !page->last_id.empty() && page->unreadable == 0 &&
        ++leg.pages < situation.policy.most_item_pages * 100 / leg.page_size) {
        leg.cursor = page->last_id;
        return ask(situation);
    }
    if (page->has_more || page->unreadable > 0) {
        return base_is_unreadable(situation, "not all of its items can be read");
    }
    leg.subscription->items_complete = true;
    return with_subscription(situation);
}

// Where nothing is in doubt, that is no question for a person: it is read again, and told.
Decision base_is_missing(Situation& situation, const Judgement& judgement) {
    const Call& call = situation.call;
    const bool is_proven = !situation.leg.proven.empty();
    const bool is_read = situation.rules.reads_subscription;
    if (is_read && judgement.verdict == Verdict::refused) {
        return not_found(situation, judgement.message);
    }
    if (call.state == State::awaiting && !is_proven) {
        return awaiting_still(situation);
    }
    if (call.state == State::verifying && !is_proven) {
        return search_events_next(situation);
    }
    if (situation.is_in_doubt() && !is_proven && !is_read) {
        Decision decision = to_review(situation, "subscription_not_found",
                                      "its subscription cannot be read: " + judgement.message);
        decision.error = judgement.message;
        decision.verdict = Verdict::halted;
        return decision;
    }
    return base_not_read(situation, judgement);
}

// Nothing was sent: later again, and whoever looks at the team sees why.
Decision base_not_read(const Situation& situation, const Judgement& judgement) {
    if (!situation.leg.proven.empty()) {
        return proven_change(situation);
    }
    const Policy& policy = situation.policy;
    Decision decision =
        keep(situation, situation.rules.reads_subscription ? State::waiting : State::pending);
    decision.reason = judgement.reason;
    decision.error = judgement.message;
    decision.verdict = judgement.verdict;
    // How often it failed is told by how long it has been tried.
    decision.verifications =
        std::min(situation.verifications() + 1, policy.most_failed_reads_counted);
    decision.due_in = backoff(situation, decision.verifications, judgement.retry_after);
    // (What only did not come through now is nobody's news, and an outage is told by its breaker.)
    const bool is_passing =
        judgement.verdict == Verdict::again && !situation.answer.response.over_limit;
    decision.problem_lasts = decision.verifications >= policy.failed_reads_to_tell;
    if (!is_passing || decision.problem_lasts) {
        decision.read_problem =
            judgement.message.empty() ? std::string(judgement.reason) : judgement.message;
    }
    return decision;
}

Decision read_of_base_failed(Situation& situation) {
    return base_not_read(situation, situation.judgement);
}

Decision subscription_is_missing(Situation& situation) {
    return not_found(situation, situation.judgement.message);
}

// What is known of it decides whether a subscription can have it; see seats_internal.stripe_price.
Decision price_was_read(Situation& situation) {
    const auto price = read_price(situation.answer.body);
    if (!price || !situation.call.path.ends_with("/" + price->id)) {
        return no_price(situation, "the answer is not this price");
    }
    Decision decision = finish(situation, Result::done, {});
    decision.answer.clear();
    decision.facts = to_json(*price);
    decision.facts_as_of = situation.sent_at;
    return decision;
}

Decision price_is_missing(Situation& situation) {
    return no_price(situation, situation.judgement.message);
}

}  // namespace pg_seats::core
