#include "base/clock.hpp"

#include <algorithm>
#include <chrono>

namespace stripe_simulator {

std::string http_date(std::int64_t at) {
    const auto seconds = static_cast<std::time_t>(at);
    std::tm parts{};
    gmtime_r(&seconds, &parts);
    char text[64];
    const std::size_t size = std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
    return {text, size};
}

std::int64_t add_interval(std::int64_t anchor, const std::string& interval, std::int64_t count) {
    using std::chrono::days;
    if (interval == "day") {
        return anchor + count * 86400;
    }
    if (interval == "week") {
        return anchor + count * 7 * 86400;
    }
    const std::int64_t months = interval == "year" ? count * 12 : count;
    const std::chrono::sys_seconds start{std::chrono::seconds(anchor)};
    const auto midnight = std::chrono::floor<days>(start);
    const std::chrono::year_month_day date{midnight};
    auto moved = std::chrono::year_month(date.year(), date.month()) +
                 std::chrono::months(static_cast<int>(months));
    const std::chrono::year_month_day_last last(moved.year(),
                                                std::chrono::month_day_last(moved.month()));
    const std::chrono::sys_days day =
        std::chrono::year_month_day(moved.year(), moved.month(), std::min(date.day(), last.day()));
    return (day + (start - midnight)).time_since_epoch().count();
}

}  // namespace stripe_simulator
