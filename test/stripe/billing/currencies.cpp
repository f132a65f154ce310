// What Stripe documents of the currencies that it takes.

#include <algorithm>
#include <array>
#include <cctype>

#include "billing/money.hpp"

namespace stripe_simulator {

namespace {

constexpr std::string_view kCurrencies =
    "aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp byn "
    "bzd cad cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd "
    "gnf gtq gyd hkd hnl hrk htg huf idr ils inr isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt "
    "lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mro mur mvr mwk mxn myr mzn nad ngn nio nok "
    "npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle sos "
    "srd std szl thb tjs tnd top try ttd twd tzs uah ugx usd uyu uzs vnd vuv wst xaf xcd xof xpf "
    "yer zar zmw";

using Amount = std::pair<std::string_view, std::int64_t>;

// Where the money is paid out in the same currency; of others Stripe converts half a dollar.
constexpr std::array<Amount, 23> kMinimums{{
    {"aed", 200},   {"bgn", 100},  {"czk", 1500}, {"dkk", 250},   {"gbp", 30},     {"hkd", 400},
    {"huf", 17500}, {"mxn", 1000}, {"myr", 200},  {"nok", 300},   {"pln", 200},    {"ron", 200},
    {"sek", 300},   {"thb", 1000}, {"bhd", 190},  {"jod", 360},   {"kwd", 160},    {"omr", 200},
    {"tnd", 1560},  {"isk", 7000}, {"krw", 700},  {"vnd", 13000}, {"ugx", 190000},
}};

constexpr std::array<Amount, 4> kMaximums{
    {{"cop", 9999999999}, {"huf", 9999999999}, {"idr", 999999999999}, {"inr", 999999999}}};

template <std::size_t kSize>
std::int64_t amount_of(const std::array<Amount, kSize>& list, std::string_view currency,
                       std::int64_t otherwise) {
    const auto found = std::find_if(list.begin(), list.end(),
                                    [&](const Amount& one) { return one.first == currency; });
    return found == list.end() ? otherwise : found->second;
}

}  // namespace

bool is_currency(std::string_view text) {
    std::string lower(text);
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const std::size_t at = lower.size() == 3 ? kCurrencies.find(lower) : std::string_view::npos;
    return at != std::string_view::npos && at % 4 == 0;
}

std::int64_t minimum_charge(std::string_view currency) {
    return amount_of(kMinimums, currency, 50);
}

std::int64_t maximum_charge(std::string_view currency) {
    return amount_of(kMaximums, currency, 99999999);
}

std::int64_t charge_step(std::string_view currency) {
    if (currency == "isk" || currency == "ugx") {
        return 100;
    }
    const bool three_decimals = currency == "bhd" || currency == "jod" || currency == "kwd" ||
                                currency == "omr" || currency == "tnd";
    return three_decimals ? 10 : 1;
}

}  // namespace stripe_simulator
