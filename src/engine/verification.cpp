// What a read proves about a call whose outcome is unknown. Proof of execution is our marker or an
// event with our key. Proof of the contrary needs two things: the read shows what was before us,
// and the key cannot execute any more.
#include "core/answer.hpp"
#include "core/identity.hpp"
#include "engine/decision.hpp"
#include "engine/halting.hpp"
#include "engine/seats.hpp"

#include "pg/log.hpp"
#include "pg/settings.hpp"

namespace pg_seats::engine {
namespace {

using core::Duration;

constexpr int day_s = 24 * 60 * 60;
constexpr int most_pages = 20;
// Reads that prove nothing, before a person is asked.
constexpr int most_verifications = 6;

// Stripe has stored a failure under the key (seen twice), or forgotten the key: it cannot execute.
bool key_cannot_execute(const Call& call) {
    return older_than(call.key_final_at, pg::settings.final_answer_gap_s) ||
           older_than(call.last_sent_at, day_s);
}

bool key_can_be_sent(const Call& call) {
    return call.key_final_at == 0 && !older_than(call.first_sent_at, pg::settings.key_lifetime_s);
}

}  // namespace

Decision proven_done(const Flight& flight, std::string_view reason, std::string answer) {
    Decision decision = finish(flight, "done", reason);
    if (!answer.empty()) {
        decision.answer = std::move(answer);
    }
    decision.proves_marker = !flight.call.marker.empty() && reason != "proven_by_event";
    decision.journal_kind = "call.proven_done";
    decision.verdict = "done";
    return decision;
}

namespace {

Decision proven_not_executed(const Flight& flight) {
    Decision decision = keep(flight, "pending");
    decision.generation = flight.call.generation + 1;
    decision.tries = 0;
    decision.verifications = 0;
    decision.doubt = false;
    decision.forget_first_sent = true;
    decision.key_final_at = 0;
    decision.reason = "proven_not_executed";
    decision.verdict = "again";
    decision.journal_kind = "call.new_generation";
    if (flight.call.is_change() && flight.purpose == Purpose::read_object) {
        // What the read has shown is the base of the next try, not what stood there before it.
        decision.facts = known_facts(flight);
        decision.facts_as_of = flight.sent_at;
    }
    return decision;
}

}  // namespace

Decision search_events_next(Flight& flight) {
    flight.purpose = Purpose::search_events;
    flight.pages = 0;
    flight.page_size = 100;
    flight.cursor.clear();
    Decision decision;
    decision.kind = Decision::Kind::follow_up;
    return decision;
}

// No proof either way. The same key is safe as long as Stripe remembers it; else a person decides.
Decision inconclusive(Engine& engine, const Flight& flight, std::string_view why) {
    const Call& call = flight.call;
    if (key_can_be_sent(call) && call.verifications < most_verifications) {
        Decision decision = keep(flight, "waiting");
        decision.reason = "not_proven_yet";
        decision.verdict = "unknown";
        decision.error = why;
        decision.due_in = backoff(engine, call, {});
        return decision;
    }
    Decision decision = to_review(flight, "not_proven",
                                  "whether Stripe executed it could not be proven by a read" +
                                      (why.empty() ? std::string() : ": " + std::string(why)));
    decision.error = why;
    decision.verdict = "unknown";
    return decision;
}

namespace {

constexpr std::string_view answer_is_too_large =
    "its answer is larger than pg_seats.response_limit";

// More than an answer may hold. A list is asked for in smaller parts; what is too large as it is
// would be so the next time as well, so that read counts.
Decision answer_was_too_large(Engine& engine, Flight& flight) {
    const bool is_list = flight.purpose == Purpose::search_list ||
                         flight.purpose == Purpose::search_events ||
                         flight.purpose == Purpose::read_items;
    if (is_list && flight.page_size > 1) {
        flight.page_size /= 2;
        Decision decision;
        decision.kind = Decision::Kind::follow_up;
        return decision;
    }
    if (flight.call.state == "awaiting") {
        return awaiting_still(flight);
    }
    switch (flight.purpose) {
        case Purpose::read_object:
        case Purpose::search_list:
            return search_events_next(flight);
        case Purpose::read_missing: {
            Decision decision = to_review(flight, flight.first_answer.reason,
                                          "Stripe says that its object is not there, and whether "
                                          "it is cannot be read: " +
                                              std::string(answer_is_too_large));
            decision.doubt = flight.first_answer.doubt_after;
            decision.verdict = "halted";
            return decision;
        }
        default:
            return inconclusive(engine, flight, answer_is_too_large);
    }
}

// Whether only a base is read, and nothing is in doubt by that.
bool is_base_read(const Flight& flight) {
    const Call& call = flight.call;
    return (flight.purpose == Purpose::read_base || flight.purpose == Purpose::read_items) &&
           (call.is_subscription_read() || !flight.proven.empty() || call.state == "pending");
}

// The read itself did not go through: it says nothing, and does not count.
Decision read_failed(Engine& engine, Flight& flight, const core::Judgement& judgement) {
    if (is_base_read(flight) && !(flight.answer.response.over_limit && flight.page_size > 1 &&
                                  flight.purpose == Purpose::read_items)) {
        return read_of_base_failed(engine, flight, judgement);
    }
    if (flight.answer.response.over_limit) {
        return answer_was_too_large(engine, flight);
    }
    // Not flight.call.state itself: a decision outlives the flight's place in memory.
    const std::string& before = flight.call.state;
    Decision decision = keep(flight, before == "awaiting" ? "awaiting" : "verifying");
    if (before == "sending") {  // the read after a plain 404
        decision.state = "waiting";
        decision.doubt = flight.first_answer.doubt_after;
    } else {
        decision.verifications = flight.call.verifications - 1;
    }
    decision.reason = judgement.reason;
    decision.error = judgement.message;
    decision.verdict = core::to_string(judgement.verdict);
    decision.due_in = backoff(engine, flight.call, judgement);
    return decision;
}

}  // namespace

Decision awaiting_still(const Flight& flight) {
    // At 1 and 10 minutes, then every hour.
    Decision decision = keep(flight, "awaiting");
    decision.reason = "awaiting_payment";
    decision.verdict = "awaiting";
    decision.due_in = flight.call.verifications <= 1 ? Duration{std::chrono::minutes{9}}
                                                     : Duration{std::chrono::hours{1}};
    return decision;
}

namespace {

Decision object_was_read(Flight& flight) {
    const Call& call = flight.call;
    const auto facts = core::read_object(flight.answer.body);
    if (!facts || facts->object == "list") {
        return search_events_next(flight);
    }
    if (core::of_same_change(facts->marker, call.marker)) {
        return call.is_change() ? change_is_proven(flight, "proven_by_marker")
                                : proven_done(flight, "proven_by_marker", {});
    }
    if (core::of_same_change(facts->pending_marker, call.marker)) {
        return call.is_change() ? change_still_awaits(flight) : awaiting_still(flight);
    }
    if (call.is_change() && (core::begins_with_change(facts->marker, call.uuid) ||
                             core::begins_with_change(facts->pending_marker, call.uuid))) {
        return change_went_with_others(flight);
    }
    if (call.state == "awaiting") {
        if (call.is_change()) {
            // Another call than the one before ours: a failover has forgotten what became of ours,
            // and that this one followed it.
            return facts->marker == call.last_lane_marker ? payment_did_not_come(flight)
                                                          : search_events_next(flight);
        }
        // It was waiting for a payment, and now neither waits nor was applied: expired, voided or
        // replaced. Nothing was bought.
        Decision decision = finish(flight, "refused", "payment_did_not_come");
        decision.journal_kind = "call.refused";
        decision.verdict = "refused";
        return decision;
    }
    if (facts->marker == call.last_lane_marker && key_cannot_execute(call)) {
        return proven_not_executed(flight);
    }
    return search_events_next(flight);
}

Decision list_was_read(Flight& flight) {
    const Call& call = flight.call;
    const auto search = core::find_marker_in_list(flight.answer.body, call.marker);
    if (search && search->found) {
        return proven_done(flight, "proven_by_list", search->object_json);
    }
    if (search && search->has_more && ++flight.pages < most_pages) {
        flight.cursor = search->last_id;
        Decision decision;
        decision.kind = Decision::Kind::follow_up;
        return decision;
    }
    if (search && !search->has_more && key_cannot_execute(call)) {
        return proven_not_executed(flight);
    }
    return search_events_next(flight);
}

Decision events_were_read(Engine& engine, Flight& flight) {
    const auto search = core::search_events(flight.answer.body, flight.key, flight.call.marker);
    if (search && (flight.call.marker.empty() ? search->found && !search->tells_failure
                                              : search->has_marker)) {
        return flight.call.is_change()
                   ? change_is_proven(flight, "proven_by_event")
                   : proven_done(flight, "proven_by_event", search->object_json);
    }
    if (search && search->found) {
        // Something was done under the key; whether it succeeded (a card may have been declined, a
        // pending update have expired) is said by a replay, or by a person.
        return inconclusive(engine, flight);
    }
    if (search && search->has_more && ++flight.pages < most_pages) {
        flight.cursor = search->last_id;
        Decision decision;
        decision.kind = Decision::Kind::follow_up;
        return decision;
    }
    return inconclusive(engine, flight);
}

// A plain 404 for our POST: what does a read of the object say?
Decision missing_was_read(Flight& flight, bool found) {
    const core::Judgement& first = flight.first_answer;
    if (found) {
        const auto facts = core::read_object(flight.answer.body);
        if (facts && (facts->deleted || facts->status == "canceled" ||
                      facts->status == "incomplete_expired")) {
            if (first.doubt_after) {
                // The doubt may be of this very exchange, and the row does not know of it yet.
                flight.call.doubt = true;
                ++flight.call.verifications;
                return search_events_next(flight);
            }
            Decision decision = finish(flight, "refused", "object_is_terminal");
            decision.journal_kind = "call.refused";
            decision.verdict = "refused";
            if (flight.call.is_change()) {
                decision.journal_kind = {};
                decision.facts = known_facts(flight);
                decision.facts_as_of = flight.sent_at;
            }
            return decision;
        }
        if (facts && can_be_planned_anew(flight.call, first)) {
            return plan_anew(flight, first);
        }
    }
    Decision decision =
        to_review(flight, first.reason,
                  found ? "Stripe says that the object of a change is not there, "
                          "and shows it to a read"
                        : "Stripe knows no such object: wrong id, or wrong account?");
    decision.doubt = first.doubt_after;
    decision.reason = first.reason;
    decision.verdict = "halted";
    decision.error = first.message;
    return decision;
}

}  // namespace

Decision decide_read(Engine& engine, Flight& flight) {
    const core::Judgement judgement = core::judge({.mutation = false,
                                                   .deletion = false,
                                                   .doubt_before = false,
                                                   .expect_stripe = flight.destination->is_stripe(),
                                                   .livemode = flight.destination->livemode,
                                                   .answer = flight.answer});
    note_health(engine, flight, judgement);
    count(engine.slot.counters.reads);
    const bool found =
        judgement.verdict == core::Verdict::done || judgement.verdict == core::Verdict::awaiting;
    const bool missing = flight.answer.response.status == 404 && !found &&
                         judgement.halt_scope != core::HaltScope::destination;
    if (!found && !missing) {
        if (judgement.halt_scope == core::HaltScope::destination &&
            !may_be_about_everybody(flight, judgement) && flight.purpose != Purpose::read_base &&
            flight.purpose != Purpose::read_items) {
            return inconclusive(engine, flight);  // a key, say, that may not read events
        }
        return read_failed(engine, flight, judgement);
    }
    Decision decision;
    switch (flight.purpose) {
        case Purpose::read_missing:
            decision = missing_was_read(flight, found);
            break;
        case Purpose::read_object:
            decision = found ? object_was_read(flight) : search_events_next(flight);
            break;
        case Purpose::search_list:
            decision = found ? list_was_read(flight) : search_events_next(flight);
            break;
        case Purpose::search_events:
            decision = found ? events_were_read(engine, flight) : inconclusive(engine, flight);
            break;
        case Purpose::read_base:
            decision =
                found ? base_was_read(engine, flight) : base_is_missing(engine, flight, judgement);
            break;
        case Purpose::read_items:
            decision = found ? items_were_read(engine, flight)
                             : base_is_missing(engine, flight, judgement);
            break;
        case Purpose::send:
        case Purpose::list_events:
        case Purpose::probe:
            break;
    }
    if (decision.verdict.empty()) {
        decision.verdict = core::to_string(judgement.verdict);
    }
    return decision;
}

}  // namespace pg_seats::engine
