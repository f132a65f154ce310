// What time does to a subscription: renewal, end of trial, cancellation, expiry.
#pragma once

#include "billing/world.hpp"

namespace stripe_simulator {

// When the next thing happens; 0: never.
std::int64_t next_happening(const Subscription& subscription);
// Lets happen what is due at world.now().
void let_happen(World& world, Account& account, Subscription& subscription);

}  // namespace stripe_simulator
