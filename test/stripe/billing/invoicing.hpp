// The life of an invoice: made, finalised, paid, failed, voided.
#pragma once

#include <string_view>
#include <vector>

#include "billing/payments.hpp"
#include "billing/world.hpp"

namespace stripe_simulator {

// An invoice that nobody knows of yet: lines, totals, the customer's balance, to which `returning`
// comes back from an invoice that this one will replace.
Invoice draft_invoice(World& world, const Subscription& subscription,
                      std::vector<InvoiceLine> lines, std::string_view billing_reason,
                      std::int64_t returning = 0);
// Makes it real: number, balance, PaymentIntent, events. Nothing due: paid at once.
Invoice& issue_invoice(World& world, Account& account, Subscription& subscription, Invoice draft);
void emit_invoice(World& world, Account& account, const Invoice& invoice, std::string_view type);

// One attempt to charge what is due.
ChargeResult attempt_payment(const Account& account, const Invoice& invoice);
// What follows from it; also applies a pending update and mends the subscription's status.
void invoice_paid(World& world, Account& account, Invoice& invoice);
void invoice_failed(World& world, Account& account, Invoice& invoice, const ChargeResult& result);
void void_invoice(World& world, Account& account, Invoice& invoice);

}  // namespace stripe_simulator
