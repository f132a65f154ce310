#include <csignal>

#include "pg/handler_slots.hpp"

#include "pg/settings.hpp"
#include "pg/shared_state.hpp"

namespace pg_seats::pg {

bool is_in_use(const HandlerSlot& slot) noexcept {
    return slot.state != HandlerState::free && slot.state != HandlerState::ended;
}

HandlerSlot* want_handler_process(SharedState& shared, Oid database, Oid role) noexcept {
    HandlerSlot* found = nullptr;
    int in_use = 0;
    for (HandlerSlot& slot : shared.handlers) {
        in_use += is_in_use(slot) ? 1 : 0;
        if (found == nullptr && slot.state == HandlerState::free) {
            found = &slot;
        }
    }
    if (found == nullptr || in_use >= settings.handler_workers) {
        return nullptr;
    }
    found->database = database;
    found->role = role;
    move_handler(*found, HandlerState::wanted);
    return found;
}

void move_handler(HandlerSlot& slot, HandlerState state) noexcept {
    slot.state = state;
    slot.since = GetCurrentTimestamp();
}

void free_handler_slot(HandlerSlot& slot) noexcept {
    memset(static_cast<void*>(&slot), 0, sizeof slot);
}

void wake_handler(const HandlerSlot& slot) noexcept {
    set_latch_of(slot.pid, slot.proc_number);
}

void disturb_handlers(Oid database, bool end) noexcept {
    SharedState* const shared = shared_state();
    if (shared == nullptr) {
        return;
    }
    LWLockAcquire(shared->lock, LW_SHARED);
    for (const HandlerSlot& slot : shared->handlers) {
        if (slot.database == database && slot.pid != 0) {
            wake_handler(slot);
            if (end) {
                kill(slot.pid, SIGTERM);
            }
        }
    }
    LWLockRelease(shared->lock);
}

bool has_handler_process(Oid database) noexcept {
    SharedState* const shared = shared_state();
    if (shared == nullptr) {
        return false;
    }
    bool has = false;
    LWLockAcquire(shared->lock, LW_SHARED);
    for (const HandlerSlot& slot : shared->handlers) {
        has = has || (slot.database == database && slot.pid != 0);
    }
    LWLockRelease(shared->lock);
    return has;
}

}  // namespace pg_seats::pg
