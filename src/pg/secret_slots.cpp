#include "pg/secret_slots.hpp"

#include <string.h>  // explicit_bzero

#include <algorithm>

#include "pg/settings.hpp"

extern "C" {
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
}

namespace pg_seats::pg {
namespace {

struct SecretSlot {
    bool used;
    SecretNews news;
    Oid database;
    pid_t pid;
    std::int64_t subject;
    char secret[secret_size];
};

struct SecretSlots {
    LWLock* lock;
    int count;
    SecretSlot slots[FLEXIBLE_ARRAY_MEMBER];
};

SecretSlots* all = nullptr;

// Of this process.
SecretSlot* own = nullptr;
bool exit_callback_registered = false;

void wipe(SecretSlot& slot) noexcept {
    explicit_bzero(&slot, sizeof slot);
}

// FATAL ends a process without unwinding anything.
void free_at_exit(int /*code*/, Datum /*argument*/) {
    free_secret_slot();
}

SecretSlot* find_free() noexcept {
    for (int i = 0; i < all->count; ++i) {
        if (!all->slots[i].used) {
            return &all->slots[i];
        }
    }
    return nullptr;
}

bool is_blank(const SecretSlot& slot) noexcept {
    return std::all_of(std::begin(slot.secret), std::end(slot.secret),
                       [](char c) { return c == '\0'; });
}

}  // namespace

Size secret_slots_size() noexcept {
    return MAXALIGN(offsetof(SecretSlots, slots) +
                    static_cast<Size>(settings.secret_slots) * sizeof(SecretSlot));
}

void make_secret_slots(LWLock* lock) {
    bool found = false;
    all = static_cast<SecretSlots*>(
        ShmemInitStruct("pg_seats client secrets", secret_slots_size(), &found));
    if (!found) {
        memset(static_cast<void*>(all), 0, secret_slots_size());
        all->lock = lock;
        all->count = settings.secret_slots;
    }
}

bool claim_secret_slot(std::int64_t subject) {
    if (all == nullptr) {
        return false;
    }
    // Registered once and never taken back: registrations must be undone in the reverse order, and
    // other code registers as well.
    if (!exit_callback_registered) {
        before_shmem_exit(free_at_exit, Datum{0});
        exit_callback_registered = true;
    }
    free_secret_slot();
    LWLockAcquire(all->lock, LW_EXCLUSIVE);
    if (SecretSlot* const slot = find_free(); slot != nullptr) {
        slot->used = true;
        slot->news = SecretNews::none;
        slot->database = MyDatabaseId;
        slot->pid = MyProcPid;
        slot->subject = subject;
        own = slot;
    }
    LWLockRelease(all->lock);
    return own != nullptr;
}

void set_secret_subject(std::int64_t subject) noexcept {
    LWLockAcquire(all->lock, LW_EXCLUSIVE);
    own->subject = subject;
    LWLockRelease(all->lock);
}

SecretNews take_secret(char (&secret)[secret_size]) noexcept {
    LWLockAcquire(all->lock, LW_EXCLUSIVE);
    const SecretNews news = own->news;
    if (news == SecretNews::given) {
        memcpy(secret, own->secret, secret_size);
        explicit_bzero(own->secret, secret_size);
    }
    own->news = SecretNews::none;
    LWLockRelease(all->lock);
    return news;
}

void free_secret_slot() noexcept {
    if (own == nullptr) {
        return;
    }
    LWLockAcquire(all->lock, LW_EXCLUSIVE);
    wipe(*own);
    own = nullptr;
    LWLockRelease(all->lock);
}

void hand_over_secret(std::int64_t subject, std::string_view secret) noexcept {
    if (all == nullptr || subject == 0) {
        return;
    }
    const bool fits = !secret.empty() && secret.size() < secret_size;
    LWLockAcquire(all->lock, LW_EXCLUSIVE);
    for (int i = 0; i < all->count; ++i) {
        SecretSlot& slot = all->slots[i];
        // What was given before stays good: an intent's secret never changes.
        if (!slot.used || slot.database != MyDatabaseId || slot.subject != subject ||
            slot.news == SecretNews::given) {
            continue;
        }
        if (fits) {
            memcpy(slot.secret, secret.data(), secret.size());
            slot.secret[secret.size()] = '\0';
        }
        slot.news = fits ? SecretNews::given : SecretNews::told;
    }
    LWLockRelease(all->lock);
}

bool look_at_secret_slot(int index, SeenSecretSlot* seen) noexcept {
    if (all == nullptr || index >= all->count) {
        return false;
    }
    LWLockAcquire(all->lock, LW_SHARED);
    const SecretSlot& slot = all->slots[index];
    *seen = {slot.used, is_blank(slot), slot.database, slot.pid, slot.subject};
    LWLockRelease(all->lock);
    return true;
}

}  // namespace pg_seats::pg
