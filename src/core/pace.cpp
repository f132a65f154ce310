#include "core/pace.hpp"

#include <algorithm>
#include <cmath>

namespace pg_seats::core {
namespace {

using Seconds = std::chrono::duration<double>;

constexpr double slowest_rate = 0.01;  // so that no division ends in infinity
constexpr double fastest_rate = 1e6;
constexpr double nearly_one = 1.0 - 1e-9;  // sums of fractions do not always reach 1

double sane_rate(double rate) {
    return std::isfinite(rate) ? std::clamp(rate, slowest_rate, fastest_rate) : slowest_rate;
}

// Of a table. 100,000 rows, which take half a second at most, are still counted twice a minute.
constexpr int least_times_its_cost = 60;
// No count is older than that because it was dear.
constexpr std::chrono::minutes longest_between_counts{10};

// A burst of one second, but a slow bucket must be able to hold a whole token.
double burst_of(double rate) {
    return std::max(rate, 1.0);
}

}  // namespace

Duration until_next_look(TimePoint now, TimePoint deadline, Duration longest) {
    return std::clamp(std::chrono::ceil<Duration>(deadline - now), Duration{0}, longest);
}

TimePoint next_count(TimePoint began, TimePoint now, std::chrono::microseconds cost,
                     Duration pause) {
    const auto spread =
        std::min<std::chrono::microseconds>(least_times_its_cost * cost, longest_between_counts);
    return std::max<TimePoint>(now + pause, began + spread);
}

Duration Backoff::delay(int tries, double random,
                        std::optional<std::chrono::seconds> retry_after) const {
    Duration ceiling = first;
    for (int i = 1; i < tries && ceiling < cap; ++i) {
        ceiling *= 2;
    }
    ceiling = std::min(ceiling, cap);
    // Without a word from the other side a small floor: "at once" is no pause. With one, the jitter
    // comes on top of it, or everybody who was told the same would come back in the same instant.
    // What is said is believed up to the cap only: a header must not park a lane for a day.
    const Duration floor = retry_after
                               ? std::min(std::max(Duration(*retry_after), Duration::zero()), cap)
                               : std::min(first / 4, ceiling);
    const Duration top = retry_after ? floor + ceiling : ceiling;
    const double portion = std::isfinite(random) ? std::clamp(random, 0.0, 1.0) : 0.5;
    const auto spread = static_cast<double>((top - floor).count());
    return floor + Duration{static_cast<Duration::rep>(spread * portion)};
}

TokenBucket::TokenBucket(double rate, TimePoint now)
    : full_rate_(sane_rate(rate)),
      rate_(full_rate_),
      tokens_(burst_of(full_rate_)),
      filled_at_(now),
      slowed_at_(now) {}

void TokenBucket::set_rate(double rate) {
    const double wanted = sane_rate(rate);
    if (wanted == full_rate_) {
        return;
    }
    // A bucket that was slowed down stays slowed down in proportion.
    rate_ = std::clamp(rate_ * (wanted / full_rate_), slowest_rate, wanted);
    full_rate_ = wanted;
    tokens_ = std::min(tokens_, burst_of(rate_));
}

void TokenBucket::refill(TimePoint now) {
    if (now <= filled_at_) {
        return;
    }
    tokens_ += rate_ * Seconds(now - filled_at_).count();
    if (rate_ < full_rate_) {
        const double quiet = Seconds(now - std::max(filled_at_, slowed_at_)).count();
        rate_ = std::min(full_rate_, rate_ + quiet * full_rate_ / 10.0);
    }
    tokens_ = std::min(tokens_, burst_of(rate_));
    filled_at_ = now;
}

bool TokenBucket::take(TimePoint now) {
    refill(now);
    if (tokens_ < nearly_one) {
        return false;
    }
    tokens_ = std::max(tokens_ - 1.0, 0.0);
    return true;
}

void TokenBucket::give_back() {
    tokens_ = std::min(tokens_ + 1.0, burst_of(rate_));
}

void TokenBucket::slow_down(TimePoint now) {
    refill(now);
    tokens_ = 0;
    // A whole volley on the wire is answered 429 at once: that is one word of the limiter's, and
    // halving for each of its answers would stop everything for ten seconds.
    const bool same_volley = rate_ < full_rate_ && now - slowed_at_ < std::chrono::seconds{1};
    if (!same_volley) {
        rate_ = std::max(rate_ / 2.0, std::min(1.0, full_rate_));
        slowed_at_ = now;
    }
}

Duration TokenBucket::until_token(TimePoint now) {
    refill(now);
    if (tokens_ >= nearly_one) {
        return Duration::zero();
    }
    return std::chrono::ceil<Duration>(Seconds((1.0 - tokens_) / rate_));
}

void Breaker::succeeded() {
    // Answers to what was sent before it opened may still come in; only the probe closes it.
    if (state_ == BreakerState::closed) {
        failures_in_a_row_ = 0;
    }
}

bool Breaker::failed(TimePoint now) {
    if (state_ != BreakerState::closed || ++failures_in_a_row_ < rules_.failures) {
        return false;
    }
    state_ = BreakerState::open;
    pause_ = rules_.first_pause;
    probe_at_ = now + pause_;
    return true;
}

bool Breaker::wants_probe(TimePoint now) {
    if (state_ != BreakerState::open || now < probe_at_) {
        return false;
    }
    state_ = BreakerState::half_open;
    return true;
}

void Breaker::probe_ended(bool success, TimePoint now) {
    if (state_ != BreakerState::half_open) {
        return;
    }
    if (success) {
        state_ = BreakerState::closed;
        failures_in_a_row_ = 0;
        return;
    }
    state_ = BreakerState::open;
    pause_ = std::min(pause_ * 2, rules_.longest_pause);
    probe_at_ = now + pause_;
}

std::optional<Duration> Breaker::until_probe(TimePoint now) const {
    if (state_ != BreakerState::open) {
        return std::nullopt;
    }
    return std::max(std::chrono::ceil<Duration>(probe_at_ - now), Duration::zero());
}

}  // namespace pg_seats::core
