// Turns an outcome into bytes, and lets a fault have its way with them.
#pragma once

#include <string>

#include "api/exchange.hpp"

namespace stripe_simulator {

// The outcome that a fault gives instead of the true one; only for the kinds of which
// replaces_outcome() is true.
bool replaces_outcome(FaultKind kind);
Outcome outcome_of_fault(const FaultRule& rule, const Exchange& exchange);

Transmission shape(const Exchange& exchange, const Outcome& outcome, const std::string& date);

}  // namespace stripe_simulator
