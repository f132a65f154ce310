#include "http/headers.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>

#include "core/ascii.hpp"

namespace pg_seats::http {
namespace {

using Store = void (*)(ResponseHeaders&, std::string_view);

constexpr std::size_t longest_value = 500;

bool equal_ignoring_case(std::string_view text, std::string_view lower_case) noexcept {
    if (text.size() != lower_case.size()) {
        return false;
    }
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (core::lower(text[i]) != lower_case[i]) {
            return false;
        }
    }
    return true;
}

std::string_view trimmed(std::string_view text) noexcept {
    constexpr std::string_view blanks = " \t\r\n";
    const std::size_t first = text.find_first_not_of(blanks);
    if (first == std::string_view::npos) {
        return {};
    }
    return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

// Values end in tables and logs: bounded, and nothing but printable ASCII.
std::string plain(std::string_view value) {
    std::string text(value.substr(0, longest_value));
    for (char& c : text) {
        if (c < 0x20 || c > 0x7e) {
            c = '?';
        }
    }
    return text;
}

// What is not of an id's form is none: this one stands in tables, views and logs.
std::string id_from(std::string_view value) {
    constexpr std::size_t longest = 100;
    const bool is_id =
        value.size() <= longest && std::all_of(value.begin(), value.end(), [](char c) {
            return core::is_alphanumeric(c) || c == '_' || c == '-' || c == '.';
        });
    return is_id ? std::string(value) : std::string();
}

int number_at(std::string_view text, std::size_t at, std::size_t digits) noexcept {
    int value = -1;
    const char* const first = text.data() + at;
    const auto [end, error] = std::from_chars(first, first + digits, value);
    return error == std::errc{} && end == first + digits ? value : -1;
}

// The one form that servers send: Tue, 14 Nov 2023 22:13:20 GMT. (curl_getdate knows them all, and
// is a few per cent of the time that a request takes.)
std::optional<std::chrono::sys_seconds> parse_date(std::string_view value) {
    constexpr std::string_view months = "JanFebMarAprMayJunJulAugSepOctNovDec";
    if (value.size() != 29 || !value.ends_with(" GMT")) {
        return std::nullopt;
    }
    const std::size_t month = months.find(value.substr(8, 3));
    const int day = number_at(value, 5, 2);
    const int year = number_at(value, 12, 4);
    const int hour = number_at(value, 17, 2);
    const int minute = number_at(value, 20, 2);
    const int second = number_at(value, 23, 2);
    const std::chrono::year_month_day date{std::chrono::year{year},
                                           std::chrono::month{static_cast<unsigned>(month / 3 + 1)},
                                           std::chrono::day{static_cast<unsigned>(day)}};
    if (month == std::string_view::npos || month % 3 != 0 || day < 1 || year < 1970 || !date.ok() ||
        hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60) {
        return std::nullopt;
    }
    return std::chrono::sys_days{date} + std::chrono::hours{hour} + std::chrono::minutes{minute} +
           std::chrono::seconds{second};
}

// Only the form in seconds: nobody promises Retry-After at all, and a date would need a clock.
std::optional<std::chrono::seconds> parse_seconds(std::string_view value) {
    int seconds = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), seconds);
    if (error != std::errc{} || end != value.data() + value.size() || seconds < 0) {
        return std::nullopt;
    }
    return std::chrono::seconds{seconds};
}

struct Known {
    std::string_view name;
    Store store;
};

constexpr std::array known{
    Known{"request-id", [](ResponseHeaders& h, std::string_view v) { h.request_id = id_from(v); }},
    Known{"idempotency-key",
          [](ResponseHeaders& h, std::string_view v) { h.idempotency_key = plain(v); }},
    Known{"idempotent-replayed",
          [](ResponseHeaders& h, std::string_view v) {
              h.replayed = equal_ignoring_case(v, "true");
          }},
    Known{"stripe-should-retry",
          [](ResponseHeaders& h, std::string_view v) {
              if (equal_ignoring_case(v, "true")) {
                  h.should_retry = true;
              } else if (equal_ignoring_case(v, "false")) {
                  h.should_retry = false;
              }
          }},
    Known{"stripe-rate-limited-reason",
          [](ResponseHeaders& h, std::string_view v) { h.rate_limited_reason = plain(v); }},
    Known{"content-type",
          [](ResponseHeaders& h, std::string_view v) { h.content_type = plain(v); }},
    // A redirect's query may hold a token; where it points to is said by the rest.
    Known{"location",
          [](ResponseHeaders& h, std::string_view v) {
              h.location = plain(v.substr(0, v.find_first_of("?#")));
          }},
    Known{"retry-after",
          [](ResponseHeaders& h, std::string_view v) { h.retry_after = parse_seconds(v); }},
    Known{"date", [](ResponseHeaders& h, std::string_view v) { h.date = parse_date(v); }},
};

}  // namespace

void HeadReader::reset() noexcept {
    *this = HeadReader{};
}

bool HeadReader::take(std::string_view line, ResponseHeaders& into) {
    bytes_ += line.size();
    if (bytes_ > limit) {
        return false;
    }
    if (line.starts_with("HTTP/")) {
        // A new head: what came before it was interim (1xx).
        into = ResponseHeaders{};
        const std::size_t blank = line.find(' ');
        interim_ = blank != std::string_view::npos && line.substr(blank + 1).starts_with('1');
        complete_ = false;
        return true;
    }
    if (complete_) {
        return true;  // a trailer: nothing that is decided by it
    }
    if (line == "\r\n" || line == "\n") {
        complete_ = !interim_;
        return true;
    }
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) {
        return true;
    }
    const std::string_view name = line.substr(0, colon);
    for (const Known& header : known) {
        if (equal_ignoring_case(name, header.name)) {
            header.store(into, trimmed(line.substr(colon + 1)));
            break;
        }
    }
    return true;
}

}  // namespace pg_seats::http
