#include "engine/probes.hpp"

#include <algorithm>

#include "core/objects.hpp"
#include "core/safe_text.hpp"
#include "engine/halts.hpp"
#include "engine/health.hpp"

#include "pg/log.hpp"

namespace pg_seats::engine {
namespace {

using core::Duration;

constexpr Duration longest_probe_pause{60'000};
constexpr int failed_probes_that_alert = 3;

// Neither our key nor our configuration, it seems: it cannot be reached, or has trouble itself.
void cannot_be_reached(Destination& destination, const Flight& flight,
                       const core::Judgement& judgement) {
    destination.trouble = core::safe_text(
        judgement.message.empty() ? "HTTP status " + std::to_string(flight.answer.response.status)
                                  : judgement.message,
        150);
    if (destination.proven || destination.halted) {
        return;  // then the breaker tells, or the halt
    }
    if (++destination.probes_failed == 1) {
        pg::log_warning("destination " + destination.name + " cannot be used yet: GET " +
                            destination.base_url + destination.probe_path + ": " +
                            destination.trouble,
                        "Calls wait. It is tried again by itself; see seats.destinations.");
    } else if (destination.probes_failed == failed_probes_that_alert) {
        destination.trouble_is_told = false;
    }
}

void probe_failed(Destination& destination, TimePoint now) {
    destination.probe_pause =
        std::min(std::max(destination.probe_pause * 2, first_probe_pause), longest_probe_pause);
    destination.probe_at = now + destination.probe_pause;
}

}  // namespace

void due_probes(Engine& engine) {
    const TimePoint now = steady_now();
    for (auto& [name, destination] : engine.destinations) {
        if (destination.probe_out || destination.paused || !destination.is_stripe() ||
            !destination.key_problem.empty()) {
            if (!destination.is_stripe() && destination.breaker.wants_probe(now)) {
                destination.breaker.probe_ended(true, now);  // a receiver has no read: try a call
            }
            continue;
        }
        const bool wants =
            ((!destination.proven || (destination.halted && !destination.halted_needs_person)) &&
             now >= destination.probe_at) ||
            destination.probe_is_wanted || destination.breaker.wants_probe(now);
        if (wants) {
            destination.probe_out = true;
            destination.probe_is_wanted = false;
            Flight flight;
            flight.leg.purpose = Purpose::probe;
            flight.address = &destination;
            flight.key_number = destination.key_number;
            flight.call.method = "GET";
            flight.call.path = destination.probe_path;
            flight.call.api_version = destination.api_version;
            engine.to_send.push_back(std::move(flight));
        }
    }
}

void probe_answered(const Flight& flight) {
    Destination& destination = destination_of(flight);
    const TimePoint now = steady_now();
    destination.probe_out = false;
    note_clock(flight);
    const core::Judgement judgement = core::judge({.mutation = false,
                                                   .deletion = false,
                                                   .doubt_before = false,
                                                   .expect_stripe = true,
                                                   .livemode = destination.livemode,
                                                   .answer = flight.answer});
    if (flight.key_number != destination.key_number) {
        // It was about a key that is no longer used.
        destination.breaker.probe_ended(false, now);
        destination.probe_at = now;
        return;
    }
    const bool well = judgement.verdict == core::Verdict::done;
    if (destination.breaker.state() != core::BreakerState::closed) {
        destination.breaker.probe_ended(!judgement.counts_for_breaker, now);
    } else if (judgement.counts_for_breaker) {
        (void)destination.breaker.failed(now);
    }
    if (!well) {
        if (judgement.verdict == core::Verdict::halted ||
            judgement.verdict == core::Verdict::refused) {
            halt(destination, judgement.reason, judgement.message, NeedsPerson::no);
            destination.mistakes.forget_questions();  // it was not about those calls
        } else {
            cannot_be_reached(destination, flight, judgement);
        }
        probe_failed(destination, now);
        return;
    }
    destination.mistakes.probe_passed();
    const auto account = core::read_account(flight.answer.body);
    if (account && !destination.account.empty() && account->id != destination.account) {
        halt(destination, "account_mismatch",
             "the key in file " + destination.secret_name + " is of account " + account->id +
                 ", and the destination is pinned to " + destination.account,
             NeedsPerson::no);
        probe_failed(destination, now);
        return;
    }
    if (account && destination.account.empty()) {
        destination.account = destination.account_to_pin = account->id;
    }
    if (!destination.proven) {
        destination.trouble_is_told = false;  // an alert may be open, also from another life
    }
    destination.proven = true;
    destination.probes_failed = 0;
    destination.trouble.clear();
    if (destination.halted && !destination.halted_needs_person) {
        resume(destination);
    }
}

std::optional<Duration> until_probe(const Engine& engine, TimePoint now) {
    std::optional<Duration> until;
    for (const auto& [name, destination] : engine.destinations) {
        if (destination.probe_out || destination.paused) {
            continue;
        }
        std::optional<Duration> mine = destination.breaker.until_probe(now);
        if (destination.probe_is_wanted && destination.key_problem.empty()) {
            mine = Duration{1};
        }
        if (!destination.proven || destination.halted) {
            // Also the pause between two looks at the key file.
            const Duration left =
                std::max(std::chrono::ceil<Duration>(destination.probe_at - now), Duration{0});
            mine = std::min(mine.value_or(Duration{1'000}),
                            destination.key_problem.empty() && !destination.halted_needs_person
                                ? std::max(left, Duration{1})
                                : Duration{1'000});
        }
        if (mine) {
            until = std::min(until.value_or(*mine), *mine);
        }
    }
    return until;
}

}  // namespace pg_seats::engine
