// What an answer means for the seat changes that a call carries, and for what is known of their
// subscription. Nothing here touches the database.
#include "core/answer.hpp"
#include "engine/seats.hpp"

#include "pg/settings.hpp"

namespace pg_seats::engine {
namespace {

using core::Duration;

constexpr int most_item_pages = 10;
constexpr int most_plans = 5;
// Of failed reads in a row: a person is told, and the pause between two grows no longer.
constexpr int failed_reads_to_tell = 4;
constexpr int most_failed_reads_counted = 10;

Decision follow_up() {
    Decision decision;
    decision.kind = Decision::Kind::follow_up;
    return decision;
}

// The subscription in the answer. True: all of it is known. False: not the subscription that was
// asked for, or some items are on other pages.
bool take_subscription(Flight& flight) {
    flight.subscription = core::read_subscription(flight.answer.body);
    if (flight.subscription && !flight.call.path.ends_with("/" + flight.subscription->id)) {
        flight.subscription.reset();
    }
    flight.subscription_as_of = flight.sent_at;
    return flight.subscription && flight.subscription->items_complete;
}

// Not all items fit into the answer: the list is read, all of it. (What is missing is not zero.)
Decision read_items_next(Flight& flight) {
    flight.items_for = flight.purpose;
    flight.purpose = Purpose::read_items;
    flight.pages = 0;
    flight.page_size = 100;
    flight.cursor.clear();
    flight.subscription->items.clear();
    flight.subscription->prices.clear();
    return follow_up();
}

Decision read_base_next(Flight& flight, std::string_view proven) {
    flight.proven = proven;
    flight.purpose = Purpose::read_base;
    return follow_up();
}

void add_facts(const Flight& flight, Decision& decision) {
    decision.facts = core::to_json(*flight.subscription);
    decision.facts_as_of = flight.subscription_as_of;
}

// The subscription is known, all its items too: what was that asked for?
Decision with_subscription(Flight& flight) {
    if (flight.call.is_subscription_read()) {
        Decision decision = finish(flight, "done", {});
        decision.answer.clear();  // what it says is stored where it belongs
        add_facts(flight, decision);
        return decision;
    }
    if (!flight.proven.empty()) {
        Decision decision = proven_done(flight, flight.proven, {});
        decision.answer.clear();
        decision.proves_marker = true;
        decision.journal_kind = {};  // settling writes change.confirmed
        add_facts(flight, decision);
        return decision;
    }
    if (flight.call.state == "awaiting") {
        Decision decision = awaiting_still(flight);
        add_facts(flight, decision);
        return decision;
    }
    Decision decision = keep(flight, "pending");
    decision.kind = Decision::Kind::learned;
    add_facts(flight, decision);
    return decision;
}

// What was refused may be stored under the key, so the changes need others.
Decision under_new_key(const Flight& flight, std::string_view reason) {
    Decision decision = keep(flight, "pending");
    decision.generation = flight.call.generation + 1;
    decision.tries = 0;
    decision.verifications = 0;
    decision.doubt = false;
    decision.forget_first_sent = true;
    decision.key_final_at = 0;
    decision.reason = reason;
    decision.due_in = Duration{0};
    return decision;
}

}  // namespace

std::string known_facts(const Flight& flight) {
    const auto subscription = core::read_subscription(flight.answer.body);
    return subscription && subscription->items_complete ? core::to_json(*subscription)
                                                        : std::string();
}

void plan_anew_if_harmless(const Flight& flight, Decision& decision) {
    if (flight.call.is_change() && !decision.doubt) {
        decision.state = "pending";
        decision.forget_first_sent = true;
    }
}

bool can_be_planned_anew(const Call& call, const core::Judgement& judgement) {
    return call.is_change() && judgement.reason == "item_missing" && !judgement.doubt_after &&
           call.attempts < most_plans;
}

Decision plan_anew(const Flight& flight, const core::Judgement& judgement) {
    Decision decision = under_new_key(flight, judgement.reason);
    decision.verdict = "again";
    decision.error = judgement.message;
    decision.facts = known_facts(flight);
    decision.facts_as_of = flight.sent_at;
    if (decision.facts.empty()) {
        // Not all of its items were in the answer: when the base is no longer fresh it is read.
        decision.due_in = Duration{std::chrono::milliseconds{pg::settings.base_lifetime_ms}};
    }
    return decision;
}

bool can_be_split(const Call& call, const core::Judgement& judgement) {
    if (!call.is_change() || call.last_id == 0 || (call.splits_left && *call.splits_left <= 1)) {
        return false;
    }
    const bool about_amount = judgement.decline_code == "insufficient_funds" ||
                              judgement.decline_code == "card_velocity_exceeded" ||
                              judgement.decline_code == "withdrawal_count_limit_exceeded" ||
                              judgement.error_code == "amount_too_large";
    return about_amount || (!judgement.is_card_refusal && judgement.param.starts_with("items"));
}

Decision split(const Flight& flight, const core::Judgement& judgement) {
    Decision decision = under_new_key(flight, judgement.reason);
    decision.split = true;
    return decision;
}

Decision change_was_done(Flight& flight) {
    // A replayed answer proves the change, not what is there now.
    if (flight.answer.response.headers.replayed || !take_subscription(flight)) {
        return read_base_next(flight,
                              flight.answer.response.headers.replayed ? "replayed" : "answered");
    }
    Decision decision = finish(flight, "done", {});
    decision.proves_marker = true;
    add_facts(flight, decision);
    return decision;
}

Decision change_still_awaits(Flight& flight) {
    if (take_subscription(flight)) {
        return with_subscription(flight);
    }
    return flight.subscription ? read_items_next(flight) : awaiting_still(flight);
}

Decision change_awaits_payment(Flight& flight) {
    Decision decision = keep(flight, "awaiting");
    decision.reason = "awaiting_payment";
    decision.due_in = std::chrono::minutes{1};
    if (flight.answer.response.headers.replayed || !take_subscription(flight)) {
        decision.due_in = Duration{0};  // a read tells
    } else {
        add_facts(flight, decision);
    }
    return decision;
}

Decision change_is_proven(Flight& flight, std::string_view reason) {
    flight.proven = reason;
    if (flight.purpose != Purpose::read_object || !take_subscription(flight)) {
        return read_base_next(flight, reason);
    }
    return with_subscription(flight);
}

Decision change_went_with_others(Flight& flight) {
    if (take_subscription(flight)) {
        return with_subscription(flight);
    }
    return flight.subscription ? read_items_next(flight) : search_events_next(flight);
}

Decision payment_did_not_come(Flight& flight) {
    // It was waiting for a payment, and now neither waits nor was applied: expired, voided or
    // replaced. Nothing was bought.
    const bool wanted = flight.call.cancelled;
    Decision decision = finish(flight, wanted ? "cancelled" : "refused",
                               wanted ? "invoice_voided" : "payment_did_not_come");
    decision.verdict = "refused";
    decision.facts = known_facts(flight);
    decision.facts_as_of = flight.sent_at;
    return decision;
}

Decision subscription_was_read(Engine& engine, Flight& flight) {
    return base_was_read(engine, flight);
}

// What is known of it decides whether a subscription can have it; see seats_internal.stripe_price.
Decision price_was_read(const Flight& flight) {
    const auto price = core::read_price(flight.answer.body);
    if (!price || !flight.call.path.ends_with("/" + price->id)) {
        core::Judgement unreadable;
        unreadable.message = "the answer is not this price";
        return price_is_missing(flight, unreadable);
    }
    Decision decision = finish(flight, "done", {});
    decision.answer.clear();
    decision.facts = core::to_json(*price);
    decision.facts_as_of = flight.sent_at;
    return decision;
}

// Wrong id, another account's or mode's; or the key may not read prices. That stops nobody: what
// would need the price waits, and says so.
Decision price_is_missing(const Flight& flight, const core::Judgement& judgement) {
    Decision decision = finish(flight, "refused", "not_found");
    decision.verdict = "refused";
    decision.error = judgement.message;
    decision.facts_as_of = flight.sent_at;
    return decision;
}

Decision subscription_is_missing(const Flight& flight, const core::Judgement& judgement) {
    Decision decision = finish(flight, "refused", "not_found");
    decision.verdict = "refused";
    decision.error = judgement.message;
    return decision;
}

namespace {

// An answer, and not what was asked for.
Decision base_is_unreadable(Engine& engine, Flight& flight, std::string message) {
    core::Judgement judgement;
    judgement.verdict = core::Verdict::done;
    judgement.reason = "unreadable";
    judgement.message = std::move(message);
    return base_is_missing(engine, flight, judgement);
}

}  // namespace

Decision base_was_read(Engine& engine, Flight& flight) {
    if (take_subscription(flight)) {
        return with_subscription(flight);
    }
    if (flight.subscription) {
        return read_items_next(flight);
    }
    return base_is_unreadable(engine, flight, "the answer is not the subscription");
}

Decision items_were_read(Engine& engine, Flight& flight) {
    const auto page = core::read_item_page(flight.answer.body);
    if (!page) {
        return base_is_unreadable(engine, flight,
                                  "the answer is not a list of a subscription's items");
    }
    auto& items = flight.subscription->items;
    items.insert(items.end(), page->items.begin(), page->items.end());
    auto& prices = flight.subscription->prices;
    prices.insert(prices.end(), page->prices.begin(), page->prices.end());
    if (page->has_more && !page->last_id.empty() && page->unreadable == 0 &&
        ++flight.pages < most_item_pages * 100 / flight.page_size) {
        flight.cursor = page->last_id;
        return follow_up();
    }
    if (page->has_more || page->unreadable > 0) {
        return base_is_unreadable(engine, flight, "not all of its items can be read");
    }
    flight.subscription->items_complete = true;
    return with_subscription(flight);
}

// It is not there, or something else is. Where nothing is in doubt, that is no question for a
// person: it is read again, and told.
Decision base_is_missing(Engine& engine, Flight& flight, const core::Judgement& judgement) {
    const Call& call = flight.call;
    if (call.is_subscription_read() && judgement.verdict == core::Verdict::refused) {
        return subscription_is_missing(flight, judgement);
    }
    if (call.state == "awaiting" && flight.proven.empty()) {
        return awaiting_still(flight);
    }
    if (call.state == "verifying" && flight.proven.empty()) {
        return search_events_next(flight);
    }
    if (call.doubt && flight.proven.empty() && !call.is_subscription_read()) {
        Decision decision = to_review(flight, "subscription_not_found",
                                      "its subscription cannot be read: " + judgement.message);
        decision.error = judgement.message;
        decision.verdict = "halted";
        return decision;
    }
    return read_of_base_failed(engine, flight, judgement);
}

// It says nothing, and nothing was sent: later again, and whoever looks at the team sees why. A
// change that is proven is done all the same; what is there now is read once more, by itself.
Decision read_of_base_failed(Engine& engine, const Flight& flight,
                             const core::Judgement& judgement) {
    if (flight.call.is_change() && !flight.proven.empty()) {
        Decision decision = proven_done(flight, flight.proven, {});
        decision.answer.clear();
        decision.proves_marker = true;
        decision.journal_kind = {};
        return decision;
    }
    Decision decision = keep(flight, flight.call.is_subscription_read() ? "waiting" : "pending");
    decision.reason = judgement.reason;
    decision.error = judgement.message;
    decision.verdict = core::to_string(judgement.verdict);
    // How often it failed is told by how long it has been tried.
    Call tried = flight.call;
    tried.tries = std::min(flight.call.verifications + 1, most_failed_reads_counted);
    decision.verifications = tried.tries;
    decision.due_in = backoff(engine, tried, judgement);
    // (What only did not come through now is nobody's news, and an outage is told by its breaker.)
    const bool is_passing =
        judgement.verdict == core::Verdict::again && !flight.answer.response.over_limit;
    decision.problem_lasts = tried.tries >= failed_reads_to_tell;
    if (!is_passing || decision.problem_lasts) {
        decision.read_problem =
            judgement.message.empty() ? std::string(judgement.reason) : judgement.message;
    }
    return decision;
}

}  // namespace pg_seats::engine
