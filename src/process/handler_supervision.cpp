// The server's regime: no C++ objects with destructors in this file. Everything is called through
// one guard, in a transaction of the launcher.
#include "process/handler_supervision.hpp"

#include "pg/shared_state.hpp"
#include "process/registering.hpp"

extern "C" {
#include "access/htup_details.h"
#include "catalog/pg_authid.h"
#include "utils/syscache.h"
}

namespace pg_seats::process {
namespace {

using pg::HandlerSlot;
using pg::HandlerState;
using pg::SharedState;
using pg::WorkerSlot;

constexpr int slow_start_ms = 10'000;
constexpr int no_slot_pause_ms = 5'000;
constexpr long idle_ms = 60'000;
constexpr char no_slot_trouble[] =
    "no free worker slot: raise max_worker_processes, or lower pg_seats.handler_workers";

// Beside the slot of the same number in shared memory. Gone with the launcher: the next one goes by
// what stands in the slots.
BackgroundWorkerHandle* handles[pg::max_handler_processes];
TimestampTz no_slot_until = 0;
bool no_slot_logged = false;

SharedState& shared() {
    return *pg::shared_state();
}

// Only a worker can want a process, and take back what becomes of it. The lock is held.
bool has_worker(Oid database) {
    const WorkerSlot* const worker = pg::find_worker(shared(), database);
    return worker != nullptr && worker->pid != 0;
}

// A database that has no worker any more, and will have none.
bool is_given_up(Oid database) {
    const WorkerSlot* const worker = pg::find_worker(shared(), database);
    return worker == nullptr || worker->only_held;
}

// What is of use to nobody without a worker: a wish; a process to which nobody gives work, and
// which others may need. What a batch has come to waits for the next worker. The lock is held.
void clear_up(HandlerSlot& slot) {
    switch (slot.state) {
        case HandlerState::wanted:
            if (!has_worker(slot.database)) {
                pg::free_handler_slot(slot);
            }
            break;
        case HandlerState::idle:
        case HandlerState::finished:
            if (!has_worker(slot.database)) {
                slot.must_leave = true;
                pg::wake_handler(slot);
            }
            break;
        case HandlerState::ended:
            if (is_given_up(slot.database)) {
                pg::free_handler_slot(slot);
            }
            break;
        default:
            break;
    }
}

// Ended without ever having entered its slot; or the launcher that registered it is gone, and so is
// what would tell about it. (A process that has entered says itself that it ends.)
bool is_lost(const HandlerSlot& slot, bool stopped, bool has_handle, TimestampTz now) {
    return slot.state == HandlerState::starting && slot.pid == 0 && !has_handle &&
           (stopped || TimestampDifferenceExceeds(slot.since, now, slow_start_ms));
}

// True once the postmaster has it no more: then its background worker slot is free, too.
bool has_stopped(int index) {
    pid_t pid = 0;
    if (handles[index] == nullptr || GetBackgroundWorkerPid(handles[index], &pid) != BGWH_STOPPED) {
        return false;
    }
    pfree(handles[index]);
    handles[index] = nullptr;
    return true;
}

void notice_ends(TimestampTz now) {
    for (int index = 0; index < pg::max_handler_processes; ++index) {
        const bool stopped = has_stopped(index);
        HandlerSlot& slot = shared().handlers[index];
        Oid database = InvalidOid;
        LWLockAcquire(shared().lock, LW_EXCLUSIVE);
        if (is_lost(slot, stopped, handles[index] != nullptr, now)) {
            pg::move_handler(slot, HandlerState::ended);
            strlcpy(slot.trouble, "it did not come to its start", sizeof slot.trouble);
            database = slot.database;
        }
        clear_up(slot);
        LWLockRelease(shared().lock);
        if (OidIsValid(database)) {
            pg::wake_worker(database, pg::wake_handlers);
        }
    }
}

bool can_log_in(Oid role) {
    HeapTuple const tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
    if (!HeapTupleIsValid(tuple)) {
        return true;  // the process will say that there is no such role
    }
    const bool can = reinterpret_cast<Form_pg_authid>(GETSTRUCT(tuple))->rolcanlogin;
    ReleaseSysCache(tuple);
    return can;
}

bool register_handler(int index, Oid database, Oid role) {
    char name[BGW_MAXLEN];
    snprintf(name, sizeof name, "pg_seats handler of database %u for role %u", database, role);
    handles[index] = register_process({.type = "pg_seats handler",
                                       .name = name,
                                       .function = "pg_seats_handler_main",
                                       .argument = Int32GetDatum(index)});
    return handles[index] != nullptr;
}

// Said once, not with every attempt.
void log_no_slot() {
    if (!no_slot_logged) {
        no_slot_logged = true;
        ereport(LOG, (errmsg("pg_seats: no free worker slot for a process of handlers"),
                      errhint("Raise max_worker_processes, or lower pg_seats.handler_workers; the "
                              "launcher goes on trying.")));
    }
}

// Takes the slot from wanted to starting. False if it is not wanted (any more), or cannot be now.
bool begin_start(int index, Oid* database, Oid* role) {
    HandlerSlot& slot = shared().handlers[index];
    LWLockAcquire(shared().lock, LW_SHARED);
    const bool wanted = slot.state == HandlerState::wanted;
    *database = slot.database;
    *role = slot.role;
    LWLockRelease(shared().lock);
    if (!wanted || handles[index] != nullptr) {  // the process before it is not quite gone
        return false;
    }
    const bool without_login = !pg::connects_without_login && !can_log_in(*role);
    LWLockAcquire(shared().lock, LW_EXCLUSIVE);
    const WorkerSlot* const worker = pg::find_worker(shared(), *database);
    const bool goes = slot.state == HandlerState::wanted && slot.database == *database &&
                      slot.role == *role && worker != nullptr && worker->holders == 0;
    if (goes) {
        slot.without_login = without_login;
        slot.trouble[0] = '\0';
        pg::move_handler(slot, HandlerState::starting);
    }
    LWLockRelease(shared().lock);
    return goes;
}

void start_wanted(TimestampTz now) {
    for (int index = 0; index < pg::max_handler_processes; ++index) {
        Oid database = InvalidOid;
        Oid role = InvalidOid;
        if (!begin_start(index, &database, &role)) {
            continue;
        }
        if (register_handler(index, database, role)) {
            no_slot_logged = false;
            continue;
        }
        HandlerSlot& slot = shared().handlers[index];
        LWLockAcquire(shared().lock, LW_EXCLUSIVE);
        pg::move_handler(slot, HandlerState::wanted);
        strlcpy(slot.trouble, no_slot_trouble, sizeof slot.trouble);
        LWLockRelease(shared().lock);
        no_slot_until = TimestampTzPlusMilliseconds(now, no_slot_pause_ms);
        log_no_slot();
        return;
    }
}

// Their background worker slots are wanted for what is more important.
void leave_room_for_workers() {
    LWLockAcquire(shared().lock, LW_EXCLUSIVE);
    for (HandlerSlot& slot : shared().handlers) {
        if (slot.state == HandlerState::idle) {
            slot.must_leave = true;
            pg::wake_handler(slot);
        } else if (slot.state == HandlerState::wanted) {
            strlcpy(slot.trouble, no_slot_trouble, sizeof slot.trouble);
        }
    }
    LWLockRelease(shared().lock);
}

// Nobody tells of these: a process that is waited for, a worker slot that is.
long until_next_look(TimestampTz now) {
    long sleep_ms = idle_ms;
    LWLockAcquire(shared().lock, LW_SHARED);
    for (const HandlerSlot& slot : shared().handlers) {
        if (slot.state == HandlerState::wanted || slot.state == HandlerState::starting) {
            sleep_ms = 1'000;
        }
    }
    LWLockRelease(shared().lock);
    if (no_slot_until > now) {
        sleep_ms = Min(sleep_ms, TimestampDifferenceMilliseconds(now, no_slot_until) + 1);
    }
    return sleep_ms;
}

}  // namespace

long look_after_handlers(bool a_worker_lacks_a_slot) {
    const TimestampTz now = GetCurrentTimestamp();
    notice_ends(now);
    if (a_worker_lacks_a_slot) {
        leave_room_for_workers();
    } else if (now >= no_slot_until) {
        start_wanted(now);
    }
    return until_next_look(now);
}

}  // namespace pg_seats::process
