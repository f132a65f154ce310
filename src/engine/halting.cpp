#include "engine/halting.hpp"

#include <algorithm>
#include <iterator>

#include "core/answer.hpp"

#include "pg/log.hpp"

namespace pg_seats::engine {
namespace {

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

pg_atomic_uint64& counter_of(Engine& engine, core::Counter counter) {
    pg::WorkerCounters& counters = engine.slot.counters;
    switch (counter) {
        case core::Counter::done:
            return counters.done;
        case core::Counter::refused:
            return counters.refused;
        case core::Counter::again:
            return counters.again;
        case core::Counter::unknown:
            return counters.unknown;
        case core::Counter::halted:
            return counters.halted;
        case core::Counter::reads:
            break;
    }
    return counters.reads;
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

void apply(Engine& engine, const Flight& flight, const core::Effects& effects) {
    Destination& destination = *flight.destination;
    core::Mistakes& mistakes = destination.mistakes;
    if (effects.question) {
        mistakes.ask(flight.call.id);
    }
    if (effects.wants_probe) {
        destination.probe_is_wanted = true;
    }
    if (effects.refusal) {
        mistakes.note(*effects.refusal);
    }
    if (effects.is_everywhere) {
        std::ranges::copy(mistakes.take_back(*effects.refusal),
                          std::back_inserter(destination.take_back));
    }
    if (effects.halt) {
        halt(destination, effects.halt->reason, effects.halt->message,
             effects.halt->needs_person ? NeedsPerson::yes : NeedsPerson::no);
    }
    if (effects.is_everywhere) {
        destination.halt_is_stored = false;  // also if it was halted already: calls are taken back
    }
    if (effects.count) {
        count(counter_of(engine, *effects.count));
    }
    for (const core::LogLine& line : effects.log) {
        pg::log_warning(line.text, line.hint);
    }
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
