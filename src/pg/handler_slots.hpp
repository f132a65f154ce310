// What launcher, workers and the processes that run applications' handlers know of each other. (Of
// the memory that all processes share: see shared_state.hpp.)
//
//   worker (its dispatcher)   takes a free slot for a role: wanted. Gives it batches: working.
//                             Takes back what became of them: idle. Frees what has ended.
//   launcher                  registers a process for what is wanted: starting.
//   process                   enters itself (idle), works, says what became of each, leaves: ended.
//
// A slot belongs to whoever has to move it on from its state; it is read and written under the lock
// of the shared state.
#pragma once

#include "pg/postgres.hpp"

namespace pg_seats::pg {

struct SharedState;

constexpr int max_handler_processes = 32;  // of a server; the setting is below
constexpr int handler_batch = 50;          // calls that a process is given at once

enum class HandlerState : std::uint8_t {
    free,
    wanted,    // the launcher is to register a process
    starting,  // registered, not yet connected
    idle,
    working,   // has a batch
    finished,  // its batch was run: the dispatcher takes the results
    ended,     // the process is gone; what its batch had come to stands there
};

enum class HandlerResult : std::uint8_t {
    none,    // not begun
    gone,    // it ran and was committed; or somebody else had run it
    again,   // it failed, and is due again in `retry_ms`
    held,    // an earlier one of its lane is in review
    review,  // a person must decide
};

struct HandedCall {
    std::int64_t call;
    HandlerResult result;
    std::int32_t retry_ms;
};

struct HandlerSlot {
    HandlerState state;
    Oid database;
    Oid role;
    bool without_login;  // 15 and 16 let nobody connect as such a role
    pid_t pid;           // 0: no process
    int proc_number;     // where its latch is; valid only together with pid
    bool must_leave;     // gets no other batch, and ends behind the handler of the moment
    bool careful;        // its batch is one that timed out, or waited for a lock, before
    bool timed_out;      // and is ended for it, because a cancel did not help
    std::int32_t count;
    HandedCall calls[handler_batch];
    std::int64_t running;       // the call whose handler runs; 0: none
    TimestampTz running_since;  // of this try
    TimestampTz since;          // when it came into its state
    char debug_point[64];       // where it stands still for a test; empty otherwise
    char trouble[160];          // why the process did not come to work, if it said so
};

// The lock must be held for these, exclusively by whoever changes something.

// A slot in which the launcher will start a process; nullptr if there are as many processes as
// pg_seats.handler_workers allows.
HandlerSlot* want_handler_process(SharedState& shared, Oid database, Oid role) noexcept;
void move_handler(HandlerSlot& slot, HandlerState state) noexcept;
void free_handler_slot(HandlerSlot& slot) noexcept;
void wake_handler(const HandlerSlot& slot) noexcept;
// Has a process, or will have one.
[[nodiscard]] bool is_in_use(const HandlerSlot& slot) noexcept;

// These take the lock.

// Wakes the processes of a database, so that they see for themselves; `end`: those that do not come
// to that, because their handler takes its time, are terminated.
void disturb_handlers(Oid database, bool end) noexcept;
[[nodiscard]] bool has_handler_process(Oid database) noexcept;

}  // namespace pg_seats::pg
