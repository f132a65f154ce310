#include "pg/shared_state.hpp"

#include <algorithm>

#include "pg/error.hpp"
#include "pg/secret_slots.hpp"

extern "C" {
#include "catalog/pg_control.h"
#include "common/controldata_utils.h"
#include "miscadmin.h"
#include "storage/shmem.h"
}

namespace pg_seats::pg {
namespace {

SharedState* state = nullptr;
shmem_request_hook_type previous_request_hook = nullptr;
shmem_startup_hook_type previous_startup_hook = nullptr;

void request_memory() {
    if (previous_request_hook != nullptr) {
        previous_request_hook();
    }
    RequestAddinShmemSpace(MAXALIGN(sizeof(SharedState)));
    RequestAddinShmemSpace(secret_slots_size());
    RequestNamedLWLockTranche("pg_seats", 2);
}

// Shared memory survives no crash, be it of the machine or of one process: what it does not know is
// told by the control file.
bool is_after_crash() {
    bool is_intact = false;
    ControlFileData* const control = get_controlfile(DataDir, &is_intact);
    const bool is_clean = is_intact && (control->state == DB_SHUTDOWNED ||
                                        control->state == DB_SHUTDOWNED_IN_RECOVERY);
    pfree(control);
    return !is_clean;
}

// (The numbers of a worker that follows another one's in its database go on.)
void clear_numbers(WorkerSlot& slot) {
    for (const CounterName& each : counter_names) {
        pg_atomic_init_u64(&(slot.counters.*each.counter), 0);
    }
    for (const HistogramName& each : histogram_names) {
        Histogram& histogram = slot.histograms.*each.histogram;
        for (pg_atomic_uint64& bucket : histogram.buckets) {
            pg_atomic_init_u64(&bucket, 0);
        }
        pg_atomic_init_u64(&histogram.sum, 0);
    }
    for (pg_atomic_uint64& counter : slot.webhooks.by_outcome) {
        pg_atomic_init_u64(&counter, 0);
    }
}

void start_up() {
    if (previous_startup_hook != nullptr) {
        previous_startup_hook();
    }
    LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
    bool found = false;
    state = static_cast<SharedState*>(ShmemInitStruct("pg_seats", sizeof(SharedState), &found));
    if (!found) {
        memset(state, 0, sizeof(SharedState));
        state->lock = &GetNamedLWLockTranche("pg_seats")->lock;
        state->follows_crash = is_after_crash();
        pg_atomic_init_u32(&state->waiters, 0);
        ConditionVariableInit(&state->worker_changed);
        for (ConditionVariable& condition : state->settled) {
            ConditionVariableInit(&condition);
        }
        for (WorkerSlot& slot : state->workers) {
            pg_atomic_init_u32(&slot.wake, 0);
            clear_numbers(slot);
        }
    }
    make_secret_slots(&GetNamedLWLockTranche("pg_seats")[1].lock);
    LWLockRelease(AddinShmemInitLock);
}

}  // namespace

void request_shared_state() {
    previous_request_hook = shmem_request_hook;
    shmem_request_hook = request_memory;
    previous_startup_hook = shmem_startup_hook;
    shmem_startup_hook = start_up;
}

SharedState* shared_state() noexcept {
    return state;
}

// The process may have ended and its PGPROC may belong to somebody else: setting a stranger's latch
// is harmless (everybody checks why he woke), so the pid test only saves work.
void set_latch_of(pid_t pid, int proc_number) noexcept {
    if (pid != 0) {
        PGPROC* proc = &ProcGlobal->allProcs[proc_number];
        if (proc->pid == pid) {
            SetLatch(&proc->procLatch);
        }
    }
}

void give_slot(WorkerSlot& slot, Oid database) noexcept {
    slot.database = database;
    slot.holders = 0;
    slot.held_by = 0;
    slot.departure = WorkerDeparture::unknown;
    slot.handed_count = 0;
    slot.handed_overflow = false;
    slot.roles_waiting = 0;
    memset(&counts_of(*state, slot), 0, sizeof(WorkerCounts));
    pg_atomic_write_u32(&slot.wake, 0);
    clear_numbers(slot);
}

WorkerSlot* find_worker(SharedState& shared, Oid database) noexcept {
    for (WorkerSlot& slot : shared.workers) {
        if (slot.database == database) {
            return &slot;
        }
    }
    return nullptr;
}

WorkerCounts& counts_of(SharedState& shared, const WorkerSlot& slot) noexcept {
    return shared.counts[&slot - shared.workers];
}

void count_webhook(Oid database, const char* outcome) noexcept {
    if (state == nullptr) {
        return;
    }
    LWLockAcquire(state->lock, LW_SHARED);
    if (WorkerSlot* const slot = find_worker(*state, database); slot != nullptr) {
        for (std::size_t i = 0; i < std::size(webhook_outcomes); ++i) {
            if (strcmp(webhook_outcomes[i], outcome) == 0) {
                pg_atomic_fetch_add_u64(&slot->webhooks.by_outcome[i], 1);
            }
        }
    }
    LWLockRelease(state->lock);
}

bool is_held(SharedState& shared, Oid database) noexcept {
    const WorkerSlot* const slot = find_worker(shared, database);
    return slot != nullptr && slot->holders > 0;
}

void hand_over(Oid database, const std::int64_t* calls, int count, bool overflow) noexcept {
    if (state == nullptr) {
        return;
    }
    LWLockAcquire(state->lock, LW_EXCLUSIVE);
    if (WorkerSlot* const slot = find_worker(*state, database); slot != nullptr) {
        const int fitting = std::min(count, most_handed_over - slot->handed_count);
        std::copy_n(calls, fitting, slot->handed + slot->handed_count);
        slot->handed_count += fitting;
        slot->handed_overflow = slot->handed_overflow || overflow || fitting < count;
    }
    LWLockRelease(state->lock);
}

void hand_over_all(Oid database) noexcept {
    hand_over(database, nullptr, 0, true);
}

void wake_worker(Oid database, std::uint32_t reasons) noexcept {
    if (state == nullptr) {
        return;
    }
    LWLockAcquire(state->lock, LW_SHARED);
    if (WorkerSlot* slot = find_worker(*state, database); slot != nullptr) {
        // One latch for many commits: who finds the bits set already need not wake again.
        const std::uint32_t before = pg_atomic_fetch_or_u32(&slot->wake, reasons);
        if ((before & reasons) != reasons) {
            set_latch_of(slot->pid, slot->proc_number);
        }
    }
    LWLockRelease(state->lock);
}

void wake_launcher() noexcept {
    if (state == nullptr) {
        return;
    }
    LWLockAcquire(state->lock, LW_SHARED);
    set_latch_of(state->launcher_pid, state->launcher_proc_number);
    LWLockRelease(state->lock);
}

void request_probe(Oid database) noexcept {
    if (state == nullptr) {
        return;
    }
    LWLockAcquire(state->lock, LW_EXCLUSIVE);
    if (state->probe_count < max_probe_requests) {
        state->probes[state->probe_count++] = database;
    } else {
        state->probe_all = true;
    }
    set_latch_of(state->launcher_pid, state->launcher_proc_number);
    LWLockRelease(state->lock);
}

}  // namespace pg_seats::pg
