// The slots of handlers' processes (pg/handler_slots.hpp) as the dispatcher of a database reads and
// moves them. The processes are the server's, so it sees those of all databases.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "core/handler_queue.hpp"
#include "core/handler_shares.hpp"

#include "pg/shared_state.hpp"

namespace pg_seats::handlers {

// As they were at a look.
using Slots = std::vector<pg::HandlerSlot>;

[[nodiscard]] Slots look_at_slots();

// Calls of this database that have ended, and whether there were more than could be told.
struct Handed {
    std::vector<std::int64_t> calls;
    bool overflow = false;
};
[[nodiscard]] Handed take_handed(pg::WorkerSlot& worker);
[[nodiscard]] bool has_handed(const pg::WorkerSlot& worker);

// What has become of a batch is known: its process may have another one. A slot whose process has
// ended is free.
void take_back(int index) noexcept;

// How many careful ones may run at once, so that there is a process for the others.
[[nodiscard]] int most_careful() noexcept;

// False: the process has gone away meanwhile, or too many careful ones run.
[[nodiscard]] bool give_batch(int index, Oid database, Oid role, const core::HandlerBatch& batch,
                              pg::HandlerSlot& copy) noexcept;

struct Shared {
    core::ShareChoices choices;
    std::array<int, core::most_processes> made{};  // of the wishes: the slot, or -1
};
// Makes and ends processes, and tells the other databases what is missing here.
[[nodiscard]] Shared share_processes(pg::WorkerSlot& worker,
                                     std::span<const core::ProcessWish> wishes) noexcept;

// Nothing runs in this database from now on.
void send_all_away(pg::WorkerSlot& worker) noexcept;
void free_ended(Oid database) noexcept;

}  // namespace pg_seats::handlers
