#include "core/mistakes.hpp"

#include <set>

namespace pg_seats::core {
namespace {

constexpr std::size_t lanes_that_make_it_ours = 5;
constexpr Duration refusal_window{60'000};
constexpr std::size_t most_questions = 10'000;

}  // namespace

bool Mistakes::is_everywhere(const Refusal& refusal) const {
    std::set<std::int64_t> lanes{refusal.lane_or_call};
    for (const Refusal& other : refusals_) {
        if (other.at >= refusal.at - refusal_window && other.fingerprint == refusal.fingerprint) {
            lanes.insert(other.lane_or_call);
        }
    }
    return lanes.size() >= lanes_that_make_it_ours;
}

bool Mistakes::is_known(std::string_view fingerprint, bool halted, TimePoint now) const {
    return known_ == fingerprint && (halted || now < resumed_at_ + refusal_window);
}

bool Mistakes::is_new_question(std::int64_t call_id) const {
    return questions_.size() >= most_questions || !questions_.contains(call_id);
}

bool Mistakes::is_answered(std::int64_t call_id) const {
    const auto question = questions_.find(call_id);
    return question != questions_.end() && question->second != probes_passed_;
}

void Mistakes::note(Refusal refusal) {
    while (!refusals_.empty() && refusals_.front().at < refusal.at - refusal_window) {
        refusals_.pop_front();
    }
    refusals_.push_back(std::move(refusal));
}

std::vector<std::int64_t> Mistakes::take_back(const Refusal& refusal) {
    std::vector<std::int64_t> calls;
    for (const Refusal& other : refusals_) {
        if (other.fingerprint == refusal.fingerprint && other.call_id != refusal.call_id) {
            calls.push_back(other.call_id);
        }
    }
    refusals_.clear();
    known_ = refusal.fingerprint;
    return calls;
}

void Mistakes::ask(std::int64_t call_id) {
    if (questions_.size() >= most_questions) {
        questions_.clear();
    }
    questions_.try_emplace(call_id, probes_passed_);
}

void Mistakes::key_is_new() {
    questions_.clear();
    probes_passed_ = 0;
}

void Mistakes::resumed(TimePoint now) {
    refusals_.clear();
    resumed_at_ = now;
}

}  // namespace pg_seats::core
