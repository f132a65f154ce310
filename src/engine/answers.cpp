#include "engine/answers.hpp"

#include "core/safe_text.hpp"
#include "core/secrets.hpp"
#include "engine/effects.hpp"
#include "engine/event_lists.hpp"
#include "engine/health.hpp"
#include "engine/probes.hpp"
#include "engine/row_errors.hpp"
#include "engine/suspects.hpp"
#include "engine/trace.hpp"

#include "pg/debug_point.hpp"
#include "pg/log.hpp"
#include "pg/settings.hpp"
#include "pg/time.hpp"

namespace pg_seats::engine {
namespace {

// So often may taking an answer raise.
constexpr int most_raised = 2;

core::Policy policy() {
    core::Policy policy;
    policy.retry_first = core::Duration{pg::settings.retry_delay_ms};
    policy.retry_cap = core::Duration{pg::settings.retry_delay_limit_ms};
    policy.base_lifetime = core::Duration{pg::settings.base_lifetime_ms};
    policy.final_answer_gap_s = pg::settings.final_answer_gap_s;
    policy.verify_after_silence_s = pg::settings.verify_after_silence_s;
    policy.key_lifetime_s = pg::settings.key_lifetime_s;
    policy.delivery_lifetime_s = pg::settings.delivery_lifetime_s;
    return policy;
}

// What the server was asked with is known to it. (Of a receiver's URL the path is the secret.)
void strike_own_secret(Flight& flight) {
    const std::string_view secret = destination_of(flight).key.reveal();
    const std::string_view origin = destination_of(flight).base_url;
    core::strike(flight.answer.response, secret);
    if (!origin.empty() && secret.starts_with(origin)) {
        core::strike(flight.answer.response, secret.substr(origin.size()));
    }
}

void judge(Engine& engine, Flight& flight, const core::Rules& rules) {
    const Destination& destination = destination_of(flight);
    flight.judgement =
        core::judge_leg(flight.call, rules, flight.leg.purpose, flight.answer,
                        {.is_stripe = destination.is_stripe(), .livemode = destination.livemode});
    note_health(engine, flight, *flight.judgement);
}

core::Decision decide(Engine& engine, const Flight& flight, const core::Rules& rules) {
    const Destination& destination = destination_of(flight);
    const core::Policy rules_of_time = policy();
    const core::Standing standing{
        .mistakes = destination.mistakes, .halted = destination.halted, .name = destination.name};
    return core::decide({.call = flight.call,
                         .rules = rules,
                         .leg = flight.leg,
                         .answer = flight.answer,
                         .judgement = *flight.judgement,
                         .standing = standing,
                         .policy = rules_of_time,
                         .sent_at = flight.sent_at,
                         .now = pg::now(),
                         .tick = steady_now(),
                         .chance = engine.random_share()});
}

// The next leg is sent, or the decision goes to the batch. First its place, then the flight: it is
// in one of the two, whatever raises.
void row_answered(Engine& engine, std::vector<Settlement>& batch, Flight& flight) {
    const core::Rules& rules = kinds::kind_of(flight.call).rules;
    if (!flight.judgement) {
        judge(engine, flight, rules);
    }
    pg::stand_at("after_judgement");
    core::Decision decision = decide(engine, flight, rules);
    apply(engine, flight, decision.effects);
    trace_decided(flight, decision);
    pg::stand_at("after_effects");
    if (decision.outcome == core::Decision::Outcome::asks) {
        Flight& next = engine.to_send.emplace_back();
        flight.leg = std::move(decision.next);
        flight.judgement.reset();
        flight.answer.forget_body();  // a tree is several times as large as its text
        flight.answer = {};
        flight.raised = 0;
        next = std::move(flight);
    } else {
        Settlement& item = batch.emplace_back();
        // What is kept of it is in the decision.
        flight.answer.forget_body();
        item.flight = std::move(flight);
        item.decision = std::move(decision);
    }
}

void answered(Engine& engine, std::vector<Settlement>& batch, Flight& flight) {
    if (!flight.judgement) {
        strike_own_secret(flight);
        trace_answered(flight);
        flight.answer.parse(destination_of(flight).is_stripe());
    }
    pg::stand_at("before_judgement");
    if (flight.leg.purpose == Purpose::probe) {
        probe_answered(flight);
    } else if (flight.leg.purpose == Purpose::list_events) {
        events_answered(engine, flight);
    } else {
        row_answered(engine, batch, flight);
    }
}

// False: not even that could be stored.
bool give_up(Engine& engine, const Flight& flight, const pg::Failure& failure) {
    Destination& destination = destination_of(flight);
    if (flight.leg.purpose == Purpose::probe) {
        destination.probe_out = false;
        destination.probe_at = steady_now() + pause_after_failure;
    } else if (flight.leg.purpose == Purpose::list_events) {
        destination.listing_events = false;  // looked for again
    } else {
        return charge_answer(engine, flight, failure);
    }
    return true;
}

// The first of `answers`. Whatever raises, it stays there and is taken again (false); the second
// time it is charged to its row, so that those behind it do not wait for ever.
bool take_first(Engine& engine, std::vector<Settlement>& batch,
                std::deque<std::unique_ptr<Flight>>& answers) {
    try {
        answered(engine, batch, *answers.front());
    } catch (...) {
        const pg::Failure failure = pg::failure_of_current_exception();
        if (failure.is_cancel() || failure.is_about_resources()) {
            throw;  // nobody's fault
        }
        Flight& flight = *answers.front();
        if (++flight.raised < most_raised) {
            pg::log_warning("taking an answer raised, it is taken again: " +
                            core::safe_text(failure.message, 300));
            return false;
        }
        if (!give_up(engine, flight, failure)) {
            engine.no_work_before = steady_now() + pause_after_failure;
            return false;
        }
    }
    answers.pop_front();
    return true;
}

// Each response goes to its flight, and this among those that are answered.
void take_responses(Engine& engine) {
    if (engine.responses_taken == engine.responses.size()) {
        engine.responses = engine.client.take_finished();
        engine.responses_taken = 0;
    }
    while (engine.responses_taken < engine.responses.size()) {
        core::Response& response = engine.responses[engine.responses_taken];
        const auto entry = engine.flights.find(response.id);
        if (entry != engine.flights.end()) {
            pg::stand_at("before_answered");
            auto& answers =
                is_suspect(engine, *entry->second) ? engine.answered_suspects : engine.answered;
            answers.push_back(std::move(entry->second));
            Flight& flight = *answers.back();
            flight.answered_at = pg::now();
            if (response.sent && destination_of(flight).is_stripe()) {
                pg::observe(engine.slot.histograms.stripe_answer, response.duration.count());
            }
            flight.answer = {.response = std::move(response), .body = {}};
            --destination_of(flight).in_flight;
            engine.flights.erase(entry);
        }
        ++engine.responses_taken;
    }
}

}  // namespace

void take_answers(Engine& engine, std::vector<Settlement>& batch) {
    take_responses(engine);
    if (!engine.answered.empty()) {
        pg::stand_at("before_decision");
    }
    while (!engine.answered.empty() && take_first(engine, batch, engine.answered)) {
    }
}

void take_answer_of_suspect(Engine& engine, std::vector<Settlement>& batch) {
    if (!mark_suspect(engine, *engine.answered_suspects.front())) {
        return;
    }
    pg::stand_at("before_suspect");
    (void)take_first(engine, batch, engine.answered_suspects);
}

}  // namespace pg_seats::engine
