#include "worker/halting.hpp"

#include <algorithm>
#include <set>

#include "core/answer.hpp"

#include "pg/log.hpp"

namespace pg_seats::worker {
namespace {

constexpr std::size_t lanes_that_make_it_ours = 5;
constexpr core::Duration refusal_window{60'000};
constexpr std::size_t most_remembered_stops = 10'000;
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

}  // namespace

void halt(Destination& destination, std::string_view reason, std::string_view message,
          NeedsPerson needs_person) {
    if (destination.halted) {
        return;
    }
    destination.halted = true;
    destination.halted_needs_person = needs_person == NeedsPerson::yes;
    destination.halt_reason = reason;
    destination.halt_message = core::safe_text(message.empty() ? in_words(reason) : message, 300);
    destination.halt_is_stored = false;
    destination.probe_at = steady_now() + destination.probe_pause;
    pg::log_warning("destination " + destination.name + " is halted (" + destination.halt_reason +
                        "): " + destination.halt_message,
                    "Nothing is refused or undone meanwhile; calls wait. See seats.destinations.");
}

bool stops_everybody(const Flight& flight, const core::Judgement& judgement) {
    Destination& destination = *flight.destination;
    if (destination.halted) {
        return true;  // answers that were under way
    }
    if (destination.stopped_by.size() >= most_remembered_stops) {
        destination.stopped_by.clear();
    }
    return destination.stopped_by.insert(flight.call.id).second ||
           is_everywhere(destination, flight.call, judgement.fingerprint, true, judgement.message);
}

bool is_everywhere(Destination& destination, const Call& call, std::string_view fingerprint,
                   bool goes_to_review, std::string_view message) {
    if (destination.halted && destination.halt_fingerprint == fingerprint) {
        return true;  // answers that were under way when it was halted
    }
    const TimePoint now = steady_now();
    while (!destination.refusals.empty() &&
           destination.refusals.front().at < now - refusal_window) {
        destination.refusals.pop_front();
    }
    destination.refusals.push_back({std::string(fingerprint),
                                    call.lane_id != 0 ? call.lane_id : -call.id, call.id,
                                    goes_to_review, now});
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
        if (refusal.fingerprint == fingerprint && refusal.in_review && refusal.call_id != call.id) {
            destination.take_back.push_back(refusal.call_id);
        }
    }
    destination.refusals.clear();
    destination.halt_fingerprint = fingerprint;
    halt(destination, "same_refusal_in_many_lanes", message, NeedsPerson::yes);
    destination.halt_is_stored = false;  // also if it was halted already: some calls are taken back
    return true;
}

void note_clock(const Flight& flight) {
    Destination& destination = *flight.destination;
    if (!flight.response.headers.date || !destination.is_stripe()) {
        return;
    }
    // It was made between sending and now: we may have stood still for long.
    const std::chrono::seconds offset = std::chrono::duration_cast<std::chrono::seconds>(
        *flight.response.headers.date - std::chrono::system_clock::now());
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
        pg::log_warning("destination " + destination.name +
                        " does not answer: sending is interrupted, a read tries it from time to "
                        "time. Last: " +
                        core::safe_text(judgement.message, 200));
        engine.announce = true;
    }
}

}  // namespace pg_seats::worker
