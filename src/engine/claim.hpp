// Claim and freeze: the first of the loop's three steps, one transaction, committed synchronously
// before a byte leaves.
#pragma once

#include <span>

#include "engine/choose.hpp"
#include "engine/memory.hpp"
#include "kinds/kind.hpp"

namespace pg_seats::engine {

// Leaves what was frozen (Purpose::send) or taken for verification in engine.to_send. Nothing, if
// there is nothing or it failed (the rows are looked at again).
void claim(Engine& engine);

// What a claim has done so far. Of the memory nothing hangs on it yet, but that its candidates were
// chosen: it can be given up as well as followed.
struct Claimed {
    ChosenBeside chosen;
    std::vector<Flight> flights;
    kinds::Plans plans;
    // Neither statement took them; of these, those that can still go.
    std::vector<std::int64_t> not_taken, still_open;
    bool alone = false;
};

// The same beside a settlement, in its transaction: what can go is found before anything is written
// (what the settlement itself leaves must be an arrival afterwards), chosen and frozen behind it.
[[nodiscard]] bool may_claim_beside(Engine& engine);
void claim_beside(Engine& engine, std::span<GoingOn> going_on, Claimed& claimed);
// Committed, or not. (What has settled is followed between the two: it frees its lanes.)
void keep_flights(Engine& engine, Claimed& claimed);
void follow_claim(Engine& engine, const Claimed& claimed);
void give_up_claim(Engine& engine, const Claimed& claimed);

}  // namespace pg_seats::engine
