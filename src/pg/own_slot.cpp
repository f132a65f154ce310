#include "pg/own_slot.hpp"

#include "pg/fixed_text.hpp"

namespace pg_seats::pg {
namespace {

WorkerSlot* slot = nullptr;
bool predecessor_crashed = false;

}  // namespace

WorkerSlot* own_slot() noexcept {
    return slot;
}

void set_own_slot(WorkerSlot* entered) noexcept {
    slot = entered;
}

bool last_worker_crashed() noexcept {
    return predecessor_crashed;
}

void set_last_worker_crashed(bool crashed) noexcept {
    predecessor_crashed = crashed;
}

bool must_step_aside() noexcept {
    SharedState* const shared = shared_state();
    if (slot == nullptr || shared == nullptr) {
        return false;
    }
    LWLockAcquire(shared->lock, LW_SHARED);
    const bool held = slot->holders > 0;
    LWLockRelease(shared->lock);
    return held;
}

void set_trouble(std::string_view text) noexcept {
    SharedState* const shared = shared_state();
    if (slot == nullptr || shared == nullptr) {
        return;
    }
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    copy_text(slot->trouble, text);
    LWLockRelease(shared->lock);
}

}  // namespace pg_seats::pg
