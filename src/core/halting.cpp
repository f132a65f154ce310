// Whether an answer stops its destination.
#include "core/deciding.hpp"

namespace pg_seats::core {
namespace {

// What applications enqueue says what they (and their users) want, so nothing of it stops others.
// What is in our own requests comes from us, but for the ids that a team was registered with.
bool only_we_can_have_caused(const Situation& situation) {
    const Judgement& judgement = situation.judgement;
    if (!situation.rules.is_ours) {
        return false;
    }
    if (judgement.halt_scope == HaltScope::destination) {
        return judgement.reason != "mode_mismatch" && judgement.reason != "account_mismatch";
    }
    return judgement.reason == "unknown_parameter" || judgement.reason == "unrecognized_path";
}

void halt_for_our_mistake(Situation& situation) {
    situation.effects.halt = Halt{"same_refusal_in_many_lanes", situation.judgement.message, true};
}

}  // namespace

bool may_be_about_everybody(Situation& situation) {
    const auto& [mistakes, is_halted, name] = situation.standing;
    const std::int64_t call = situation.call.id;
    const int status = situation.answer.response.status;
    if (is_halted) {
        return true;  // answers that were under way
    }
    const bool is_new = mistakes.is_new_question(call);
    situation.effects.question = is_new;
    if (is_new && status >= 200 && status < 300) {
        // It was executed, in a mode that a probe does not show: not one more.
        situation.effects.halt =
            Halt{situation.judgement.reason, situation.judgement.message, false};
        return true;
    }
    if (is_new || !mistakes.is_answered(call)) {
        situation.effects.wants_probe = true;
        return true;
    }
    return is_our_mistake(situation);
}

bool is_our_mistake(Situation& situation) {
    if (!only_we_can_have_caused(situation)) {
        return false;
    }
    const Call& call = situation.call;
    const Mistakes& mistakes = situation.standing.mistakes;
    const std::string& fingerprint = situation.judgement.fingerprint;
    if (mistakes.is_known(fingerprint, situation.standing.halted, situation.tick)) {
        // An answer that was under way when it was halted, or nothing was put right since.
        halt_for_our_mistake(situation);
        return true;
    }
    const std::int64_t lane_or_call = call.busy_lane() != 0 ? call.busy_lane() : -call.id;
    situation.effects.refusal = Refusal{fingerprint, lane_or_call, call.id, situation.tick};
    if (!mistakes.is_everywhere(*situation.effects.refusal)) {
        return false;
    }
    situation.effects.is_everywhere = true;
    halt_for_our_mistake(situation);
    return true;
}

}  // namespace pg_seats::core
