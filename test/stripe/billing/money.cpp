#include "billing/money.hpp"

namespace stripe_simulator {

namespace {

constexpr __int128 kPico = 1000000000000;

std::int64_t rounded_quotient(__int128 numerator, __int128 denominator) {
    const bool negative = numerator < 0;
    const __int128 positive = negative ? -numerator : numerator;
    const auto quotient = static_cast<std::int64_t>((positive + denominator / 2) / denominator);
    return negative ? -quotient : quotient;
}

}  // namespace

std::optional<__int128> parse_decimal(std::string_view text) {
    const std::size_t point = text.find('.');
    const std::string_view whole = text.substr(0, point);
    std::string_view fraction =
        point == std::string_view::npos ? std::string_view() : text.substr(point + 1);
    if (whole.empty() || whole.size() > 12 || fraction.size() > 12) {
        return std::nullopt;
    }
    __int128 value = 0;
    for (std::size_t i = 0; i < whole.size() + 12; ++i) {
        char digit = '0';
        if (i < whole.size()) {
            digit = whole[i];
        } else if (i - whole.size() < fraction.size()) {
            digit = fraction[i - whole.size()];
        }
        if (digit < '0' || digit > '9') {
            return std::nullopt;
        }
        value = value * 10 + (digit - '0');
    }
    return value;
}

std::int64_t percent_of(std::int64_t amount, std::int64_t percent) {
    return rounded_quotient(static_cast<__int128>(amount) * percent, 100);
}

std::int64_t full_amount(const Price& price, std::int64_t quantity) {
    return rounded_quotient(price.unit_pico * quantity, kPico);
}

std::int64_t prorated_amount(const Price& price, std::int64_t quantity, std::int64_t start,
                             std::int64_t end, std::int64_t at) {
    if (end <= start) {
        return 0;
    }
    return rounded_quotient(price.unit_pico * quantity * (end - at), kPico * (end - start));
}

}  // namespace stripe_simulator
