#include "engine/decision.hpp"

#include "core/answer.hpp"
#include "core/identity.hpp"
#include "engine/delivery.hpp"
#include "engine/halting.hpp"
#include "engine/seats.hpp"

#include "pg/log.hpp"
#include "pg/settings.hpp"

namespace pg_seats::engine {
namespace {

using core::Duration;
using core::Verdict;

// After so many tries in doubt a read is the better way to learn what happened.
constexpr int tries_before_verifying = 4;
// So long waits a call whose answer speaks of the whole destination; a probe tells meanwhile.
constexpr Duration pause_for_probe{500};

// May have been executed: the same key a few times, then proof by a read.
Decision in_doubt(Engine& engine, const Flight& flight, const core::Judgement& judgement) {
    const Call& call = flight.call;
    Decision decision = keep(flight, "waiting");
    decision.doubt = true;
    decision.reason = judgement.reason;
    if (judgement.key_is_final) {
        // Stripe will never say anything else under this key. Seen twice, some time apart, because
        // the first request may still have been running behind the first replay.
        const std::chrono::seconds gap{pg::settings.final_answer_gap_s};
        if (call.key_final_at == 0) {
            decision.key_final_at = pg::now();
            decision.due_in = gap;
        } else if (older_than(call.key_final_at, pg::settings.final_answer_gap_s)) {
            decision.state = "verifying";
            decision.due_in = Duration{0};
        } else {  // somebody was impatient
            const std::chrono::microseconds passed{pg::now() - call.key_final_at};
            decision.due_in = std::chrono::ceil<Duration>(gap - passed);
        }
        return decision;
    }
    const bool verify = call.tries >= tries_before_verifying ||
                        older_than(call.first_sent_at, pg::settings.verify_after_silence_s) ||
                        older_than(call.first_sent_at, pg::settings.key_lifetime_s);
    if (verify) {
        decision.state = "verifying";
        decision.due_in = Duration{0};
    } else {
        decision.due_in = backoff(engine, call, judgement);
    }
    return decision;
}

// Provably not executed now.
Decision try_again(Engine& engine, const Flight& flight, const core::Judgement& judgement) {
    const Call& call = flight.call;
    Decision decision = keep(flight, "waiting");
    decision.reason = judgement.reason;
    decision.doubt = judgement.doubt_after;
    decision.due_in = backoff(engine, call, judgement);
    if (!flight.answer.response.sent) {
        decision.tries = call.tries - 1;
        decision.attempts = call.attempts - 1;
        if (decision.tries <= 0 && !call.doubt) {
            // No byte was ever sent under this key: thawed, as if it had not been claimed.
            decision.state = "pending";
            decision.forget_first_sent = true;
            decision.tries = 0;
        }
    }
    if (call.is_preview()) {
        ++decision.generation;  // its key may have a stored failure, and is there for nothing else
    }
    plan_anew_if_harmless(flight, decision);
    return decision;
}

// Our own mistake or configuration: no attempt is spent, and the row keeps its place.
Decision hold(const Flight& flight, const core::Judgement& judgement) {
    Decision decision = keep(flight, "waiting");
    decision.reason = judgement.reason;
    decision.doubt = judgement.doubt_after;
    decision.tries = flight.call.tries - 1;
    decision.attempts = flight.call.attempts - 1;
    if (!decision.doubt && decision.tries <= 0) {
        // As if it had not been claimed: the key's life begins with the first try that may have
        // done something, and who wants it back need not wait for the end of the halt.
        decision.state = "pending";
        decision.forget_first_sent = true;
    }
    plan_anew_if_harmless(flight, decision);
    if (!flight.destination->halted) {
        decision.due_in = pause_for_probe;
    }
    return decision;
}

// Whoever may not read prices, or asks for one that is not there, may do anything else.
bool is_about_this_call(int status) {
    return status == 400 || status == 403 || status == 404;
}

Decision halted(Engine& engine, Flight& flight, const core::Judgement& judgement) {
    Destination& destination = *flight.destination;
    if (flight.call.is_price_read() && is_about_this_call(flight.answer.response.status)) {
        return price_is_missing(flight, judgement);
    }
    if (judgement.halt_scope == core::HaltScope::destination &&
        may_be_about_everybody(flight, judgement)) {
        return hold(flight, judgement);
    }
    if (flight.call.is_preview()) {
        // It changes nothing: there is nothing that a person would have to decide.
        Decision decision = finish(flight, "refused", judgement.reason);
        decision.journal_kind = "call.refused";
        return decision;
    }
    if (judgement.halt_scope == core::HaltScope::destination &&
        !flight.call.is_subscription_read()) {
        Decision decision =
            to_review(flight, judgement.reason,
                      "Stripe turns this call away and answers others: " + judgement.message);
        decision.doubt = judgement.doubt_after;
        return decision;
    }
    if (judgement.needs_read) {
        flight.first_answer = judgement;
        flight.first_status = flight.answer.response.status;
        flight.first_request_id = flight.answer.response.headers.request_id;
        flight.purpose = Purpose::read_missing;
        Decision decision;
        decision.kind = Decision::Kind::follow_up;
        return decision;
    }
    if (judgement.halt_scope != core::HaltScope::destination &&
        is_our_mistake(destination, flight.call, judgement)) {
        return hold(flight, judgement);
    }
    if (flight.call.is_subscription_read()) {
        return read_of_base_failed(engine, flight, judgement);
    }
    Decision decision =
        to_review(flight, judgement.reason,
                  "Stripe did not accept the form of the request: " + judgement.message);
    decision.doubt = judgement.doubt_after;
    decision.alert->fingerprint = "form:" + destination.name + ":" + judgement.fingerprint;
    return decision;
}

Decision refused(Flight& flight, const core::Judgement& judgement) {
    if (flight.call.is_subscription_read()) {
        return subscription_is_missing(flight, judgement);
    }
    if (flight.call.is_price_read()) {
        return price_is_missing(flight, judgement);
    }
    if (can_be_split(flight.call, judgement)) {
        return split(flight, judgement);
    }
    Decision decision = finish(flight, "refused", judgement.reason);
    decision.journal_kind = flight.call.is_change() ? "" : "call.refused";
    return decision;
}

Decision done(Engine& engine, Flight& flight) {
    if (flight.call.is_change()) {
        return change_was_done(flight);
    }
    if (flight.call.is_subscription_read()) {
        return subscription_was_read(engine, flight);
    }
    if (flight.call.is_price_read()) {
        return price_was_read(flight);
    }
    Decision decision = finish(
        flight, "done", flight.answer.response.headers.replayed ? "replayed" : std::string_view{});
    decision.proves_marker = !flight.call.marker.empty();
    return decision;
}

// Executed, but Stripe waits for a payment. Only a call that names its object can be followed; for
// any other the pending update is part of an answer that means what its caller makes of it.
Decision awaiting(Engine& engine, Flight& flight) {
    if (flight.call.is_change()) {
        return change_awaits_payment(flight);
    }
    if (flight.call.verifier != "object") {
        return done(engine, flight);
    }
    Decision decision = keep(flight, "awaiting");
    decision.reason = "awaiting_payment";
    decision.due_in = std::chrono::minutes{1};
    decision.journal_kind = "call.awaiting_payment";
    return decision;
}

}  // namespace

bool older_than(TimestampTz moment, int seconds) {
    return moment != 0 && pg::now() - moment > static_cast<TimestampTz>(seconds) * USECS_PER_SEC;
}

Duration backoff(Engine& engine, const Call& call, const core::Judgement& judgement) {
    const core::Backoff rules{Duration{pg::settings.retry_delay_ms},
                              Duration{pg::settings.retry_delay_limit_ms}};
    return rules.delay(std::max(call.tries, 1), engine.random_share(), judgement.retry_after);
}

Decision keep(const Flight& flight, std::string_view state) {
    Decision decision;
    decision.kind = Decision::Kind::change;
    decision.state = state;
    decision.doubt = flight.call.doubt;
    decision.tries = flight.call.tries;
    decision.attempts = flight.call.attempts;
    decision.generation = flight.call.generation;
    decision.verifications = flight.call.verifications;
    decision.key_final_at = flight.call.key_final_at;
    return decision;
}

Decision finish(const Flight& flight, std::string_view result, std::string_view reason) {
    Decision decision;
    decision.kind = Decision::Kind::finish;
    decision.result = result;
    decision.reason = reason;
    decision.generation = flight.call.generation;
    decision.attempts = flight.call.attempts;
    decision.answer = core::strip_secrets(flight.answer.response.body, flight.answer.body);
    decision.clean = flight.purpose == Purpose::send && flight.call.attempts == 1 &&
                     !flight.answer.response.headers.replayed;
    return decision;
}

Decision to_review(const Flight& flight, std::string_view reason, std::string_view what_happened) {
    Decision decision = keep(flight, "review");
    decision.reason = reason;
    decision.journal_kind = "call.review";
    decision.alert = Alert{
        "review:" + std::to_string(flight.call.id), "critical", "review",
        flight.call.method + " " + flight.call.path + " (call " + std::to_string(flight.call.id) +
            ") needs a person: " + std::string(what_happened),
        "See seats.reviews; SELECT seats.explain_call(" + std::to_string(flight.call.id) +
            ") tells more, seats.resolve_review settles it."};
    return decision;
}

Decision decide_sent(Engine& engine, Flight& flight) {
    const Call& call = flight.call;
    const core::Judgement judgement =
        core::judge({.mutation = call.is_mutation(),
                     .deletion = call.method == "DELETE",
                     .doubt_before = call.doubt && !call.is_delivery(),
                     .expect_stripe = flight.destination->is_stripe(),
                     .livemode = flight.destination->livemode,
                     .answer = flight.answer});
    note_health(engine, flight, judgement);
    if (call.is_delivery()) {
        return decide_delivery(engine, flight, judgement);
    }
    Decision decision;
    switch (judgement.verdict) {
        case Verdict::done:
            decision = done(engine, flight);
            count(engine.slot.counters.done);
            break;
        case Verdict::awaiting:
            decision = awaiting(engine, flight);
            break;
        case Verdict::refused:
            decision = refused(flight, judgement);
            count(engine.slot.counters.refused);
            break;
        case Verdict::again:
            decision = try_again(engine, flight, judgement);
            count(engine.slot.counters.again);
            break;
        case Verdict::unknown:
            decision = in_doubt(engine, flight, judgement);
            count(engine.slot.counters.unknown);
            break;
        case Verdict::halted:
            decision = halted(engine, flight, judgement);
            count(engine.slot.counters.halted);
            break;
    }
    decision.verdict = core::to_string(judgement.verdict);
    if (decision.error.empty()) {
        decision.error = judgement.message;
    }
    decision.error_code = judgement.error_code;
    decision.decline_code = judgement.decline_code;
    return decision;
}

}  // namespace pg_seats::engine
