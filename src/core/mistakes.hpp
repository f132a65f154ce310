// Refusals that may be our own mistake, because they are everywhere; and answers that may be about
// the whole destination. Deciding only looks (const); what it has seen is noted afterwards.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/pace.hpp"

#include "core/pure.hpp"

namespace pg_seats::core {

struct Refusal {
    std::string fingerprint;
    std::int64_t lane_or_call = 0;  // below zero: of a call without a lane
    std::int64_t call_id = 0;
    TimePoint at{};
};

class Mistakes {
  public:
    // The same refusal in five lanes within a minute, this one counted.
    [[nodiscard]] bool is_everywhere(const Refusal& refusal) const;
    // It was everywhere before, and nothing was put right since: the destination is halted still,
    // or was resumed a moment ago.
    [[nodiscard]] bool is_known(std::string_view fingerprint, bool halted, TimePoint now) const;
    // This call has not had such an answer before.
    [[nodiscard]] bool is_new_question(std::int64_t call_id) const;
    // A probe has succeeded since it had: so it is about that call alone.
    [[nodiscard]] bool is_answered(std::int64_t call_id) const;

    void note(Refusal refusal);
    // It is everywhere. Gives the other calls that it was noted of: what became of them is taken
    // back.
    [[nodiscard]] std::vector<std::int64_t> take_back(const Refusal& refusal);
    void ask(std::int64_t call_id);

    void probe_passed() { ++probes_passed_; }
    void forget_questions() { questions_.clear(); }
    void key_is_new();
    // A person says that it was put right.
    void resumed(TimePoint now);

  private:
    std::deque<Refusal> refusals_;  // the oldest first
    std::string known_;             // the refusal for whose sake a person was needed
    TimePoint resumed_at_{};
    std::uint64_t probes_passed_ = 0;  // with this key
    // Calls that got such an answer, and how many probes had passed by then.
    std::unordered_map<std::int64_t, std::uint64_t> questions_;
};

}  // namespace pg_seats::core
