#include "handlers/dispatch.hpp"

#include <algorithm>

#include "core/contains.hpp"

#include "pg/log.hpp"
#include "pg/settings.hpp"
#include "pg/time.hpp"

namespace pg_seats::handlers {
namespace {

using core::Clock;
using core::Duration;
using core::TimePoint;
using pg::HandlerResult;
using pg::HandlerSlot;
using pg::HandlerState;

// What has failed is tried again that much later.
constexpr Duration pause_after_failure{1'000};
// Somebody waits for a process: who gives one back says so, unless he cannot any more.
constexpr Duration pause_of_those_who_wait{1'000};
constexpr Duration first_pause_of_role{1'000};
constexpr Duration longest_pause_of_role{60'000};
constexpr int failed_starts_to_tell = 3;
// Of a handler whose time is over: so long it may take to end after all.
constexpr Duration time_to_end{5'000};
// So long a batch may take, as far as one can know: whoever comes meanwhile waits for its end.
constexpr std::int64_t longest_batch_us = 200'000;
constexpr std::size_t most_to_look_up = 10'000;
// A read of the whole table that took long (an old snapshot keeps what was deleted, say) is not
// repeated soon.
constexpr int calm_after_read = 100;

Duration pause_of_role(int failed_starts) {
    const int doublings = std::min(failed_starts - 1, 6);
    return std::min(first_pause_of_role * (1 << doublings), longest_pause_of_role);
}

// Since the loop has last asked why it was woken: by calls that have ended in this very round,
// whose handlers are not to wait for the next one.
bool is_woken(pg::WorkerSlot& worker) {
    const std::uint32_t reason = pg::wake_handlers;
    return (pg_atomic_read_u32(&worker.wake) & reason) != 0 &&
           (pg_atomic_fetch_and_u32(&worker.wake, ~reason) & reason) != 0;
}

void count_result(pg::WorkerCounters& counters, const HandlerSlot& slot,
                  const pg::HandedCall& call) {
    if (call.result == HandlerResult::gone) {
        pg_atomic_fetch_add_u64(&counters.handlers_done, 1);
    } else if (call.result == HandlerResult::again || call.result == HandlerResult::review ||
               (call.result == HandlerResult::none && slot.running == call.call)) {
        pg_atomic_fetch_add_u64(&counters.handlers_failed, 1);
    }
}

Duration longest_run() {
    return Duration{pg::settings.handler_timeout_ms} + time_to_end;
}

TimePoint at(core::Moment moment) {
    const auto until = std::chrono::microseconds{moment - pg::now()};
    return Clock::now() +
           std::min(std::chrono::ceil<Duration>(until), Duration{std::chrono::hours{1}});
}

}  // namespace

void Dispatcher::work(const Transaction& transaction, bool may_run) {
    const bool woken = is_woken(worker_);
    if (!may_run) {
        if (!is_back_ || woken) {
            step_back();
        }
        return;
    }
    if (begun_ && !woken && Clock::now() < look_at_) {
        return;
    }
    look_at_ = TimePoint::max();
    if (!begun_ && !begin(transaction)) {
        look_at(Clock::now() + pause_after_failure);
        return;
    }
    take_results();
    take_handed();
    if (const auto until = queue_.left_out_until(); until && until_read(*until) <= Clock::now()) {
        queue_.read_all();
    }
    write(transaction);
    if (!read(transaction)) {
        look_at(Clock::now() + pause_after_failure);
        return;
    }
    queue_.look_at_clock(pg::now());
    give();
    share();
    if (queue_.wanted_page()) {
        look_at(Clock::now());
    } else if (const auto due = queue_.next_due()) {
        look_at(at(*due));
    }
    if (const auto until = queue_.left_out_until()) {
        look_at(until_read(*until));
    }
}

// The whole table is not read again soon, whoever is due.
core::TimePoint Dispatcher::until_read(core::Moment due) const {
    return std::max(at(due), read_all_not_before_);
}

// At the worker's start, and when its database is no copy any more.
bool Dispatcher::begin(const Transaction& transaction) {
    slots_ = look_at_slots();
    std::vector<std::int64_t> running;
    for (std::size_t i = 0; i < slots_.size(); ++i) {
        const HandlerSlot& slot = slots_[i];
        has_come_.at(i) = slot.database == worker_.database;
        if (slot.database == worker_.database && slot.state == HandlerState::working) {
            for (int call = 0; call < slot.count; ++call) {
                running.push_back(slot.calls[call].call);
            }
        }
    }
    Found found;
    const auto failure = transaction([&] {
        begin_dispatching();
        found = handed_handlers(running);
    });
    if (failure) {
        return false;
    }
    queue_ = core::HandlerQueue();
    for (const core::WaitingHandler& row : found.page.rows) {
        queue_.take_arrival(row, pg::now());
        queue_.set_running(row.call);
    }
    queue_.read_all();
    begun_ = true;
    is_back_ = false;
    return true;
}

void Dispatcher::step_back() {
    begun_ = false;
    is_back_ = true;
    queue_ = core::HandlerQueue();
    roles_.clear();
    to_look_up_.clear();
    not_before_.clear();
    reports_ = {};
    send_all_away(worker_);
    free_ended(worker_.database);
}

void Dispatcher::look_around() {
    if (begun_ && Clock::now() >= read_all_not_before_) {
        queue_.read_all();
        look_again();
    }
}

core::Duration Dispatcher::until_next() const {
    return look_at_ == TimePoint::max()
               ? Duration::max()
               : std::max(std::chrono::ceil<Duration>(look_at_ - Clock::now()), Duration{0});
}

// ---- what has become of what ran

void Dispatcher::take_results() {
    slots_ = look_at_slots();
    for (std::size_t i = 0; i < slots_.size(); ++i) {
        HandlerSlot& slot = slots_[i];
        const int index = static_cast<int>(i);
        if (slot.database != worker_.database || slot.state == HandlerState::free) {
            continue;
        }
        if (slot.state == HandlerState::working) {
            look_for_stuck(slot);
        }
        if (slot.state == HandlerState::finished || slot.state == HandlerState::ended) {
            note_pace(index, slot);
            for (int call = 0; call < slot.count; ++call) {
                take_result(slot, slot.calls[call]);
            }
        }
        if (slot.state == HandlerState::ended) {
            take_end(index, slot);
        } else if (slot.state != HandlerState::wanted && slot.state != HandlerState::starting) {
            has_come(index, slot.role);
        }
        if (slot.state == HandlerState::finished || slot.state == HandlerState::ended) {
            take_back(index);
            has_news_ = true;
            const bool is_finished = slot.state == HandlerState::finished;
            slot.state = is_finished ? HandlerState::idle : HandlerState::free;
        }
    }
}

void Dispatcher::note_pace(int index, const HandlerSlot& slot) {
    const TimestampTz given_at = std::exchange(given_at_.at(static_cast<std::size_t>(index)), 0);
    const auto run = std::count_if(slot.calls, slot.calls + slot.count, [](const auto& call) {
        return call.result != HandlerResult::none;
    });
    if (given_at != 0 && run > 0) {
        std::int64_t& pace = roles_[slot.role].pace_us;
        pace = (pace + (slot.since - given_at) / run) / 2;
    }
}

// What is not plainly over is looked up: the table knows when it is due.
void Dispatcher::take_result(const HandlerSlot& slot, const pg::HandedCall& call) {
    reports_.over(call.call);
    count_result(worker_.counters, slot, call);
    switch (call.result) {
        case HandlerResult::review: {
            // Unless somebody has decided already, nothing of it is found.
            const auto forgotten = queue_.forget_lane_of(call.call, pg::now());
            to_look_up_.insert(to_look_up_.end(), forgotten.begin(), forgotten.end());
            return;
        }
        case HandlerResult::held:
            queue_.hold_lane_of(call.call, pg::now());
            return;
        case HandlerResult::gone:
            if (queue_.is_told_anew(call.call)) {  // it was in review, and is decided
                to_look_up_.push_back(call.call);
            }
            break;
        case HandlerResult::again:
            to_look_up_.push_back(call.call);
            not_before_[call.call] = pg::now() + std::int64_t{call.retry_ms} * 1'000;
            break;
        case HandlerResult::none:
            if (slot.running == call.call) {
                reports_.died(call.call, slot.timed_out);
                break;
            }
            to_look_up_.push_back(call.call);
            if (slot.state == HandlerState::ended) {  // the process could not say so itself
                reports_.not_run(call.call);
            }
            break;
    }
    queue_.forget(call.call, pg::now());
}

void Dispatcher::take_end(int index, const HandlerSlot& slot) {
    if (has_come_.at(static_cast<std::size_t>(index)) || slot.must_leave) {
        return;
    }
    Role& role = roles_[slot.role];
    role.not_before = Clock::now() + pause_of_role(++role.failed_starts);
    if (role.failed_starts == failed_starts_to_tell) {
        reports_.trouble_of(
            slot.role, slot.trouble[0] != '\0' ? slot.trouble : "its process ended at its start");
    }
}

void Dispatcher::has_come(int index, Oid role_oid) {
    if (std::exchange(has_come_.at(static_cast<std::size_t>(index)), true)) {
        return;
    }
    if (const auto role = roles_.find(role_oid); role != roles_.end()) {
        if (role->second.failed_starts >= failed_starts_to_tell) {
            reports_.trouble_of(role_oid, {});
        }
        role->second.failed_starts = 0;
    }
}

void Dispatcher::look_for_stuck(const HandlerSlot& slot) {
    const TimestampTz since = slot.running != 0 ? slot.running_since : pg::now();
    const TimestampTz end = since + std::chrono::microseconds{longest_run()}.count();
    if (end > pg::now()) {
        look_at(at(end));
    } else if (reports_.stuck(slot.running, slot.pid, slot.running_since)) {
        offer_rest_again(slot);
    }
}

// What stands behind it in its batch. (Should it come to its turn there, too, it will be gone: the
// row is the mark.)
void Dispatcher::offer_rest_again(const HandlerSlot& slot) {
    for (int i = 0; i < slot.count; ++i) {
        const pg::HandedCall& rest = slot.calls[i];
        if (rest.result == HandlerResult::none && rest.call != slot.running) {
            queue_.forget(rest.call, pg::now());
            reports_.not_run(rest.call);
            to_look_up_.push_back(rest.call);
        }
    }
}

// ---- the tables

void Dispatcher::take_handed() {
    if (!has_handed(worker_)) {
        return;
    }
    Handed handed = handlers::take_handed(worker_);
    to_look_up_.insert(to_look_up_.end(), handed.calls.begin(), handed.calls.end());
    if (handed.overflow || to_look_up_.size() > most_to_look_up) {
        queue_.read_all();
    }
    if (to_look_up_.size() > most_to_look_up) {
        to_look_up_.clear();
    }
}

void Dispatcher::write(const Transaction& transaction) {
    const Reports::Written written = reports_.write(transaction);
    to_look_up_.insert(to_look_up_.end(), written.to_look_up.begin(), written.to_look_up.end());
    has_news_ |= written.is_news;
    if (written.is_left) {
        look_at(Clock::now() + pause_after_failure);
    }
}

// One that was begun and not heard of since may have ended the server. If that came up in good
// order, its process was only told to go.
std::vector<core::WaitingHandler> Dispatcher::rows_of(Found& found) {
    const bool follows_crash = pg::shared_state()->follows_crash;
    for (core::WaitingHandler& row : found.page.rows) {
        if (core::contains(found.begun, row.call) && !queue_.is_running(row.call)) {
            row.suspect = follows_crash;
            if (!follows_crash) {
                reports_.not_run(row.call);
            }
        }
    }
    if (!found.of_nobody.empty()) {
        reports_.of_nobody(found.of_nobody);
        look_at(Clock::now());  // they are written at the next look
    }
    return std::move(found.page.rows);
}

// It has been decided by a person, say, or waits behind what is in review.
void Dispatcher::forget_what_is_gone(const Found& arrivals) {
    std::ranges::sort(to_look_up_);
    auto row = arrivals.page.rows.begin();
    for (const std::int64_t call : to_look_up_) {
        row = std::ranges::lower_bound(row, arrivals.page.rows.end(), call, {},
                                       &core::WaitingHandler::call);
        const bool is_there = row != arrivals.page.rows.end() && row->call == call;
        if (!is_there && !queue_.is_running(call)) {
            queue_.forget(call, pg::now());
        }
    }
}

bool Dispatcher::read(const Transaction& transaction) {
    const auto page_after = queue_.wanted_page();
    if (to_look_up_.empty() && !page_after) {
        return true;
    }
    Found arrivals, page;
    const TimePoint before = Clock::now();
    const auto failure = transaction([&] {
        if (!to_look_up_.empty()) {
            arrivals = handed_handlers(to_look_up_);
        }
        if (page_after) {
            page = waiting_handlers(*page_after, queue_.limits().page);
        }
    });
    if (failure) {
        return false;
    }
    const core::Moment now = pg::now();
    for (core::WaitingHandler& row : arrivals.page.rows) {
        if (const auto again = not_before_.find(row.call); again != not_before_.end()) {
            row.due_at = std::max(row.due_at, again->second);
        }
    }
    forget_what_is_gone(arrivals);
    to_look_up_.clear();
    not_before_.clear();
    if (page_after) {
        const TimePoint after = Clock::now();
        read_all_not_before_ =
            std::max(read_all_not_before_, after) + (after - before) * calm_after_read;
        page.page.rows = rows_of(page);
        queue_.take_page(page.page, now);
    }
    for (const core::WaitingHandler& row : rows_of(arrivals)) {
        queue_.take_arrival(row, now);
    }
    return true;
}

// ---- who runs what

core::Allowed Dispatcher::allowed() const {
    const auto careful = std::ranges::count_if(slots_, [](const HandlerSlot& slot) {
        return slot.state == HandlerState::working && slot.careful;
    });
    return {.careful = careful < most_careful()};
}

std::size_t Dispatcher::most_at_once(Oid role) {
    const std::int64_t pace = std::max<std::int64_t>(roles_[role].pace_us, 1);
    return static_cast<std::size_t>(
        std::clamp<std::int64_t>(longest_batch_us / pace, 1, pg::handler_batch));
}

void Dispatcher::give() {
    std::map<Oid, std::vector<std::size_t>> idle;
    for (std::size_t i = 0; i < slots_.size(); ++i) {
        if (slots_[i].state == HandlerState::idle && slots_[i].database == worker_.database &&
            !slots_[i].must_leave) {
            idle[slots_[i].role].push_back(i);
        }
    }
    for (const auto& [role, processes] : idle) {
        std::size_t left = processes.size();
        for (const std::size_t i : processes) {
            // Each gets its part.
            const std::size_t ready = queue_.ready(role, allowed());
            const std::size_t part = std::min((ready + left - 1) / left, most_at_once(role));
            --left;
            const core::HandlerBatch batch = queue_.take(role, allowed(), part);
            if (batch.calls.empty()) {
                continue;
            }
            if (give_batch(static_cast<int>(i), worker_.database, role, batch, slots_[i])) {
                given_at_.at(i) = slots_[i].since;
                look_at(Clock::now() + longest_run());
                pg::trace([&] {
                    return "handlers: process " + std::to_string(slots_[i].pid) + " is given " +
                           std::to_string(batch.calls.size()) + " from call " +
                           std::to_string(batch.calls.front()) + " on";
                });
                continue;
            }
            for (const std::int64_t call : batch.calls) {
                queue_.give_back(call, pg::now());
            }
        }
    }
}

// Of roles that have more to run than those of their processes will take that are idle or coming.
std::vector<core::ProcessWish> Dispatcher::wishes() {
    std::vector<core::ProcessWish> wishes;
    const TimePoint now = Clock::now();
    for (const core::RoleId id : queue_.roles()) {
        const bool has_one = std::ranges::any_of(slots_, [&](const HandlerSlot& slot) {
            return slot.database == worker_.database && slot.role == id && !slot.must_leave &&
                   (slot.state == HandlerState::idle || slot.state == HandlerState::wanted ||
                    slot.state == HandlerState::starting);
        });
        if (queue_.ready(id, {}) > queue_.ready(id, allowed())) {
            look_at(now + pause_of_those_who_wait);  // careful ones run, perhaps elsewhere
        }
        if (has_one || queue_.ready(id, allowed()) == 0) {
            if (const auto role = roles_.find(id); role != roles_.end()) {
                role->second.wishes_since = 0;
            }
            continue;
        }
        Role& role = roles_[id];
        if (role.not_before > now) {
            look_at(role.not_before);
            continue;
        }
        if (role.wishes_since == 0) {
            role.wishes_since = pg::now();
        }
        wishes.push_back({{worker_.database, id}, role.wishes_since});
    }
    std::ranges::sort(wishes, {}, &core::ProcessWish::since);
    return wishes;
}

void Dispatcher::share() {
    const std::vector<core::ProcessWish> wishes = this->wishes();
    const Shared shared = share_processes(worker_, wishes);
    for (std::size_t i = 0; i < std::min(wishes.size(), shared.made.size()); ++i) {
        if (const int made = shared.made.at(i); made >= 0) {
            has_come_.at(static_cast<std::size_t>(made)) = false;
            roles_[wishes[i].owner.role].wishes_since = 0;
        }
    }
    if (shared.choices.waiting > 0) {
        look_at(Clock::now() + pause_of_those_who_wait);
    }
}

}  // namespace pg_seats::handlers
