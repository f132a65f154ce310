// This process's slot among those of handlers (pg/handler_slots.hpp): what it is to do stands
// there, and what became of it.
#pragma once

#include "pg/handler_slots.hpp"

namespace pg_seats::handlers {

struct Batch {
    int count;
    std::int64_t calls[pg::handler_batch];
};

// Where a process works, and as whom.
struct Place {
    Oid database;
    Oid role;
    bool without_login;
};

enum class Next : std::uint8_t { work, wait, leave };

// To be called before the process joins the others in shared memory: it takes the process out of
// its slot again, however it ends.
void leave_slot_at_exit();

// nullopt: nobody wants this process (any more), or somebody wants the database for himself.
std::optional<Place> enter_slot(int index) noexcept;

// Connected, and ready for batches.
void announce_idle() noexcept;

// Why the process will not come to work.
void show_trouble(std::string_view text) noexcept;

// What is to be done now; `batch` and `wait_ms` go with it.
Next what_next(Batch& batch, long& wait_ms) noexcept;

// The handler of a call begins, so that whoever looks sees what runs, and who is to blame if the
// process ends.
void announce_running(std::int64_t call) noexcept;
// Others wait for a process, or somebody for the database: what of the batch has not begun is for
// later.
[[nodiscard]] bool must_leave() noexcept;
void announce_result(int index, pg::HandlerResult result, std::int32_t retry_ms) noexcept;
// (Who leaves is not to be given another batch.)
void announce_finished(bool leaves) noexcept;

// Set by a signal handler: the process is being ended because its handler did not heed the cancel.
extern volatile sig_atomic_t ended_for_time;

}  // namespace pg_seats::handlers
