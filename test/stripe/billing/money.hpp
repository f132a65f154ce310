// Amounts: always integers of the currency's minor unit; prices may be finer.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "billing/objects.hpp"

namespace stripe_simulator {

// "1000" or "0.125" (minor units, at most twelve decimals) in units of 10^-12.
std::optional<__int128> parse_decimal(std::string_view text);
// So many hundredths of an amount, rounded half away from zero.
std::int64_t percent_of(std::int64_t amount, std::int64_t percent);
std::int64_t full_amount(const Price& price, std::int64_t quantity);
// The share of [start, end) that is left at `at`, to the second, rounded half away from zero.
std::int64_t prorated_amount(const Price& price, std::int64_t quantity, std::int64_t start,
                             std::int64_t end, std::int64_t at);

// currencies.cpp. All of them in minor units; a currency's name in small letters, except for
// is_currency, which takes what Stripe takes.
bool is_currency(std::string_view text);
// Below it Stripe does not charge a card but carries the amount on the customer's balance.
std::int64_t minimum_charge(std::string_view currency);
std::int64_t maximum_charge(std::string_view currency);
// Amounts are multiples of it: 10 where there are three decimals, 100 for ISK and UGX.
std::int64_t charge_step(std::string_view currency);

}  // namespace stripe_simulator
