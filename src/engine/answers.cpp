#include "engine/answers.hpp"

#include "core/secrets.hpp"
#include "engine/effects.hpp"
#include "engine/event_lists.hpp"
#include "engine/health.hpp"
#include "engine/probes.hpp"
#include "engine/suspects.hpp"
#include "engine/trace.hpp"

#include "pg/debug_point.hpp"
#include "pg/log.hpp"
#include "pg/settings.hpp"

namespace pg_seats::engine {
namespace {

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
    const std::string_view secret = flight.destination->key.reveal();
    const std::string_view origin = flight.destination->base_url;
    core::strike(flight.answer.response, secret);
    if (!origin.empty() && secret.starts_with(origin)) {
        core::strike(flight.answer.response, secret.substr(origin.size()));
    }
}

Decision decide_row(Engine& engine, const Flight& flight) {
    Destination& destination = *flight.destination;
    const core::Rules& rules = kinds::kind_of(flight.call).rules;
    const core::Judgement judgement =
        core::judge_leg(flight.call, rules, flight.leg.purpose, flight.answer,
                        {.is_stripe = destination.is_stripe(), .livemode = destination.livemode});
    note_health(engine, flight, judgement);
    const core::Policy rules_of_time = policy();
    const core::Standing standing{
        .mistakes = destination.mistakes, .halted = destination.halted, .name = destination.name};
    Decision decision = core::decide({.call = flight.call,
                                      .rules = rules,
                                      .leg = flight.leg,
                                      .answer = flight.answer,
                                      .judgement = judgement,
                                      .standing = standing,
                                      .policy = rules_of_time,
                                      .sent_at = flight.sent_at,
                                      .now = pg::now(),
                                      .tick = steady_now(),
                                      .chance = engine.random_share()});
    apply(engine, flight, decision.effects);
    return decision;
}

// Decides the first of `answers`, and what follows from it. It leaves the list when that is done:
// whatever raises before (a cancel, say), it is decided again.
void decide(Engine& engine, std::vector<Settlement>& batch, std::deque<Flight>& answers) {
    Flight& flight = answers.front();
    strike_own_secret(flight);
    trace_answered(flight);
    flight.answer.parse(flight.destination->is_stripe());
    if (flight.leg.purpose == Purpose::probe) {
        probe_answered(flight);
    } else if (flight.leg.purpose == Purpose::list_events) {
        events_answered(engine, flight);
    } else {
        Decision decision = decide_row(engine, flight);
        trace_decided(flight, decision);
        if (decision.outcome == Decision::Outcome::asks) {
            flight.leg = std::move(decision.next);
            flight.answer = {};  // a tree is several times as large as its text
            engine.to_send.push_back(std::move(flight));
        } else {
            // What is kept of it is in the decision.
            flight.answer.response.body = {};
            flight.answer.body = {};
            batch.push_back({std::move(flight), std::move(decision)});
        }
    }
    answers.pop_front();
}

}  // namespace

void take_answers(Engine& engine, std::vector<Settlement>& batch) {
    for (http::Response& response : engine.client.take_finished()) {
        const auto entry = engine.flights.find(response.id);
        if (entry == engine.flights.end()) {
            continue;
        }
        Flight& flight = entry->second;
        --flight.destination->in_flight;
        flight.answer = {.response = std::move(response), .body = {}};
        (is_suspect(engine, flight) ? engine.answered_suspects : engine.answered)
            .push_back(std::move(flight));
        engine.flights.erase(entry);
    }
    if (!engine.answered.empty()) {
        pg::stand_at("before_decision");
    }
    while (!engine.answered.empty()) {
        decide(engine, batch, engine.answered);
    }
}

void take_answer_of_suspect(Engine& engine, std::vector<Settlement>& batch) {
    if (!mark_suspect(engine, engine.answered_suspects.front())) {
        return;
    }
    pg::stand_at("before_suspect");
    decide(engine, batch, engine.answered_suspects);
}

}  // namespace pg_seats::engine
