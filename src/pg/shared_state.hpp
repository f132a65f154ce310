// What the processes of a server share: who the launcher and the workers are, how to wake them, and
// what they say about themselves. Fixed arrays only; no pointer of any process is ever in here.
#pragma once

#include "pg/handler_slots.hpp"
#include "pg/postgres.hpp"
#include "pg/worker_numbers.hpp"

extern "C" {
#include "storage/condition_variable.h"
}

namespace pg_seats::pg {

constexpr int max_databases = 64;     // databases of one server with the extension
constexpr int max_destinations = 16;  // shown per database
constexpr int waiter_buckets = 64;    // condition variables, by hash of what is waited for
constexpr int max_probe_requests = 64;
constexpr int most_handed_over =
    1'024;  // calls that have ended and wait for a look of their worker

// Why a worker is woken. Several at once are or-ed.
enum WakeReason : std::uint32_t {
    wake_rows = 1,           // a transaction left rows for the worker
    wake_configuration = 2,  // destinations, lanes or the installation were changed
    wake_extension = 4,      // the extension was dropped or updated: look again
    wake_step_aside = 8,     // somebody wants the database for himself: end
    wake_webhooks = 16,      // an event was stored that could not be processed at once
    wake_news = 32,          // journal entries want a number, alerts want to be told
    wake_handlers = 64,      // calls with handlers ended, or a process of handlers has news
};

enum class WorkerState : std::uint8_t {
    none,      // no worker: none is needed, or the launcher waits to start one again
    starting,  // registered, not yet at its first loop
    running,
    fenced,  // runs, but must not send: this database is not the installation's
};

// How a worker left, for the launcher, who decides whether another one is started.
enum class WorkerEnd : std::uint8_t {
    unexpected,      // an error, a termination, or it never came to its start
    extension_gone,  // there is no extension in its database (any more)
    stepped_aside,   // somebody wanted the database for himself
};

// Whether what was on the wire when a worker left may be what ended it.
enum class WorkerDeparture : std::uint8_t {
    unknown,   // none has left since the server's shared memory was made
    asked,     // it was told to, or had nothing more to do
    by_error,  // it ended itself
};

struct DestinationStatus {
    char name[NAMEDATALEN];
    std::uint8_t breaker;  // core::BreakerState
    bool proven;           // the key was probed: right account, right mode
    double requests_per_second;
    std::int32_t in_flight;
    std::int32_t held;  // ready, but the destination does not take them now
    char trouble[160];  // why its key was not proven, or why sending is interrupted
};

struct WorkerSlot {
    Oid database;  // InvalidOid: the slot is free
    WorkerState state;
    pid_t pid;             // 0: no process
    int proc_number;       // where its latch is; valid only together with pid
    pid_t held_by;         // a backend that wants the database for itself; 0: nobody
    std::int32_t holders;  // how many such backends there are; held_by is the last of them
    bool only_held;        // made by a holder: the database may have no extension at all
    TimestampTz started_at;
    TimestampTz last_loop_at;
    std::int32_t in_flight;
    std::int32_t ready;  // known in memory and not on the wire
    bool reading_backlog;
    std::int32_t destination_count;
    DestinationStatus destinations[max_destinations];
    char debug_point[64];  // where it stands still for a test; empty otherwise
    char trouble[256];     // the last thing that went wrong with the loop itself; empty: nothing
    // Calls that have ended and have handlers, for the dispatcher; they are cleared as it reads.
    std::int64_t handed[most_handed_over];
    std::int32_t handed_count;
    bool handed_overflow;  // there were more: the table knows
    std::int32_t
        roles_waiting;  // have handlers that are due, and less than their share of processes
    TimestampTz roles_waiting_since;  // of the one that has waited longest
    // Launcher's bookkeeping.
    bool ended;     // the worker left, and the launcher has not seen it yet
    WorkerEnd end;  // why
    WorkerDeparture departure;
    TimestampTz registered_at;
    std::int32_t failed_starts;
    TimestampTz start_at;   // not before
    pg_atomic_uint32 wake;  // WakeReason bits
    WorkerCounters counters;
    WorkerHistograms histograms;
    WebhookCounters webhooks;
};

struct SharedState {
    LWLock* lock;  // guards everything below but the atomics and the condition variables
    pid_t launcher_pid;
    int launcher_proc_number;
    bool follows_crash;  // the server did not end in good order before it came up
    bool probe_all;      // a request did not fit: look into every database
    std::int32_t probe_count;
    Oid probes[max_probe_requests];  // databases that the launcher should look into
    pg_atomic_uint32 waiters;        // sessions in a waiting procedure
    ConditionVariable worker_changed;
    ConditionVariable settled[waiter_buckets];
    WorkerSlot workers[max_databases];
    WorkerCounts counts[max_databases];  // of the worker in the same place
    HandlerSlot handlers[max_handler_processes];
};

// To be called in _PG_init of the postmaster only.
void request_shared_state();

// nullptr when the library was not preloaded: there are no workers then.
SharedState* shared_state() noexcept;

// The process may have ended: nobody is harmed by a latch that is set for nothing.
void set_latch_of(pid_t pid, int proc_number) noexcept;

// A free slot gets a database: nothing in it is another one's. The lock must be held.
void give_slot(WorkerSlot& slot, Oid database) noexcept;

// Find the slot of a database; the lock must be held. nullptr if there is none.
WorkerSlot* find_worker(SharedState& shared, Oid database) noexcept;

// Of the worker in this slot; the lock must be held.
WorkerCounts& counts_of(SharedState& shared, const WorkerSlot& slot) noexcept;

// A webhook was taken by this session. Takes the lock.
void count_webhook(Oid database, const char* outcome) noexcept;

// Somebody wants the database for himself; the lock must be held.
[[nodiscard]] bool is_held(SharedState& shared, Oid database) noexcept;

// Calls that have ended and have handlers, for the worker of their database. `overflow`: there are
// more. Takes the lock; safe in a commit callback.
void hand_over(Oid database, const std::int64_t* calls, int count, bool overflow) noexcept;
// The worker looks into the table for what it was not told: of a prepared transaction, say.
void hand_over_all(Oid database) noexcept;

// Safe in a commit callback: takes the lock, sets bits and a latch, raises nothing.
void wake_worker(Oid database, std::uint32_t reasons) noexcept;
void wake_launcher() noexcept;

// Asks the launcher to look whether the database has the extension, and to start its worker.
void request_probe(Oid database) noexcept;

inline ConditionVariable& settled_condition(SharedState& shared, std::int64_t call) {
    return shared.settled[static_cast<std::uint64_t>(call) % waiter_buckets];
}

}  // namespace pg_seats::pg
