// Which handler runs when, and in which process: the part of a database's worker that runs none
// itself. See README.md.
#pragma once

#include <map>
#include <utility>
#include <vector>

#include "core/handler_queue.hpp"
#include "core/pace.hpp"

#include "handlers/processes.hpp"
#include "handlers/reports.hpp"

namespace pg_seats::handlers {

class Dispatcher {
  public:
    explicit Dispatcher(pg::WorkerSlot& worker) : worker_(worker) {}

    // Takes back what has run, looks up what can run, and gives it to processes. It costs nothing
    // while there is nothing of all that. `may_run`: this database is no copy, which has to leave
    // all of it alone.
    void work(const Transaction& transaction, bool may_run);
    // Settings may be others.
    void look_again() { look_at_ = {}; }
    // What nobody has told of is looked for, too.
    void look_around();
    // How long nothing has to be done unless somebody wakes the worker.
    [[nodiscard]] core::Duration until_next() const;
    // Whether the journal has had entries, or there have been alerts, since this was asked last.
    [[nodiscard]] bool take_news() { return std::exchange(has_news_, false); }

  private:
    struct Role {
        int failed_starts = 0;
        core::TimePoint not_before{};
        core::Moment wishes_since = 0;  // a process; 0: it has what it needs
        std::int64_t pace_us = 10'000;  // of one handler, as they have gone of late
    };

    [[nodiscard]] bool begin(const Transaction& transaction);
    void step_back();

    void take_results();
    void take_result(const pg::HandlerSlot& slot, const pg::HandedCall& call);
    void note_pace(int index, const pg::HandlerSlot& slot);
    void take_end(int index, const pg::HandlerSlot& slot);
    void has_come(int index, Oid role);
    void look_for_stuck(const pg::HandlerSlot& slot);
    void offer_rest_again(const pg::HandlerSlot& slot);

    void take_handed();
    void write(const Transaction& transaction);
    [[nodiscard]] core::TimePoint until_read(core::Moment due) const;
    [[nodiscard]] bool read(const Transaction& transaction);
    void forget_what_is_gone(const Found& arrivals);
    [[nodiscard]] std::vector<core::WaitingHandler> rows_of(Found& found);

    void give();
    [[nodiscard]] std::size_t most_at_once(Oid role);
    void share();
    [[nodiscard]] core::Allowed allowed() const;
    [[nodiscard]] std::vector<core::ProcessWish> wishes();
    void look_at(core::TimePoint when) { look_at_ = std::min(look_at_, when); }

    pg::WorkerSlot& worker_;
    core::HandlerQueue queue_;
    bool begun_ = false;
    bool is_back_ = false;  // all has been told that nothing runs here
    core::TimePoint look_at_{};
    core::TimePoint read_all_not_before_{};
    bool has_news_ = false;

    Slots slots_;                                             // as they were at the last look
    std::array<bool, pg::max_handler_processes> has_come_{};  // to work, those of ours
    std::array<TimestampTz, pg::max_handler_processes> given_at_{};
    std::map<Oid, Role> roles_;

    // To be written, or looked up, before anything else is given to processes.
    Reports reports_;
    std::vector<std::int64_t> to_look_up_;
    std::map<std::int64_t, core::Moment> not_before_;  // of those that are to run again
};

}  // namespace pg_seats::handlers
