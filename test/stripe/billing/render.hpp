// How objects look in answers and events, at a given API version.
#pragma once

#include <string>
#include <string_view>

#include "billing/world.hpp"

namespace stripe_simulator {

// Before basil the billing period was on the subscription, and invoices named their
// subscription and PaymentIntent directly.
inline bool before_basil(std::string_view version) {
    return version.substr(0, 10) < "2025-03-31";
}

std::string customer_text(const Account& account, const Customer& customer);
Json render(const Account& account, const Customer& customer);
Json render(const Account& account, const Product& product);
Json render(const Account& account, const Price& price);
Json render(const Account& account, const PaymentMethod& method);
Json render(const Account& account, const Item& item, std::string_view subscription,
            std::string_view version);
Json render(const Account& account, const Subscription& subscription, std::string_view version);
Json render(const Account& account, const InvoiceLine& line, const Invoice& invoice);
Json render(const Account& account, const Invoice& invoice, std::string_view version);
Json render_invoice_payments(const Account& account, const Invoice& invoice);
Json render(const Account& account, const PaymentIntent& intent);
Json render(const Account& account, const Charge& charge);
Json render(const Account& account, const Refund& refund);
Json render(const Account& account, const Dispute& dispute);

// The object that an id stands for; null when there is none.
Json render_by_id(const Account& account, std::string_view id, std::string_view version);
// Replaces ids by objects where `expand` says so.
void expand(const Account& account, Json& object, const std::vector<std::string_view>& paths,
            std::string_view version);

}  // namespace stripe_simulator
