// Storing a batch of answers, set-wise, in one transaction.
//
// Its order is part of the contract: lanes are locked, then rows that are settled and those that
// stay, attempts and markers are written, then what hangs on them, kind by kind; journal and alerts
// come last.
#pragma once

#include "engine/memory.hpp"
#include "kinds/kind.hpp"

namespace pg_seats::engine {

using kinds::Settlement;
using kinds::Settlements;

struct Stored {
    std::vector<std::int64_t> left;         // somebody has changed or settled them meanwhile
    std::vector<const Settlement*> locked;  // somebody holds their team: nothing of them was stored
    kinds::Follow follow;
};

// Storing it needs its lane's lock.
[[nodiscard]] bool wants_lane(const Settlement& item);

// Inside a transaction.
Stored store(Engine& engine, Settlements all);
// When it is committed.
void after_commit(Engine& engine, Settlements all, const Stored& stored);

}  // namespace pg_seats::engine
