#include "handlers/processes.hpp"

#include <algorithm>
#include <utility>

#include "pg/settings.hpp"

namespace pg_seats::handlers {
namespace {

using core::ProcessSeen;
using pg::HandlerSlot;
using pg::HandlerState;
using pg::SharedState;
using pg::WorkerSlot;

static_assert(core::most_processes == pg::max_handler_processes);

// Whatever is done under it neither raises nor allocates.
class Locked {
  public:
    explicit Locked(LWLockMode mode) noexcept { LWLockAcquire(pg::shared_state()->lock, mode); }
    Locked(const Locked&) = delete;
    Locked& operator=(const Locked&) = delete;
    ~Locked() { LWLockRelease(pg::shared_state()->lock); }
};

std::span<HandlerSlot> slots() {
    return pg::shared_state()->handlers;
}

ProcessSeen::State state_of(const HandlerSlot& slot) {
    switch (slot.state) {
        case HandlerState::free:
        case HandlerState::ended:
            return ProcessSeen::State::unused;
        case HandlerState::wanted:
        case HandlerState::starting:
            return ProcessSeen::State::coming;
        case HandlerState::idle:
            return ProcessSeen::State::idle;
        case HandlerState::working:
        case HandlerState::finished:
            break;
    }
    return ProcessSeen::State::busy;
}

bool runs_careful(const HandlerSlot& slot) {
    return slot.state == HandlerState::working && slot.careful;
}

// What runs there goes on, although its time is over.
bool is_late(const HandlerSlot& slot) {
    constexpr int grace_ms = 2'000;
    return slot.running != 0 &&
           TimestampDifferenceExceeds(slot.running_since, GetCurrentTimestamp(),
                                      pg::settings.handler_timeout_ms + grace_ms);
}

void tell_to_leave(HandlerSlot& slot) {
    slot.must_leave = true;
    pg::wake_handler(slot);
}

// Databases whose roles wait for a process. The lock is held.
std::span<const core::OtherWishes> wishes_of_others(
    const WorkerSlot& own, std::array<core::OtherWishes, pg::max_databases>& space) {
    std::size_t count = 0;
    for (const WorkerSlot& worker : pg::shared_state()->workers) {
        if (&worker != &own && worker.pid != 0 && worker.roles_waiting > 0) {
            space.at(count++) = {worker.roles_waiting, worker.roles_waiting_since};
        }
    }
    return {space.data(), count};
}

void wake_those_who_wait(Oid except) {
    std::array<Oid, pg::max_databases> waiting{};
    std::size_t count = 0;
    {
        const Locked lock(LW_SHARED);
        for (const WorkerSlot& worker : pg::shared_state()->workers) {
            if (worker.database != except && worker.roles_waiting > 0) {
                waiting.at(count++) = worker.database;
            }
        }
    }
    for (std::size_t i = 0; i < count; ++i) {
        pg::wake_worker(waiting.at(i), pg::wake_handlers);
    }
}

}  // namespace

Slots look_at_slots() {
    Slots copies(pg::max_handler_processes);
    const Locked lock(LW_SHARED);
    std::ranges::copy(slots(), copies.begin());
    return copies;
}

bool has_handed(const WorkerSlot& worker) {
    const Locked lock(LW_SHARED);
    return worker.handed_count > 0 || worker.handed_overflow;
}

Handed take_handed(WorkerSlot& worker) {
    Handed handed;
    handed.calls.resize(pg::most_handed_over);
    std::int32_t count = 0;
    {
        const Locked lock(LW_EXCLUSIVE);
        count = std::exchange(worker.handed_count, 0);
        handed.overflow = std::exchange(worker.handed_overflow, false);
        std::copy_n(worker.handed, count, handed.calls.begin());
    }
    handed.calls.resize(static_cast<std::size_t>(count));
    return handed;
}

void take_back(int index) noexcept {
    HandlerSlot& slot = slots()[static_cast<std::size_t>(index)];
    Oid database = InvalidOid;
    {
        const Locked lock(LW_EXCLUSIVE);
        slot.count = 0;
        if (slot.state == HandlerState::finished) {
            pg::move_handler(slot, HandlerState::idle);
        } else if (slot.state == HandlerState::ended) {
            database = slot.database;
            pg::free_handler_slot(slot);
        }
    }
    if (OidIsValid(database)) {
        wake_those_who_wait(database);
    }
}

int most_careful() noexcept {
    return std::max(1, pg::settings.handler_workers - 1);
}

bool give_batch(int index, Oid database, Oid role, const core::HandlerBatch& batch,
                HandlerSlot& copy) noexcept {
    HandlerSlot& slot = slots()[static_cast<std::size_t>(index)];
    const Locked lock(LW_EXCLUSIVE);
    if (slot.state != HandlerState::idle || slot.database != database || slot.role != role ||
        slot.must_leave ||
        (batch.careful && std::ranges::count_if(slots(), runs_careful) >= most_careful())) {
        copy = slot;
        return false;
    }
    slot.count = 0;
    for (const std::int64_t call : batch.calls) {
        slot.calls[slot.count++] = {.call = call, .result = pg::HandlerResult::none, .retry_ms = 0};
    }
    slot.careful = batch.careful;
    slot.timed_out = false;
    slot.running = 0;
    slot.running_since = 0;
    pg::move_handler(slot, HandlerState::working);
    pg::wake_handler(slot);
    copy = slot;
    return true;
}

Shared share_processes(WorkerSlot& worker, std::span<const core::ProcessWish> wishes) noexcept {
    Shared shared;
    shared.made.fill(-1);
    std::array<ProcessSeen, core::most_processes> seen{};
    std::array<core::OtherWishes, pg::max_databases> space{};
    bool makes_one = false;
    {
        const Locked lock(LW_EXCLUSIVE);
        for (std::size_t i = 0; i < seen.size(); ++i) {
            const HandlerSlot& slot = slots()[i];
            seen.at(i) = {.state = state_of(slot),
                          .owner = {slot.database, slot.role},
                          .leaves = slot.must_leave,
                          .is_late = is_late(slot),
                          .since = slot.since};
        }
        shared.choices = core::choose_shares(seen, wishes, wishes_of_others(worker, space),
                                             pg::settings.handler_workers);
        for (std::size_t i = 0; i < seen.size(); ++i) {
            if (shared.choices.leave.at(i) && pg::is_in_use(slots()[i])) {
                tell_to_leave(slots()[i]);
            }
        }
        for (std::size_t i = 0; i < std::min(wishes.size(), core::most_processes); ++i) {
            if (HandlerSlot* const made =
                    shared.choices.granted.at(i)
                        ? pg::want_handler_process(*pg::shared_state(), worker.database,
                                                   wishes[i].owner.role)
                        : nullptr;
                made != nullptr) {
                shared.made.at(i) = static_cast<int>(made - slots().data());
                makes_one = true;
            }
        }
        worker.roles_waiting = shared.choices.waiting;
        worker.roles_waiting_since = shared.choices.waiting_since;
    }
    if (makes_one) {
        pg::wake_launcher();
    }
    return shared;
}

void send_all_away(WorkerSlot& worker) noexcept {
    const Locked lock(LW_EXCLUSIVE);
    worker.handed_count = 0;
    worker.handed_overflow = false;
    worker.roles_waiting = 0;
    for (HandlerSlot& slot : slots()) {
        if (slot.database != worker.database) {
            continue;
        }
        if (slot.state == HandlerState::wanted) {
            pg::free_handler_slot(slot);
        } else if (pg::is_in_use(slot)) {
            tell_to_leave(slot);
        }
    }
}

void free_ended(Oid database) noexcept {
    {
        const Locked lock(LW_EXCLUSIVE);
        for (HandlerSlot& slot : slots()) {
            if (slot.database == database && slot.state == HandlerState::ended) {
                pg::free_handler_slot(slot);
            }
        }
    }
    wake_those_who_wait(database);
}

}  // namespace pg_seats::handlers
