// When to try, and how fast: backoff with full jitter, token bucket, circuit breaker; when to look,
// and to count.
// Time and randomness are handed in, so that tests need neither a clock nor luck.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "core/pure.hpp"

namespace pg_seats::core {

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;
using Duration = std::chrono::milliseconds;

// How long to sleep before the next look by who waits until `deadline`: `longest` at most. Zero:
// his time is over. Never less, as sleeping takes a negative time for one without end.
[[nodiscard]] Duration until_next_look(TimePoint now, TimePoint deadline, Duration longest);

// When rows are to be counted again that were counted from `began` until `now`, for `cost` of a
// processor: after `pause`; and where they are many so much later that counting takes a small share
// of the time, in the long run. Who is told how many there are can wait; what is sent cannot.
[[nodiscard]] TimePoint next_count(TimePoint began, TimePoint now, std::chrono::microseconds cost,
                                   Duration pause);

struct Backoff {
    Duration first{500};
    Duration cap{60'000};
    // Full jitter over [floor, ceiling(tries)]: tries is 1 for the first repetition.
    // random is uniform over [0, 1).
    [[nodiscard]] Duration delay(int tries, double random,
                                 std::optional<std::chrono::seconds> retry_after) const;
};

// Tokens per second with a burst of one second. After a 429 the rate halves (not below one a
// second) and recovers by a tenth of the full rate for each quiet second.
class TokenBucket {
  public:
    TokenBucket(double rate, TimePoint now);
    void set_rate(double rate);
    [[nodiscard]] bool take(TimePoint now);
    void give_back();  // a token taken for something that was not sent after all
    void slow_down(TimePoint now);
    // How long until the next token; zero if there is one.
    [[nodiscard]] Duration until_token(TimePoint now);
    [[nodiscard]] double current_rate() const noexcept { return rate_; }

  private:
    void refill(TimePoint now);
    double full_rate_;
    double rate_;
    double tokens_;
    TimePoint filled_at_;
    TimePoint slowed_at_;
};

enum class BreakerState : std::uint8_t { closed, open, half_open };

// Opens after `failures` transport errors or 5xx in a row; while open nothing is sent but, when the
// pause is over, one probe (a read). Its success closes the breaker, its failure doubles the pause.
class Breaker {
  public:
    struct Rules {
        int failures = 5;
        Duration first_pause{1'000};
        Duration longest_pause{30'000};
    };
    explicit Breaker(Rules rules) : rules_(rules) {}
    void succeeded();
    // Returns true if this failure opened the breaker.
    bool failed(TimePoint now);
    [[nodiscard]] bool lets_pass() const noexcept { return state_ == BreakerState::closed; }
    // True once per pause: the caller must then send a probe and report its outcome.
    [[nodiscard]] bool wants_probe(TimePoint now);
    void probe_ended(bool success, TimePoint now);
    // Until wants_probe() may say true; nullopt while closed or while a probe is out.
    [[nodiscard]] std::optional<Duration> until_probe(TimePoint now) const;
    [[nodiscard]] BreakerState state() const noexcept { return state_; }

  private:
    Rules rules_;
    BreakerState state_ = BreakerState::closed;
    int failures_in_a_row_ = 0;
    Duration pause_{0};
    TimePoint probe_at_{};
};

}  // namespace pg_seats::core
