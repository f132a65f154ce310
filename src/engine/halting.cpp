#include "engine/halting.hpp"

#include <algorithm>
#include <set>

#include "core/answer.hpp"

#include "pg/log.hpp"

namespace pg_seats::engine {
namespace {

constexpr std::size_t lanes_that_make_it_ours = 5;
constexpr core::Duration refusal_window{60'000};
constexpr std::size_t most_questions = 10'000;
constexpr std::chrono::seconds most_clock_offset{60};
// One alone may have lain about while we stood still.
constexpr int answers_that_prove = 3;

// Where the answer has no words of its own.
std::string_view in_words(std::string_view reason) {
    if (reason == "redirect") {
        return "it answered with a redirect, and none is followed: is the base URL right?";
    }
    if (reason == "not_stripe") {
        return "the answer is not Stripe's: a proxy or a portal stands before it";
    }
    return reason;
}

// What applications enqueue says what they (and their users) want, so nothing of it stops others.
// What is in our own requests comes from us, but for the ids that a team was registered with.
bool only_we_can_have_caused(const Call& call, const core::Judgement& judgement) {
    if (call.kind == "call" || call.is_delivery()) {
        return false;
    }
    if (judgement.halt_scope == core::HaltScope::destination) {
        return judgement.reason != "mode_mismatch" && judgement.reason != "account_mismatch";
    }
    return judgement.reason == "unknown_parameter" || judgement.reason == "unrecognized_path";
}

}  // namespace

void halt(Destination& destination, std::string_view reason, std::string_view message,
          NeedsPerson needs_person) {
    std::string words = core::safe_text(message.empty() ? in_words(reason) : message, 300);
    if (reason == "unauthorized" || reason == "forbidden" || reason == "mode_mismatch") {
        words += " (the key is in file " + destination.secret_name + ")";
    }
    if (destination.halted) {
        const bool is_known =
            destination.halt_reason == reason && destination.halt_message == words;
        // Only a person ends a halt that needs one: he is to read what he has to put right.
        if (is_known || (destination.halted_needs_person && needs_person == NeedsPerson::no)) {
            return;
        }
    } else {
        destination.probe_at = steady_now() + destination.probe_pause;
    }
    destination.halted = true;
    destination.halted_needs_person = needs_person == NeedsPerson::yes;
    destination.halt_reason = reason;
    destination.halt_message = words;
    destination.halt_is_stored = false;
    pg::log_warning("destination " + destination.name + " is halted (" + destination.halt_reason +
                        "): " + destination.halt_message,
                    "Nothing is refused or undone meanwhile; calls wait. See seats.destinations.");
}

bool may_be_about_everybody(const Flight& flight, const core::Judgement& judgement) {
    Destination& destination = *flight.destination;
    if (destination.halted) {
        return true;  // answers that were under way
    }
    if (destination.questioned.size() >= most_questions) {
        destination.questioned.clear();
    }
    const auto [question, is_new] =
        destination.questioned.try_emplace(flight.call.id, destination.probes_passed);
    if (is_new && flight.answer.response.status >= 200 && flight.answer.response.status < 300) {
        // It was executed, in a mode that a probe does not show: not one more.
        halt(destination, judgement.reason, judgement.message, NeedsPerson::no);
        return true;
    }
    if (is_new || question->second == destination.probes_passed) {
        destination.probe_is_wanted = true;
        return true;
    }
    return is_our_mistake(destination, flight.call, judgement);
}

bool is_our_mistake(Destination& destination, const Call& call, const core::Judgement& judgement) {
    if (!only_we_can_have_caused(call, judgement)) {
        return false;
    }
    const TimePoint now = steady_now();
    const std::string& fingerprint = judgement.fingerprint;
    if (destination.mistake == fingerprint &&
        (destination.halted || now < destination.resumed_at + refusal_window)) {
        // An answer that was under way when it was halted, or nothing was put right since.
        halt(destination, "same_refusal_in_many_lanes", judgement.message, NeedsPerson::yes);
        return true;
    }
    while (!destination.refusals.empty() &&
           destination.refusals.front().at < now - refusal_window) {
        destination.refusals.pop_front();
    }
    destination.refusals.push_back(
        {fingerprint, call.busy_lane() != 0 ? call.busy_lane() : -call.id, call.id, now});
    std::set<std::int64_t> lanes;
    for (const auto& refusal : destination.refusals) {
        if (refusal.fingerprint == fingerprint) {
            lanes.insert(refusal.lane_or_call);
        }
    }
    if (lanes.size() < lanes_that_make_it_ours) {
        return false;
    }
    for (const auto& refusal : destination.refusals) {
        if (refusal.fingerprint == fingerprint && refusal.call_id != call.id) {
            destination.take_back.push_back(refusal.call_id);
        }
    }
    destination.refusals.clear();
    destination.mistake = fingerprint;
    halt(destination, "same_refusal_in_many_lanes", judgement.message, NeedsPerson::yes);
    destination.halt_is_stored = false;  // also if it was halted already: some calls are taken back
    return true;
}

void resumed_by_person(Destination& destination) {
    destination.refusals.clear();
    destination.resumed_at = steady_now();
}

void note_clock(const Flight& flight) {
    Destination& destination = *flight.destination;
    if (!flight.answer.response.headers.date || !destination.is_stripe()) {
        return;
    }
    // It was made between sending and now: we may have stood still for long.
    const std::chrono::seconds offset = std::chrono::duration_cast<std::chrono::seconds>(
        *flight.answer.response.headers.date - std::chrono::system_clock::now());
    const std::chrono::seconds waited{(pg::now() - flight.sent_at) / USECS_PER_SEC};
    const bool is_off = offset > most_clock_offset || offset < -most_clock_offset - waited;
    destination.answers_off = is_off ? destination.answers_off + 1 : 0;
    if (is_off && destination.answers_off < answers_that_prove) {
        return;
    }
    if (destination.clock_is_off != is_off || !destination.clock_was_compared) {
        destination.clock_is_stored = false;
    }
    destination.clock_offset = offset;
    destination.clock_is_off = is_off;
    destination.clock_was_compared = true;
}

void note_health(Engine& engine, const Flight& flight, const core::Judgement& judgement) {
    Destination& destination = *flight.destination;
    note_clock(flight);
    const TimePoint now = steady_now();
    if (judgement.slow_down) {
        destination.bucket.slow_down(now);
    }
    if (!judgement.counts_for_breaker) {
        destination.breaker.succeeded();
    } else if (destination.breaker.failed(now)) {
        destination.trouble = core::safe_text(judgement.message, 150);
        pg::log_warning("destination " + destination.name +
                        " does not answer: sending is interrupted, a read tries it from time to "
                        "time. Last: " +
                        core::safe_text(judgement.message, 200));
        engine.announce = true;
    }
}

}  // namespace pg_seats::engine
