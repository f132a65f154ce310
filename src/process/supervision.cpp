// The server's regime: no C++ objects with destructors in this file. Everything is called through
// one guard, in a transaction of the launcher.
#include "process/supervision.hpp"

#include "pg/shared_state.hpp"
#include "process/registering.hpp"

extern "C" {
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_database.h"
#include "nodes/pg_list.h"
#include "utils/rel.h"
}

namespace pg_seats::process {
namespace {

using pg::SharedState;
using pg::WorkerEnd;
using pg::WorkerSlot;
using pg::WorkerState;

// Looks into databases that are under way at once: the server's worker slots are other people's,
// too.
constexpr int most_starting = 3;
// A start that takes longer (the database is locked, say) does not hold up the others any more.
constexpr int slow_start_ms = 10'000;
constexpr int first_backoff_ms = 1'000;
constexpr int longest_backoff_ms = 60'000;
constexpr int healthy_after_ms = 60'000;
constexpr int no_slot_pause_ms = 5'000;
constexpr long idle_ms = 60'000;

constexpr char no_slot_trouble[] = "no free worker slot: raise max_worker_processes";

// Beside the slot of the same number in shared memory; gone with the launcher, and then made anew
// by looking into every database.
struct Child {
    BackgroundWorkerHandle* handle;  // nullptr: none, or started by the launcher before this one
    bool wanted;                     // to be started when its time has come
    bool again;                      // somebody asked for a look while it was there
};

Child children[pg::max_databases];
List* to_look_into = NIL;  // databases without a slot yet, in TopMemoryContext
bool look_everywhere = false;
bool no_slot_logged = false;
bool full_logged = false;

SharedState& shared() {
    return *pg::shared_state();
}

void forget(int index) {
    WorkerSlot& slot = shared().workers[index];
    slot.database = InvalidOid;
    slot.state = WorkerState::none;
    slot.ended = slot.only_held = false;
    slot.failed_starts = 0;
    slot.start_at = 0;
    slot.trouble[0] = '\0';
    children[index].wanted = children[index].again = false;
}

void want_after(int index, TimestampTz when) {
    shared().workers[index].start_at = when;
    children[index].wanted = true;
}

// 1 s, doubling with every failure.
int backoff_ms(int failures) {
    int delay = first_backoff_ms;
    for (int i = 1; i < failures && delay < longest_backoff_ms; ++i) {
        delay *= 2;
    }
    return Min(delay, longest_backoff_ms);
}

// The lock is held.
void handle_end(int index, TimestampTz now) {
    WorkerSlot& slot = shared().workers[index];
    const WorkerEnd end = slot.ended ? slot.end : WorkerEnd::unexpected;
    slot.ended = false;
    slot.state = WorkerState::none;
    switch (end) {
        case WorkerEnd::extension_gone:
            slot.failed_starts = 0;
            if (children[index].again) {
                // DROP and CREATE: the new one was announced while the old one's worker was there.
                want_after(index, now);
            } else if (slot.holders > 0) {
                slot.only_held = true;
            } else {
                forget(index);
            }
            break;
        case WorkerEnd::stepped_aside:
            // Comes back as soon as nobody holds the database any more.
            slot.failed_starts = 0;
            want_after(index, now);
            break;
        case WorkerEnd::unexpected:
            if (slot.started_at != 0 &&
                TimestampDifferenceExceeds(slot.started_at, now, healthy_after_ms)) {
                slot.failed_starts = 0;
            }
            ++slot.failed_starts;
            want_after(index, TimestampTzPlusMilliseconds(now, backoff_ms(slot.failed_starts)));
            break;
    }
    children[index].again = false;
}

bool has_ended(int index, bool stopped, TimestampTz now) {
    const WorkerSlot& slot = shared().workers[index];
    // While the postmaster still has it, its background worker slot is not free either.
    if (!OidIsValid(slot.database) || slot.pid != 0 || children[index].handle != nullptr) {
        return false;
    }
    // Ended without ever having entered its slot; or the launcher that registered it is gone, and
    // so is what would tell about it.
    const bool lost = slot.state == WorkerState::starting &&
                      TimestampDifferenceExceeds(slot.registered_at, now, slow_start_ms);
    return slot.ended || lost || (stopped && slot.state == WorkerState::starting);
}

void notice_ends(TimestampTz now) {
    for (int index = 0; index < pg::max_databases; ++index) {
        Child& child = children[index];
        bool stopped = false;
        if (child.handle != nullptr) {
            pid_t pid = 0;
            stopped = GetBackgroundWorkerPid(child.handle, &pid) == BGWH_STOPPED;
            if (stopped) {
                pfree(child.handle);
                child.handle = nullptr;
            }
        }
        LWLockAcquire(shared().lock, LW_EXCLUSIVE);
        if (has_ended(index, stopped, now)) {
            handle_end(index, now);
        }
        LWLockRelease(shared().lock);
    }
}

void take_requests() {
    Oid requests[pg::max_probe_requests];
    LWLockAcquire(shared().lock, LW_EXCLUSIVE);
    const int count = shared().probe_count;
    memcpy(requests, shared().probes, sizeof(Oid) * static_cast<std::size_t>(count));
    shared().probe_count = 0;
    look_everywhere = look_everywhere || shared().probe_all;
    shared().probe_all = false;
    LWLockRelease(shared().lock);
    const MemoryContext context = MemoryContextSwitchTo(TopMemoryContext);
    for (int i = 0; i < count; ++i) {
        if (OidIsValid(requests[i])) {
            to_look_into = list_append_unique_oid(to_look_into, requests[i]);
        } else {
            look_everywhere = true;
        }
    }
    MemoryContextSwitchTo(context);
}

// The databases that can be connected to, in the transaction's memory.
List* read_databases() {
    List* databases = NIL;
    Relation relation = table_open(DatabaseRelationId, AccessShareLock);
    TableScanDesc scan = table_beginscan_catalog(relation, 0, nullptr);
    while (HeapTuple tuple = heap_getnext(scan, ForwardScanDirection)) {
        const auto* row = reinterpret_cast<Form_pg_database>(GETSTRUCT(tuple));
        // A DROP DATABASE that was interrupted leaves a row that nobody can connect to any more.
        if (row->datallowconn && row->datconnlimit != DATCONNLIMIT_INVALID_DB) {
            databases = lappend_oid(databases, row->oid);
        }
    }
    table_endscan(scan);
    table_close(relation, AccessShareLock);
    return databases;
}

bool has_process(const WorkerSlot& slot, const Child& child) {
    return slot.pid != 0 || child.handle != nullptr || slot.state == WorkerState::starting;
}

// The lock is held.
int count_starting(TimestampTz now) {
    int count = 0;
    for (const WorkerSlot& slot : shared().workers) {
        if (OidIsValid(slot.database) && slot.state == WorkerState::starting &&
            !TimestampDifferenceExceeds(slot.registered_at, now, slow_start_ms)) {
            ++count;
        }
    }
    return count;
}

// Turns requests into wanted workers, as far as there are slots; what finds none stays in the list.
void find_slots(List* databases) {
    List* left = NIL;
    bool full = false;
    const MemoryContext context = MemoryContextSwitchTo(TopMemoryContext);
    LWLockAcquire(shared().lock, LW_EXCLUSIVE);
    ListCell* cell = nullptr;
    foreach (cell, to_look_into) {
        const Oid database = lfirst_oid(cell);
        if (!list_member_oid(databases, database)) {
            continue;
        }
        WorkerSlot* slot = pg::find_worker(shared(), database);
        if (slot == nullptr && (slot = pg::find_worker(shared(), InvalidOid)) != nullptr) {
            pg::give_slot(*slot, database);
        }
        if (slot == nullptr) {
            full = true;
            break;
        }
        const int index = static_cast<int>(slot - shared().workers);
        slot->only_held = false;
        if (has_process(*slot, children[index])) {
            children[index].again = true;
        } else {
            want_after(index, 0);
        }
    }
    LWLockRelease(shared().lock);
    if (full) {
        foreach (cell, to_look_into) {
            const Oid database = lfirst_oid(cell);
            if (list_member_oid(databases, database) &&
                pg::find_worker(shared(), database) == nullptr) {
                left = lappend_oid(left, database);
            }
        }
    }
    list_free(to_look_into);
    to_look_into = left;
    MemoryContextSwitchTo(context);
    if (full && !full_logged) {
        full_logged = true;
        ereport(LOG, (errmsg("pg_seats: more databases to look into than there are slots (%d)",
                             pg::max_databases)));
    }
}

BackgroundWorkerHandle* register_worker(Oid database) {
    char name[BGW_MAXLEN];
    snprintf(name, sizeof name, "pg_seats worker of database %u", database);
    return register_process({.type = "pg_seats worker",
                             .name = name,
                             .function = "pg_seats_worker_main",
                             .argument = ObjectIdGetDatum(database)});
}

// Said once, not with every attempt.
void log_no_slot(WorkerSlot& slot) {
    LWLockAcquire(shared().lock, LW_EXCLUSIVE);
    strlcpy(slot.trouble, no_slot_trouble, sizeof slot.trouble);
    LWLockRelease(shared().lock);
    if (!no_slot_logged) {
        no_slot_logged = true;
        ereport(LOG, (errmsg("pg_seats: no free worker slot for database %u", slot.database),
                      errhint("Raise max_worker_processes; the launcher goes on trying.")));
    }
}

void start(int index, TimestampTz now) {
    WorkerSlot& slot = shared().workers[index];
    Child& child = children[index];
    LWLockAcquire(shared().lock, LW_EXCLUSIVE);
    slot.state = WorkerState::starting;
    slot.registered_at = now;
    slot.started_at = 0;
    slot.ended = false;
    if (strcmp(slot.trouble, no_slot_trouble) == 0) {
        slot.trouble[0] = '\0';
    }
    LWLockRelease(shared().lock);
    child.handle = register_worker(slot.database);
    if (child.handle != nullptr) {
        child.wanted = false;
        no_slot_logged = false;
        return;
    }
    LWLockAcquire(shared().lock, LW_EXCLUSIVE);
    slot.state = WorkerState::none;
    slot.start_at = TimestampTzPlusMilliseconds(now, no_slot_pause_ms);
    LWLockRelease(shared().lock);
    log_no_slot(slot);
}

// Starts what is due and not held by anybody; gives the time until the next is due.
long start_due(List* databases, TimestampTz now) {
    long sleep_ms = idle_ms;
    for (int index = 0; index < pg::max_databases; ++index) {
        WorkerSlot& slot = shared().workers[index];
        if (!children[index].wanted) {
            continue;
        }
        LWLockAcquire(shared().lock, LW_EXCLUSIVE);
        const bool exists = list_member_oid(databases, slot.database);
        const bool held = slot.holders > 0;
        const bool due = slot.start_at <= now;
        const bool room = count_starting(now) < most_starting;
        if (!exists && !held) {
            forget(index);
        }
        LWLockRelease(shared().lock);
        if (!exists || held) {
            continue;
        }
        if (due && room) {
            start(index, now);
        } else if (due) {
            // Woken by whoever comes to its loop, or ends; this is for one that does neither.
            sleep_ms = Min(sleep_ms, 1'000);
        }
        if (children[index].wanted && slot.start_at > now) {
            sleep_ms = Min(sleep_ms, TimestampDifferenceMilliseconds(now, slot.start_at) + 1);
        }
    }
    return sleep_ms;
}

bool something_is_wanted() {
    for (const Child& child : children) {
        if (child.wanted) {
            return true;
        }
    }
    return false;
}

}  // namespace

long look_after_workers() {
    const TimestampTz now = GetCurrentTimestamp();
    take_requests();
    notice_ends(now);
    if (!look_everywhere && to_look_into == NIL && !something_is_wanted()) {
        return idle_ms;
    }
    // Read anew each time: a start in a database that is gone would be a FATAL in the log.
    List* const databases = read_databases();
    if (look_everywhere) {
        const MemoryContext context = MemoryContextSwitchTo(TopMemoryContext);
        to_look_into = list_concat_unique_oid(to_look_into, databases);
        MemoryContextSwitchTo(context);
        look_everywhere = false;
    }
    find_slots(databases);
    return start_due(databases, now);
}

bool a_worker_lacks_a_slot() noexcept {
    bool lacks = false;
    LWLockAcquire(shared().lock, LW_SHARED);
    for (int index = 0; index < pg::max_databases; ++index) {
        lacks = lacks || (children[index].wanted &&
                          strcmp(shared().workers[index].trouble, no_slot_trouble) == 0);
    }
    LWLockRelease(shared().lock);
    return lacks;
}

void ask_for_all_databases() noexcept {
    look_everywhere = true;
}

}  // namespace pg_seats::process
