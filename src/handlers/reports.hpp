// What the dispatcher has found out about handlers and their processes, until the tables say so.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "handlers/table.hpp"

namespace pg_seats::handlers {

class Reports {
  public:
    // Counted as started, and not run after all.
    void not_run(std::int64_t call) { not_run_.push_back(call); }
    // Their role is not what it was.
    void of_nobody(const std::vector<std::int64_t>& calls) {
        of_nobody_.insert(of_nobody_.end(), calls.begin(), calls.end());
    }
    // Its process has ended in it.
    void died(std::int64_t call, bool timed_out) { dead_.push_back({call, timed_out}); }
    // Why no process of a role comes to work; empty: one does.
    void trouble_of(Oid role, std::string text) { troubles_.push_back({role, std::move(text)}); }
    // It runs on although its time is over. True: that is new; it is told once, until it is over.
    [[nodiscard]] bool stuck(std::int64_t call, pid_t pid, TimestampTz since);
    void over(std::int64_t call);

    struct Written {
        bool is_left = false;  // some could not be written, and are tried again the next time
        bool is_news = false;
        std::vector<std::int64_t> to_look_up;  // they wait for their next try
    };
    // Each by itself: a row that somebody has locked holds up nothing else.
    [[nodiscard]] Written write(const Transaction& transaction);

  private:
    struct Dead {
        std::int64_t call;
        bool timed_out;
    };
    struct Trouble {
        Oid role;
        std::string text;
    };
    struct Stuck {
        std::int64_t call;
        pid_t pid;
        TimestampTz since;
    };

    std::vector<std::int64_t> not_run_, of_nobody_;
    std::vector<Dead> dead_;
    std::vector<Trouble> troubles_;
    std::vector<Stuck> stuck_;
    std::vector<std::int64_t> no_longer_stuck_;
    std::set<std::int64_t> told_stuck_;
};

}  // namespace pg_seats::handlers
