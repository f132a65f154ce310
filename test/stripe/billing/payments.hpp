// Cards and what happens when they are charged.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "api/error.hpp"
#include "billing/world.hpp"

namespace stripe_simulator {

struct ChargeResult {
    bool paid = false;
    bool needs_action = false;
    bool processing = false;    // not known yet: paid later, or failed where there is a code
    std::int64_t seconds = -1;  // until it is known; -1: until somebody says so
    std::string code;
    std::string decline_code;
    std::string message;
};

ChargeResult declined(std::string code, std::string decline_code);

// The behaviour behind a test token such as pm_card_visa or pm_usBankAccount_success; nothing for
// other names.
std::optional<CardBehaviour> card_of_token(std::string_view token);
// "ok", "declined", "insufficient_funds", "requires_action", "insufficient_over:500",
// "processing:60", …
std::optional<CardBehaviour> card_of_word(std::string_view word);

// Throws a 402 where the token's card is refused when it is attached.
PaymentMethod& make_payment_method(World& world, Account& account, std::string_view token,
                                   Customer* attach_to);

// Which method an invoice of this subscription is charged to; null: none is known.
const PaymentMethod* method_for(const Account& account, const Customer& customer,
                                const Subscription* subscription);
// Whether anything can be charged at all: a method, or a card set by control.
bool can_charge(const Account& account, const Customer& customer, const Subscription* subscription);
ChargeResult charge(const Customer* customer, const PaymentMethod* method, std::int64_t amount,
                    bool action_done);
ApiError decline_error(const ChargeResult& result);
ApiError no_payment_source();

}  // namespace stripe_simulator
