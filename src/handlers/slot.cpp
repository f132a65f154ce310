#include "handlers/slot.hpp"

#include "pg/fixed_text.hpp"
#include "pg/shared_state.hpp"

namespace pg_seats::handlers {

volatile sig_atomic_t ended_for_time = 0;

namespace {

using pg::HandlerSlot;
using pg::HandlerState;
using pg::SharedState;

constexpr long longest_idle_ms = 60'000;

// Only what this process itself has entered is taken out again.
HandlerSlot* slot = nullptr;

// Somebody wants the database for himself. The lock is held.
bool is_held() {
    return pg::is_held(*pg::shared_state(), slot->database);
}

// Runs after the process has left ProcArray: whoever sees the slot without a process can drop the
// database.
void leave(int /*code*/, Datum /*argument*/) {
    SharedState* const shared = pg::shared_state();
    if (slot == nullptr || shared == nullptr) {
        return;
    }
    const Oid database = slot->database;
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    if (is_held()) {
        slot->running = 0;  // it was told to make place, whatever it did just then
    }
    slot->pid = 0;
    slot->timed_out = ended_for_time != 0;
    slot->debug_point[0] = '\0';
    pg::move_handler(*slot, HandlerState::ended);
    LWLockRelease(shared->lock);
    slot = nullptr;
    ConditionVariableBroadcast(&shared->worker_changed);
    pg::wake_worker(database, pg::wake_handlers);
    // Nobody else frees the slots of a database without a worker.
    pg::wake_launcher();
}

// Changes the slot under the lock.
template <class Change>
void change(Change&& change_slot) noexcept {
    SharedState& shared = *pg::shared_state();
    LWLockAcquire(shared.lock, LW_EXCLUSIVE);
    change_slot(*slot);
    LWLockRelease(shared.lock);
}

}  // namespace

void leave_slot_at_exit() {
    on_shmem_exit(leave, Datum{0});
}

std::optional<Place> enter_slot(int index) noexcept {
    SharedState* const shared = pg::shared_state();
    if (shared == nullptr || index < 0 || index >= pg::max_handler_processes) {
        return std::nullopt;
    }
    std::optional<Place> place;
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    HandlerSlot& wanted = shared->handlers[index];
    if (wanted.state == HandlerState::starting && wanted.pid == 0) {
        slot = &wanted;
        slot->pid = MyProcPid;
        slot->proc_number = pg::my_proc_number();
        if (!is_held()) {
            place = Place{slot->database, slot->role, slot->without_login};
        }
    }
    LWLockRelease(shared->lock);
    return place;
}

void announce_idle() noexcept {
    change([](HandlerSlot& own) { pg::move_handler(own, HandlerState::idle); });
    pg::wake_worker(slot->database, pg::wake_handlers);
}

void show_trouble(std::string_view text) noexcept {
    if (slot == nullptr) {
        return;
    }
    change([text](HandlerSlot& own) { pg::copy_text(own.trouble, text); });
}

Next what_next(Batch& batch, long& wait_ms) noexcept {
    Next next = Next::wait;
    change([&](HandlerSlot& own) {
        if (is_held()) {
            next = Next::leave;
            return;
        }
        if (own.state == HandlerState::working) {
            batch.count = own.count;
            for (int i = 0; i < own.count; ++i) {
                batch.calls[i] = own.calls[i].call;
            }
            next = Next::work;
            return;
        }
        wait_ms =
            longest_idle_ms - TimestampDifferenceMilliseconds(own.since, GetCurrentTimestamp());
        if (wait_ms <= 0) {
            own.must_leave = true;  // before somebody gives it another batch
        }
        if (own.must_leave) {
            next = Next::leave;
        }
    });
    return next;
}

void announce_running(std::int64_t call) noexcept {
    change([call](HandlerSlot& own) {
        own.running = call;
        own.running_since = GetCurrentTimestamp();
    });
}

bool must_leave() noexcept {
    bool must = false;
    change([&must](const HandlerSlot& own) { must = own.must_leave || is_held(); });
    return must;
}

void announce_result(int index, pg::HandlerResult result, std::int32_t retry_ms) noexcept {
    change([=](HandlerSlot& own) {
        own.running = 0;
        own.calls[index].result = result;
        own.calls[index].retry_ms = retry_ms;
    });
}

void announce_finished(bool leaves) noexcept {
    change([leaves](HandlerSlot& own) {
        own.must_leave = own.must_leave || leaves;
        pg::move_handler(own, HandlerState::finished);
    });
    // The journal tells of each handler, and its entries want a number.
    pg::wake_worker(slot->database, pg::wake_handlers | pg::wake_news);
}

}  // namespace pg_seats::handlers
