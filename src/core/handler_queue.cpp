#include "core/handler_queue.hpp"

#include <algorithm>

namespace pg_seats::core {

// ---- from the table

void HandlerQueue::read_all() {
    if (reading_) {
        read_again_ = true;
    } else {
        begin_pass();
    }
}

void HandlerQueue::begin_pass() {
    reading_ = true;
    read_again_ = false;
    read_up_to_ = 0;
    left_out_until_.reset();
    ++pass_;
    page_of_.reset();
    for (auto& [id, role] : roles_) {
        role.dropped_from = 0;
    }
    std::erase_if(roles_, [](const auto& entry) { return entry.second.calls.empty(); });
}

// What the table has not shown any more is gone, or waits behind one in review.
void HandlerQueue::end_pass(Moment now) {
    reading_ = false;
    std::vector<std::int64_t> unseen;
    for (const auto& [call, handler] : handlers_) {
        if (handler.pass != pass_ && handler.place != Place::running) {
            unseen.push_back(call);
        }
    }
    for (const std::int64_t call : unseen) {
        forget(call, now);
    }
    for (auto& [id, lane] : lanes_) {
        if (lane.held) {
            lane.held = false;
            look_at_lane(id, now);
        }
    }
    if (read_again_) {
        begin_pass();
    }
}

bool HandlerQueue::has_room(const Role& role) const {
    return handlers_.size() < limits_.most && role.calls.size() < limits_.most_of_role;
}

const std::pair<const RoleId, HandlerQueue::Role>* HandlerQueue::role_with_room() const {
    const auto found = std::ranges::find_if(roles_, [this](const auto& entry) {
        const Role& role = entry.second;
        const std::size_t half = limits_.most_of_role / 2;
        return role.dropped_from != 0 &&
               ((has_room(role) && role.calls.size() <= half) || role.later.size() > half);
    });
    return found != roles_.end() ? &*found : nullptr;
}

std::optional<std::int64_t> HandlerQueue::wanted_page() {
    page_of_.reset();
    if (reading_) {
        return read_up_to_;
    }
    const auto* const found = role_with_room();
    if (found == nullptr) {
        return std::nullopt;
    }
    page_of_ = found->first;
    return found->second.dropped_from - 1;
}

void HandlerQueue::take_page(const HandlerPage& page, Moment now) {
    if (page_of_) {
        take_page_of(*std::exchange(page_of_, std::nullopt), page, now);
        return;
    }
    for (const WaitingHandler& row : page.rows) {
        add(row, now);
    }
    if (page.read_up_to) {
        read_up_to_ = *page.read_up_to;
    } else {
        end_pass(now);
    }
}

void HandlerQueue::take_page_of(RoleId role_id, const HandlerPage& page, Moment now) {
    Role& role = roles_[role_id];
    for (const WaitingHandler& row : page.rows) {
        if (row.role != role_id || row.call < role.dropped_from || update(row, now)) {
            continue;
        }
        if (!has_room(role) && row.due_at > now) {
            leave_out(row);
            continue;
        }
        if (!has_room(role) && !make_room_of_later(role, now)) {
            role.dropped_from = row.call;
            return;
        }
        insert(row, now);
    }
    role.dropped_from = page.read_up_to ? *page.read_up_to + 1 : 0;
    if (role.calls.empty() && role.dropped_from == 0) {
        roles_.erase(role_id);
    }
}

// What the pass has not come to yet it will read.
void HandlerQueue::take_arrival(const WaitingHandler& row, Moment now) {
    if (!reading_ || row.call <= read_up_to_ || handlers_.contains(row.call)) {
        add(row, now);
    }
}

void HandlerQueue::add(const WaitingHandler& row, Moment now) {
    if (update(row, now)) {
        return;
    }
    Role& role = roles_[row.role];
    if (role.dropped_from != 0 && row.call >= role.dropped_from) {
        return;
    }
    if (has_room(role)) {
        insert(row, now);
    } else if (row.due_at > now) {
        leave_out(row);
        if (role.calls.empty() && role.dropped_from == 0) {
            roles_.erase(row.role);
        }
    } else if (make_room(role, row.call, now)) {
        insert(row, now);
    } else {
        role.dropped_from = row.call;
    }
}

// False: it is not known.
bool HandlerQueue::update(const WaitingHandler& row, Moment now) {
    const auto found = handlers_.find(row.call);
    if (found == handlers_.end()) {
        return false;
    }
    Handler& handler = found->second;
    handler.pass = pass_;
    if (handler.place == Place::running) {
        handler.told_anew = true;
        return true;
    }
    if (handler.row.role != row.role || handler.row.lane != row.lane) {  // an adoption, say
        erase(found, now);
        return false;
    }
    move(handler, Place::blocked);
    handler.row = row;
    place_anew(handler, now);
    return true;
}

void HandlerQueue::insert(const WaitingHandler& row, Moment now) {
    Handler& handler = handlers_[row.call];
    handler = {.row = row, .pass = pass_};
    roles_[row.role].calls.insert(row.call);
    if (row.lane != 0) {
        lanes_[row.lane].calls.insert(row.call);
    }
    place_anew(handler, now);
}

// Whoever is told of, what held its lane may be over.
void HandlerQueue::place_anew(Handler& handler, Moment now) {
    if (const std::int64_t id = handler.row.lane; id != 0) {
        lanes_.at(id).held = false;
        look_at_lane(id, now);
    } else {
        place(handler, now);
    }
}

// When its time comes all is read anew.
void HandlerQueue::leave_out(const WaitingHandler& row) {
    left_out_until_ = std::min(left_out_until_.value_or(row.due_at), row.due_at);
}

// Many that have failed and wait for their next try are not to keep others of their role waiting.
// (The last of a role takes the role along.)
bool HandlerQueue::make_room_of_later(const Role& role, Moment now) {
    if (role.later.empty()) {
        return false;
    }
    const auto latest = handlers_.find(role.later.rbegin()->second);
    leave_out(latest->second.row);
    erase(latest, now);
    return true;
}

// The order of a lane is that of its calls, so the later ones are left to the table.
bool HandlerQueue::make_room(Role& role, std::int64_t call, Moment now) {
    if (make_room_of_later(role, now)) {
        return true;
    }
    const auto highest = std::ranges::find_if(
        role.calls.rbegin(), role.calls.rend(),
        [this](std::int64_t candidate) { return handlers_.at(candidate).place != Place::running; });
    if (highest == role.calls.rend() || *highest < call) {
        return false;
    }
    role.dropped_from = *highest;
    erase(handlers_.find(*highest), now);
    return true;
}

// ---- what becomes of them

bool HandlerQueue::is_running(std::int64_t call) const {
    const auto found = handlers_.find(call);
    return found != handlers_.end() && found->second.place == Place::running;
}

bool HandlerQueue::is_told_anew(std::int64_t call) const {
    const auto found = handlers_.find(call);
    return found != handlers_.end() && found->second.told_anew;
}

void HandlerQueue::set_running(std::int64_t call) {
    if (const auto found = handlers_.find(call); found != handlers_.end()) {
        move(found->second, Place::running);
    }
}

void HandlerQueue::forget(std::int64_t call, Moment now) {
    if (const auto found = handlers_.find(call); found != handlers_.end()) {
        erase(found, now);
    }
}

void HandlerQueue::erase(Handlers::iterator at, Moment now) {
    move(at->second, Place::blocked);
    const WaitingHandler row = at->second.row;
    handlers_.erase(at);
    const auto role = roles_.find(row.role);
    role->second.calls.erase(row.call);
    if (role->second.calls.empty() && role->second.dropped_from == 0) {
        roles_.erase(role);
    }
    if (row.lane != 0) {
        Lane& lane = lanes_.at(row.lane);
        lane.calls.erase(row.call);
        lane.held = false;
        look_at_lane(row.lane, now);
        if (lane.calls.empty()) {
            lanes_.erase(row.lane);
        }
    }
}

std::vector<std::int64_t> HandlerQueue::forget_lane_of(std::int64_t call, Moment now) {
    const auto found = handlers_.find(call);
    if (found == handlers_.end()) {
        return {call};
    }
    // From behind, or each would be looked at as the next one.
    std::vector<std::int64_t> forgotten;
    if (const std::int64_t lane = found->second.row.lane; lane != 0) {
        const std::set<std::int64_t>& calls = lanes_.at(lane).calls;
        std::copy_if(calls.rbegin(), std::make_reverse_iterator(calls.upper_bound(call)),
                     std::back_inserter(forgotten), [this](std::int64_t each) {
                         return handlers_.at(each).place != Place::running;
                     });
    }
    forgotten.push_back(call);
    for (const std::int64_t each : forgotten) {
        forget(each, now);
    }
    return forgotten;
}

void HandlerQueue::give_back(std::int64_t call, Moment now) {
    const auto found = handlers_.find(call);
    if (found == handlers_.end() || found->second.place != Place::running) {
        return;
    }
    move(found->second, Place::blocked);
    place(found->second, now);
}

void HandlerQueue::hold_lane_of(std::int64_t call, Moment now) {
    const auto found = handlers_.find(call);
    if (found == handlers_.end()) {
        return;
    }
    move(found->second, Place::blocked);
    const std::int64_t id = found->second.row.lane;
    if (const auto lane = lanes_.find(id); lane != lanes_.end()) {
        // Unless the earlier one was heard of since.
        lane->second.held = *lane->second.calls.begin() == call;
        look_at_lane(id, now);
    }
}

// ---- choosing

void HandlerQueue::look_at_clock(Moment now) {
    while (!later_.empty() && later_.begin()->first <= now) {
        place(handlers_.at(later_.begin()->second), now);
    }
}

std::optional<Moment> HandlerQueue::next_due() const {
    return later_.empty() ? std::nullopt : std::optional(later_.begin()->first);
}

std::optional<Moment> HandlerQueue::left_out_until() const {
    return left_out_until_;
}

std::vector<RoleId> HandlerQueue::roles() const {
    std::vector<RoleId> roles;
    for (const auto& [id, role] : roles_) {
        roles.push_back(id);
    }
    return roles;
}

// One at a time: if the server crashes, it was that one.
std::optional<std::int64_t> HandlerQueue::ready_suspect(const Role& role, Allowed allowed) const {
    if (role.suspects.empty() || !allowed.suspects || running_suspects_ > 0) {
        return std::nullopt;
    }
    const std::int64_t first = *role.suspects.begin();
    return handlers_.at(first).row.careful && !allowed.careful ? std::nullopt
                                                               : std::optional(first);
}

std::size_t HandlerQueue::ready(RoleId role_id, Allowed allowed) const {
    const auto found = roles_.find(role_id);
    if (found == roles_.end()) {
        return 0;
    }
    const Role& role = found->second;
    return role.plain.size() + (allowed.careful ? role.careful.size() : 0) +
           (ready_suspect(role, allowed) ? 1 : 0);
}

// The oldest decides what kind of a batch it is, so that nobody waits for ever.
HandlerBatch HandlerQueue::take(RoleId role_id, Allowed allowed, std::size_t most) {
    HandlerBatch batch;
    const auto found = roles_.find(role_id);
    if (found == roles_.end() || most == 0) {
        return batch;
    }
    const Role& role = found->second;
    constexpr std::int64_t none = INT64_MAX;
    const std::int64_t plain = role.plain.empty() ? none : *role.plain.begin();
    const std::int64_t careful =
        role.careful.empty() || !allowed.careful ? none : *role.careful.begin();
    const std::int64_t alone = std::min(careful, ready_suspect(role, allowed).value_or(none));
    if (alone < plain) {
        batch.calls.push_back(alone);
        batch.careful = handlers_.at(alone).row.careful;
    } else {
        std::ranges::copy_n(role.plain.begin(),
                            static_cast<std::ptrdiff_t>(std::min(most, role.plain.size())),
                            std::back_inserter(batch.calls));
    }
    for (const std::int64_t call : batch.calls) {
        move(handlers_.at(call), Place::running);
    }
    return batch;
}

// ---- where each stands

bool HandlerQueue::is_next_of_lane(const WaitingHandler& row) const {
    if (row.lane == 0) {
        return true;
    }
    const Lane& lane = lanes_.at(row.lane);
    return !lane.held && lane.running == 0 && *lane.calls.begin() == row.call;
}

// Who may be its next one, and who has just ceased to be it.
void HandlerQueue::look_at_lane(std::int64_t id, Moment now) {
    const Lane& lane = lanes_.at(id);
    int looked_at = 0;
    for (auto call = lane.calls.begin(); call != lane.calls.end() && looked_at < 2; ++call) {
        place(handlers_.at(*call), now);
        ++looked_at;
    }
}

void HandlerQueue::place(Handler& handler, Moment now) {
    if (handler.place == Place::running) {
        return;
    }
    if (!is_next_of_lane(handler.row)) {
        move(handler, Place::blocked);
    } else {
        move(handler, handler.row.due_at > now ? Place::later : Place::ready);
    }
}

std::set<std::int64_t>& HandlerQueue::ready_set(Role& role, const WaitingHandler& row) {
    if (row.suspect) {
        return role.suspects;
    }
    return row.careful ? role.careful : role.plain;
}

void HandlerQueue::move(Handler& handler, Place to) {
    if (handler.place != to) {
        note(handler, false);
        handler.place = to;
        note(handler, true);
    }
}

// Where it stands is known elsewhere, too.
void HandlerQueue::note(const Handler& handler, bool comes) {
    const WaitingHandler& row = handler.row;
    switch (handler.place) {
        case Place::blocked:
            break;
        case Place::later:
            for (auto* later : {&later_, &roles_.at(row.role).later}) {
                if (comes) {
                    later->emplace(row.due_at, row.call);
                } else {
                    later->erase({row.due_at, row.call});
                }
            }
            break;
        case Place::ready:
            if (std::set<std::int64_t>& ready = ready_set(roles_.at(row.role), row); comes) {
                ready.insert(row.call);
            } else {
                ready.erase(row.call);
            }
            break;
        case Place::running:
            running_suspects_ += row.suspect ? (comes ? 1 : -1) : 0;
            if (row.lane != 0) {
                lanes_.at(row.lane).running = comes ? row.call : 0;
            }
            break;
    }
}

}  // namespace pg_seats::core
