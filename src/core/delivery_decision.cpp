// What a receiver's answer means. Deliveries are at least once (the id tells a receiver which it
// has), never in doubt, never in review, and end in time.
#include "core/deciding.hpp"

namespace pg_seats::core {
namespace {

Decision give_up(Situation& situation, std::string_view reason, const std::string& error) {
    const std::string name(situation.standing.name);
    Decision decision = finish(situation, Result::refused, reason);
    decision.answer.clear();
    decision.error = error;
    situation.effects.count = Counter::refused;
    situation.effects.log.push_back(
        {"delivery " + std::to_string(situation.call.id) + " to receiver " + name +
             " is given up (" + std::string(reason) + "): " + error,
         "What it was to be told stands in seats.alerts and seats.journal."});
    decision.alert = Alert{"receiver:" + name, "warning", "receiver_fails",
                           "receiver " + name + " does not take what it is told: " + error,
                           "Look at seats.receivers, and at the receiver. The alert is resolved "
                           "with the next delivery that it takes."};
    return decision;
}

Decision by_verdict(Situation& situation, const std::string& error) {
    const Judgement& judgement = situation.judgement;
    const int status = situation.answer.response.status;
    if (status >= 200 && status < 300) {
        Decision decision = finish(situation, Result::done, {});
        decision.answer.clear();
        situation.effects.count = Counter::done;
        return decision;
    }
    if (judgement.verdict == Verdict::refused || judgement.verdict == Verdict::halted) {
        return give_up(situation, judgement.reason, error);
    }
    if (older_than(situation, situation.call.created_at, situation.policy.delivery_lifetime_s)) {
        return give_up(situation, "given_up", error);
    }
    Decision decision = keep(situation, State::waiting);
    decision.doubt = false;
    decision.reason = judgement.reason;
    decision.error = error;
    decision.due_in = backoff(situation, situation.call.tries, judgement.retry_after);
    situation.effects.count = Counter::again;
    return decision;
}

}  // namespace

// A receiver that has answered with a 2xx has it, also if the rest of its answer was lost. What it
// refuses it would refuse again.
Decision decide_delivery(Situation& situation) {
    const Response& response = situation.answer.response;
    const std::string error = response.error.empty() || response.status >= 300
                                  ? "HTTP status " + std::to_string(response.status)
                                  : situation.judgement.message;
    Decision decision = by_verdict(situation, error);
    decision.verdict = situation.judgement.verdict;
    return decision;
}

}  // namespace pg_seats::core
