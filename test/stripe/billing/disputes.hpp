// Payments that the payer's bank takes back, and what becomes of that.
#pragma once

#include <string_view>

#include "billing/world.hpp"

namespace stripe_simulator {

// An inquiry takes no money, but may become a dispute that does.
Dispute& open_dispute(World& world, Account& account, Charge& charge, std::int64_t amount,
                      std::string_view reason, bool inquiry);
// Evidence was given, or an inquiry has become a dispute.
void dispute_moved(World& world, Account& account, Dispute& dispute, std::string_view status);
void close_dispute(World& world, Account& account, Dispute& dispute, bool won);
// The newest of a PaymentIntent that is not over; null: there is none.
Dispute* open_dispute_of(const Account& account, std::string_view intent);
// Whether a bank has the money, or has had it for good: it cannot be refunded.
bool is_charged_back(const Account& account, const Charge& charge);

}  // namespace stripe_simulator
