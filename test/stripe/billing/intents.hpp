// The life of a PaymentIntent and of its charges. Each step emits its events and moves the money.
#pragma once

#include <string_view>

#include "billing/payments.hpp"
#include "billing/world.hpp"

namespace stripe_simulator {

PaymentIntent& make_intent(World& world, Account& account, std::int64_t amount,
                           std::string_view currency, std::string_view customer);
void emit_intent(World& world, Account& account, const PaymentIntent& intent,
                 std::string_view type);

// It can still be confirmed, and cancelled.
bool is_unconfirmed(const PaymentIntent& intent);

void intent_succeeded(World& world, Account& account, PaymentIntent& intent);
// Also what needs the payer's action.
void intent_failed(World& world, Account& account, PaymentIntent& intent,
                   const ChargeResult& result);
// The payer was asked and did not pass: there is no charge.
void intent_not_authenticated(World& world, Account& account, PaymentIntent& intent);
void intent_captured(World& world, Account& account, PaymentIntent& intent, std::int64_t amount);
void cancel_intent(World& world, Account& account, PaymentIntent& intent, std::string_view reason);
// Stripe cancels by itself what nobody has paid until then.
void expire_intent_at(World& world, Account& account, PaymentIntent& intent, std::int64_t time);

// Whatever an attempt to pay has come to, with the invoice if it is one's.
void conclude(World& world, Account& account, PaymentIntent& intent, const ChargeResult& result);

}  // namespace stripe_simulator
