// What a read proves about a call whose outcome is unknown. Proof of execution is our marker or an
// event with our key. Proof of the contrary needs two things: the read shows what was before us,
// and the key cannot execute any more.
#include "core/deciding.hpp"
#include "core/identity.hpp"

namespace pg_seats::core {
namespace {

bool key_is_forgotten(const Situation& situation) {
    return older_than(situation, situation.call.last_sent_at, situation.policy.key_forgotten_s);
}

// Stripe has stored a failure under the key (seen twice), or forgotten the key: it cannot execute.
bool key_cannot_execute(const Situation& situation) {
    const Call& call = situation.call;
    return older_than(situation, call.key_final_at, situation.policy.final_answer_gap_s) ||
           key_is_forgotten(situation);
}

bool key_can_be_sent(const Situation& situation) {
    const Call& call = situation.call;
    return call.key_final_at == 0 &&
           !older_than(situation, call.first_sent_at, situation.policy.key_lifetime_s);
}

Decision proven_not_executed(const Situation& situation) {
    Decision decision = under_new_key(situation, "proven_not_executed");
    decision.verdict = Verdict::again;
    decision.journal = JournalKind::new_generation;
    if (situation.rules.add_facts != nullptr && situation.leg.purpose == Purpose::read_object) {
        // What the read has shown is the base of the next try, not what stood there before it.
        situation.rules.add_facts(situation, decision);
    }
    return decision;
}

// Looked for until Stripe has forgotten the key; then nobody asks a person.
Decision keep_looking(Situation& situation, std::string_view why) {
    Decision decision =
        keep(situation, key_can_be_sent(situation) ? State::waiting : State::verifying);
    decision.doubt = true;
    decision.reason = "not_proven_yet";
    decision.verdict = Verdict::unknown;
    decision.error = why;
    decision.due_in = decision.state == State::waiting
                          ? backoff(situation, situation.call.tries, {})
                          : situation.policy.pause_between_looks;
    return decision;
}

// No proof either way. The same key is safe as long as Stripe remembers it; else a person decides.
Decision inconclusive(Situation& situation, std::string_view why = {}) {
    if (situation.rules.when_key_is_forgotten != nullptr) {
        return key_is_forgotten(situation) ? situation.rules.when_key_is_forgotten(situation)
                                           : keep_looking(situation, why);
    }
    // What a plain 404 has left in doubt the row does not know of yet.
    const Leg& leg = situation.leg;
    const bool doubt =
        situation.is_in_doubt() || (leg.purpose == Purpose::read_missing && leg.first.doubt_after);
    if (key_can_be_sent(situation) &&
        situation.verifications() < situation.policy.most_verifications) {
        Decision decision = keep(situation, State::waiting);
        decision.doubt = doubt;
        decision.reason = "not_proven_yet";
        decision.verdict = Verdict::unknown;
        decision.error = why;
        decision.due_in = backoff(situation, situation.call.tries, {});
        return decision;
    }
    Decision decision = to_review(situation, "not_proven",
                                  "whether Stripe executed it could not be proven by a read" +
                                      (why.empty() ? std::string() : ": " + std::string(why)));
    decision.doubt = doubt;
    decision.error = why;
    decision.verdict = Verdict::unknown;
    return decision;
}

constexpr std::string_view answer_is_too_large =
    "its answer is larger than pg_seats.response_limit";

// More than an answer may hold. A list is asked for in smaller parts; what is too large as it is
// would be so the next time as well, so that read counts.
Decision answer_was_too_large(Situation& situation) {
    Leg& leg = situation.leg;
    const bool is_list = leg.purpose == Purpose::search_list ||
                         leg.purpose == Purpose::search_events ||
                         leg.purpose == Purpose::read_items;
    if (is_list && leg.page_size > 1) {
        leg.page_size /= 2;
        return ask(situation);
    }
    if (situation.call.state == State::awaiting) {
        return awaiting_still(situation);
    }
    switch (leg.purpose) {
        case Purpose::read_object:
        case Purpose::search_list:
            return search_events_next(situation);
        case Purpose::read_missing: {
            Decision decision = to_review(situation, leg.first.reason,
                                          "Stripe says that its object is not there, and whether "
                                          "it is cannot be read: " +
                                              std::string(answer_is_too_large));
            decision.doubt = leg.first.doubt_after;
            decision.verdict = Verdict::halted;
            return decision;
        }
        default:
            return inconclusive(situation, answer_is_too_large);
    }
}

// Whether only a base is read, and nothing is in doubt by that.
bool is_base_read(const Situation& situation) {
    const Leg& leg = situation.leg;
    return (leg.purpose == Purpose::read_base || leg.purpose == Purpose::read_items) &&
           (situation.rules.reads_subscription || !leg.proven.empty() ||
            situation.call.state == State::pending);
}

// The read itself did not go through: it says nothing, and does not count.
Decision read_failed(Situation& situation) {
    const Leg& leg = situation.leg;
    const Judgement& judgement = situation.judgement;
    const bool over_limit = situation.answer.response.over_limit;
    if (is_base_read(situation) &&
        !(over_limit && leg.page_size > 1 && leg.purpose == Purpose::read_items)) {
        return base_not_read(situation, judgement);
    }
    if (over_limit) {
        return answer_was_too_large(situation);
    }
    const State before = situation.call.state;
    Decision decision =
        keep(situation, before == State::awaiting ? State::awaiting : State::verifying);
    if (before == State::sending) {  // the read after a plain 404
        decision.state = State::waiting;
        decision.doubt = leg.first.doubt_after;
    } else {
        decision.verifications = situation.verifications() - 1;
    }
    if (situation.rules.is_proven_by_list && leg.purpose == Purpose::search_list) {
        decision.list_cursor = leg.cursor;
    }
    decision.reason = judgement.reason;
    decision.error = judgement.message;
    decision.verdict = judgement.verdict;
    decision.due_in = backoff(situation, situation.call.tries, judgement.retry_after);
    return decision;
}

// Of what is no kind with rules of its own.
Decision object_was_looked_at(Situation& situation, const ObjectFacts& facts) {
    const Call& call = situation.call;
    if (of_same_change(facts.marker, call.marker)) {
        return proven_done(situation, "proven_by_marker");
    }
    if (of_same_change(facts.pending_marker, call.marker)) {
        return awaiting_still(situation);
    }
    if (call.state == State::awaiting) {
        // It was waiting for a payment, and now neither waits nor was applied: expired, voided or
        // replaced. Nothing was bought.
        Decision decision = finish(situation, Result::refused, "payment_did_not_come");
        decision.journal = JournalKind::refused;
        decision.verdict = Verdict::refused;
        return decision;
    }
    return object_shows_nothing(situation, facts);
}

Decision object_was_read(Situation& situation) {
    const auto facts = read_object(situation.answer.body);
    if (!facts || facts->object == "list") {
        return search_events_next(situation);
    }
    return situation.rules.object != nullptr ? situation.rules.object(situation, *facts)
                                             : object_was_looked_at(situation, *facts);
}

Decision next_page(Situation& situation, const std::string& last_id) {
    situation.leg.cursor = last_id;
    return ask(situation);
}

// A long list: others have their turn in between, and a worker that ends does not begin anew.
Decision look_further(const Situation& situation, const std::string& last_id) {
    Decision decision = keep(situation, State::verifying);
    decision.verifications = situation.verifications() - 1;
    decision.reason = "not_proven_yet";
    decision.verdict = Verdict::unknown;
    decision.list_cursor = last_id;
    decision.due_in = situation.policy.retry_first;
    return decision;
}

Decision list_was_read(Situation& situation) {
    const auto search = find_marker_in_list(situation.answer.body, situation.call.marker);
    if (search && search->found) {
        return situation.rules.in_list != nullptr
                   ? situation.rules.in_list(situation, std::move(search->object_json))
                   : proven_done(situation, "proven_by_list", search->object_json);
    }
    if (search && search->has_more && !search->last_id.empty()) {
        if (++situation.leg.pages < situation.policy.most_pages) {
            return next_page(situation, search->last_id);
        }
        if (situation.rules.is_proven_by_list) {
            return look_further(situation, search->last_id);
        }
    }
    if (search && search->is_whole && key_cannot_execute(situation) &&
        (situation.rules.when_key_is_forgotten == nullptr || !key_is_forgotten(situation))) {
        return proven_not_executed(situation);
    }
    return search_events_next(situation);
}

Decision events_were_read(Situation& situation) {
    const Call& call = situation.call;
    const std::string key = idempotency_key(call.installation, call.uuid, call.generation);
    const auto search = search_events(situation.answer.body, key, call.marker);
    if (search &&
        (call.marker.empty() ? search->found && !search->tells_failure : search->has_marker)) {
        return situation.rules.by_event != nullptr
                   ? situation.rules.by_event(situation)
                   : proven_done(situation, "proven_by_event", search->object_json);
    }
    if (search && search->found) {
        // Something was done under the key; whether it succeeded (a card may have been declined, a
        // pending update have expired) is said by a replay, or by a person.
        return inconclusive(situation);
    }
    if (search && search->has_more && ++situation.leg.pages < situation.policy.most_pages) {
        return next_page(situation, search->last_id);
    }
    return inconclusive(situation);
}

bool is_over(const ObjectFacts& facts) {
    return facts.deleted || facts.status == "canceled" || facts.status == "incomplete_expired";
}

Decision object_is_over(Situation& situation) {
    if (situation.leg.first.doubt_after) {
        situation.leg.doubted = true;
        return search_events_next(situation);
    }
    const Rules& rules = situation.rules;
    Decision decision = finish(situation, Result::refused, "object_is_terminal");
    decision.journal = rules.has_own_journal ? JournalKind::none : JournalKind::refused;
    decision.verdict = Verdict::refused;
    if (rules.add_facts != nullptr) {
        rules.add_facts(situation, decision);
    }
    return decision;
}

// A plain 404 for our POST: what does a read of the object say?
Decision missing_was_read(Situation& situation, bool found) {
    const Judgement first = situation.leg.first;
    if (const auto facts = found ? read_object(situation.answer.body) : std::nullopt) {
        if (is_over(*facts)) {
            return object_is_over(situation);
        }
        if (situation.rules.object_is_there != nullptr) {
            if (auto decision = situation.rules.object_is_there(situation)) {
                return *std::move(decision);
            }
        }
    }
    Decision decision =
        to_review(situation, first.reason,
                  found ? "Stripe says that the object of a change is not there, "
                          "and shows it to a read"
                        : "Stripe knows no such object: wrong id, or wrong account?");
    decision.doubt = first.doubt_after;
    decision.verdict = Verdict::halted;
    decision.error = first.message;
    return decision;
}

Decision answer_was_read(Situation& situation, bool found) {
    switch (situation.leg.purpose) {
        case Purpose::read_missing:
            return missing_was_read(situation, found);
        case Purpose::read_object:
            return found ? object_was_read(situation) : search_events_next(situation);
        case Purpose::search_list:
            return found ? list_was_read(situation) : search_events_next(situation);
        case Purpose::search_events:
            return found ? events_were_read(situation) : inconclusive(situation);
        case Purpose::read_base:
            return found ? base_was_read(situation)
                         : base_is_missing(situation, situation.judgement);
        case Purpose::read_items:
            return found ? items_were_read(situation)
                         : base_is_missing(situation, situation.judgement);
        case Purpose::send:
        case Purpose::list_events:
        case Purpose::probe:
            break;
    }
    return {};  // not of a row
}

Decision by_verdict(Situation& situation) {
    const Judgement& judgement = situation.judgement;
    const bool is_about_destination = judgement.halt_scope == HaltScope::destination;
    const bool found = judgement.verdict == Verdict::done || judgement.verdict == Verdict::awaiting;
    const bool missing = situation.answer.response.status == 404 && !found && !is_about_destination;
    if (found || missing) {
        return answer_was_read(situation, found);
    }
    if (is_about_destination && !may_be_about_everybody(situation) &&
        situation.leg.purpose != Purpose::read_base &&
        situation.leg.purpose != Purpose::read_items) {
        return inconclusive(situation);  // a key, say, that may not read events
    }
    return read_failed(situation);
}

}  // namespace

Decision decide_read(Situation& situation) {
    situation.effects.count = Counter::reads;
    Decision decision = by_verdict(situation);
    if (!decision.verdict) {
        decision.verdict = situation.judgement.verdict;
    }
    return decision;
}

Decision proven_done(const Situation& situation, std::string_view reason, std::string answer) {
    Decision decision = finish(situation, Result::done, reason);
    if (!answer.empty()) {
        decision.answer = std::move(answer);
    }
    decision.proves_marker = !situation.call.marker.empty() && reason != "proven_by_event";
    decision.journal = JournalKind::proven_done;
    decision.verdict = Verdict::done;
    return decision;
}

Decision search_events_next(Situation& situation) {
    if (situation.rules.is_proven_by_list) {
        return inconclusive(situation);
    }
    begin_list(situation.leg, Purpose::search_events);
    return ask(situation);
}

Decision awaiting_still(const Situation& situation) {
    // At 1 and 10 minutes, then every hour.
    Decision decision = keep(situation, State::awaiting);
    decision.reason = "awaiting_payment";
    decision.verdict = Verdict::awaiting;
    decision.due_in = situation.verifications() <= 1 ? Duration{std::chrono::minutes{9}}
                                                     : Duration{std::chrono::hours{1}};
    return decision;
}

Decision object_shows_nothing(Situation& situation, const ObjectFacts& facts) {
    if (facts.marker == situation.call.last_lane_marker && key_cannot_execute(situation)) {
        return proven_not_executed(situation);
    }
    return search_events_next(situation);
}

}  // namespace pg_seats::core
