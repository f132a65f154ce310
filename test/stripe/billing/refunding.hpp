// The life of a refund: it may wait, and it may fail long after it has succeeded.
#pragma once

#include <string_view>

#include "billing/world.hpp"

namespace stripe_simulator {

// Of a charge that has been checked; `draft` names amount, reason, metadata.
Refund& make_refund(World& world, Account& account, Charge& charge, Refund draft);
// Whether a refund of the first status may come to the second.
bool may_become(std::string_view status, std::string_view next);
void refund_became(World& world, Account& account, Refund& refund, std::string_view status,
                   std::string_view failure_reason);

}  // namespace stripe_simulator
