#include "core/pace.hpp"

#include <gtest/gtest.h>

#include <random>

namespace pg_seats::test {
namespace {

using namespace std::chrono_literals;
using core::Backoff;
using core::Breaker;
using core::BreakerState;
using core::Duration;
using core::TimePoint;
using core::TokenBucket;

const TimePoint start = TimePoint{} + 1h;

TEST(UntilNextLook, is_what_is_left_and_not_too_long) {
    EXPECT_EQ(core::until_next_look(start, start + 300ms, 1'000ms), 300ms);
    EXPECT_EQ(core::until_next_look(start, start + 24h, 1'000ms), 1'000ms);
}

TEST(UntilNextLook, has_not_come_before_the_time_is_over) {
    EXPECT_EQ(core::until_next_look(start, start + 1ns, 1'000ms), 1ms);
}

TEST(UntilNextLook, is_never_below_zero) {
    EXPECT_EQ(core::until_next_look(start, start, 1'000ms), 0ms);
    EXPECT_EQ(core::until_next_look(start + 1ns, start, 1'000ms), 0ms);
    EXPECT_EQ(core::until_next_look(start + 1h, start, 1'000ms), 0ms)
        << "a session that was stopped meanwhile would wait without end";
}

TEST(NextCount, of_few_rows_is_after_the_pause) {
    EXPECT_EQ(core::next_count(start, start + 20ms, 3ms, 1s), start + 1'020ms);
    EXPECT_EQ(core::next_count(start, start + 3s, 500ms, 30s), start + 33s) << "100,000 seat lines";
}

TEST(NextCount, of_many_rows_takes_a_sixtieth_of_the_time) {
    EXPECT_EQ(core::next_count(start, start + 8s, 1'300ms, 1s), start + 78s);
    EXPECT_EQ(core::next_count(start, start + 30s, 5s, 30s), start + 5min);
}

TEST(NextCount, is_not_put_off_where_the_count_itself_took_long) {
    EXPECT_EQ(core::next_count(start, start + 66s, 1'300ms, 1s), start + 78s);
    EXPECT_EQ(core::next_count(start, start + 90s, 1'300ms, 1s), start + 91s);
}

TEST(NextCount, is_not_later_than_ten_minutes) {
    EXPECT_EQ(core::next_count(start, start + 3min, 30s, 30s), start + 10min);
    EXPECT_EQ(core::next_count(start, start + 20min, 30s, 30s), start + 20min + 30s);
}

TEST(Backoff, ceiling_doubles_up_to_the_cap) {
    const Backoff backoff{.first = 500ms, .cap = 60'000ms};
    EXPECT_EQ(backoff.delay(1, 1.0, std::nullopt), 500ms);
    EXPECT_EQ(backoff.delay(2, 1.0, std::nullopt), 1'000ms);
    EXPECT_EQ(backoff.delay(7, 1.0, std::nullopt), 32'000ms);
    EXPECT_EQ(backoff.delay(8, 1.0, std::nullopt), 60'000ms);
    EXPECT_EQ(backoff.delay(2'000'000'000, 1.0, std::nullopt), 60'000ms);
}

TEST(Backoff, is_never_outside_its_range) {
    const Backoff backoff;
    std::mt19937 engine(1);  // the same every time
    std::uniform_real_distribution<double> random(0.0, 1.0);
    for (int tries = -3; tries < 40; ++tries) {
        for (int i = 0; i < 100; ++i) {
            const Duration delay = backoff.delay(tries, random(engine), std::nullopt);
            EXPECT_GE(delay, backoff.first / 4);
            EXPECT_LE(delay, backoff.cap);
        }
    }
}

TEST(Backoff, bad_randomness_does_no_harm) {
    const Backoff backoff;
    for (const double random : {-1.0, 2.0, std::numeric_limits<double>::quiet_NaN(),
                                std::numeric_limits<double>::infinity()}) {
        EXPECT_GE(backoff.delay(3, random, std::nullopt), 0ms);
        EXPECT_LE(backoff.delay(3, random, std::nullopt), backoff.cap);
    }
}

TEST(Backoff, retry_after_is_a_floor_with_jitter_above) {
    const Backoff backoff;
    EXPECT_EQ(backoff.delay(1, 0.0, 10s), 10s);
    EXPECT_EQ(backoff.delay(1, 1.0, 10s), 10'500ms);
}

TEST(Backoff, absurd_retry_after_parks_nobody) {
    const Backoff backoff;
    EXPECT_LE(backoff.delay(1, 1.0, std::chrono::seconds{86'400}), 2 * backoff.cap);
    EXPECT_LE(backoff.delay(50, 1.0, std::chrono::seconds{2'000'000'000}), 2 * backoff.cap);
    EXPECT_GE(backoff.delay(1, 0.0, std::chrono::seconds{-5}), 0ms);
}

// How many tokens are taken in [from, from + length) by someone who asks every millisecond.
int taken(TokenBucket& bucket, TimePoint from, Duration length) {
    int count = 0;
    for (TimePoint now = from; now < from + length; now += 1ms) {
        while (bucket.take(now)) {
            ++count;
        }
    }
    return count;
}

TEST(TokenBucket, holds_a_burst_of_one_second_and_then_the_rate) {
    TokenBucket bucket(20, start);
    EXPECT_EQ(taken(bucket, start, 1ms), 20);
    EXPECT_NEAR(taken(bucket, start + 1ms, 10s), 200, 1);
    EXPECT_NEAR(taken(bucket, start + 1h, 1ms), 20, 0) << "a long pause saves up no more";
}

TEST(TokenBucket, no_window_holds_more_than_burst_and_rate) {
    std::mt19937 engine(2);
    std::uniform_int_distribution<int> step(1, 400);
    TokenBucket bucket(25, start);
    std::vector<TimePoint> takes;
    for (TimePoint now = start; now < start + 60s; now += Duration{step(engine)}) {
        while (bucket.take(now)) {
            takes.push_back(now);
        }
    }
    for (std::size_t i = 0; i < takes.size(); ++i) {
        const auto in_window =
            std::count_if(takes.begin() + static_cast<std::ptrdiff_t>(i), takes.end(),
                          [&](TimePoint t) { return t - takes[i] < 1s; });
        EXPECT_LE(in_window, 50);
    }
}

TEST(TokenBucket, waiting_as_told_gives_a_token) {
    std::mt19937 engine(3);
    std::uniform_real_distribution<double> rate(0.02, 500);
    for (int i = 0; i < 1'000; ++i) {
        TimePoint now = start;
        TokenBucket bucket(rate(engine), now);
        while (bucket.take(now)) {
        }
        const Duration wait = bucket.until_token(now);
        EXPECT_GT(wait, 0ms);
        now += wait;
        EXPECT_EQ(bucket.until_token(now), 0ms);
        EXPECT_TRUE(bucket.take(now));
    }
}

TEST(TokenBucket, what_was_not_sent_is_given_back) {
    TokenBucket bucket(5, start);
    EXPECT_EQ(taken(bucket, start, 1ms), 5);
    bucket.give_back();
    EXPECT_TRUE(bucket.take(start));
    EXPECT_FALSE(bucket.take(start));
    for (int i = 0; i < 100; ++i) {
        bucket.give_back();
    }
    EXPECT_EQ(taken(bucket, start, 1ms), 5);
}

TEST(TokenBucket, slows_down_at_once_and_recovers_by_a_tenth_a_second) {
    TokenBucket bucket(80, start);
    bucket.slow_down(start);
    EXPECT_DOUBLE_EQ(bucket.current_rate(), 40);
    EXPECT_FALSE(bucket.take(start)) << "the burst is gone too";
    EXPECT_EQ(bucket.until_token(start + 2s), 0ms);
    EXPECT_NEAR(bucket.current_rate(), 56, 0.001);
    EXPECT_EQ(bucket.until_token(start + 30s), 0ms);
    EXPECT_DOUBLE_EQ(bucket.current_rate(), 80);
}

TEST(TokenBucket, a_volley_of_429_is_one_word) {
    TokenBucket bucket(80, start);
    for (int i = 0; i < 50; ++i) {
        bucket.slow_down(start + std::chrono::milliseconds{i});
    }
    EXPECT_NEAR(bucket.current_rate(), 40, 1);
}

TEST(TokenBucket, is_never_slower_than_one_a_second_by_the_limiter) {
    TokenBucket bucket(80, start);
    for (int i = 0; i < 50; ++i) {
        bucket.slow_down(start + std::chrono::seconds{i});
    }
    EXPECT_GE(bucket.current_rate(), 1);
    TokenBucket slow(0.5, start);
    slow.slow_down(start + 1s);
    EXPECT_DOUBLE_EQ(slow.current_rate(), 0.5);
}

TEST(TokenBucket, slow_rate_still_gives_whole_tokens) {
    TokenBucket bucket(0.1, start);
    EXPECT_TRUE(bucket.take(start));
    EXPECT_FALSE(bucket.take(start + 9s));
    EXPECT_TRUE(bucket.take(start + 10s));
}

TEST(TokenBucket, absurd_rates_and_a_clock_that_stands_do_no_harm) {
    for (const double rate : {0.0, -1.0, std::numeric_limits<double>::quiet_NaN(),
                              std::numeric_limits<double>::infinity(), 1e300}) {
        TokenBucket bucket(rate, start);
        EXPECT_TRUE(bucket.take(start));
        EXPECT_LE(bucket.until_token(start - 1h), 101s);
    }
}

TEST(TokenBucket, new_rate_keeps_the_slowness) {
    TokenBucket bucket(80, start);
    bucket.slow_down(start);
    bucket.set_rate(20);
    EXPECT_DOUBLE_EQ(bucket.current_rate(), 10);
    bucket.set_rate(20);
    EXPECT_DOUBLE_EQ(bucket.current_rate(), 10);
    EXPECT_EQ(bucket.until_token(start + 30s), 0ms);
    EXPECT_DOUBLE_EQ(bucket.current_rate(), 20);
}

TEST(Breaker, opens_after_failures_in_a_row_only) {
    Breaker breaker(Breaker::Rules{.failures = 3, .first_pause = 1s, .longest_pause = 5s});
    EXPECT_FALSE(breaker.failed(start));
    EXPECT_FALSE(breaker.failed(start));
    breaker.succeeded();
    EXPECT_FALSE(breaker.failed(start));
    EXPECT_FALSE(breaker.failed(start));
    EXPECT_TRUE(breaker.lets_pass());
    EXPECT_TRUE(breaker.failed(start)) << "said once";
    EXPECT_FALSE(breaker.lets_pass());
    EXPECT_FALSE(breaker.failed(start));
    EXPECT_EQ(breaker.state(), BreakerState::open);
}

class OpenBreaker : public testing::Test {
  protected:
    OpenBreaker() {
        breaker_.failed(start);
        breaker_.failed(start);
    }
    Breaker breaker_{Breaker::Rules{.failures = 2, .first_pause = 1s, .longest_pause = 5s}};
};

TEST_F(OpenBreaker, wants_one_probe_when_the_pause_is_over) {
    EXPECT_EQ(breaker_.until_probe(start), 1s);
    EXPECT_FALSE(breaker_.wants_probe(start + 999ms));
    EXPECT_EQ(breaker_.until_probe(start + 2s), 0s);
    EXPECT_TRUE(breaker_.wants_probe(start + 1s));
    EXPECT_FALSE(breaker_.wants_probe(start + 1s));
    EXPECT_EQ(breaker_.state(), BreakerState::half_open);
    EXPECT_FALSE(breaker_.lets_pass());
    EXPECT_FALSE(breaker_.until_probe(start + 1s).has_value());
}

TEST_F(OpenBreaker, closes_on_a_good_probe_and_starts_counting_anew) {
    EXPECT_TRUE(breaker_.wants_probe(start + 1s));
    breaker_.probe_ended(true, start + 2s);
    EXPECT_TRUE(breaker_.lets_pass());
    EXPECT_FALSE(breaker_.failed(start + 2s));
    EXPECT_TRUE(breaker_.failed(start + 2s));
    EXPECT_EQ(breaker_.until_probe(start + 2s), 1s) << "the pause is the first again";
}

TEST_F(OpenBreaker, doubles_its_pause_up_to_the_longest) {
    TimePoint now = start;
    for (const Duration pause : {1'000ms, 2'000ms, 4'000ms, 5'000ms, 5'000ms}) {
        EXPECT_EQ(breaker_.until_probe(now), pause);
        now += pause;
        EXPECT_TRUE(breaker_.wants_probe(now));
        breaker_.probe_ended(false, now);
    }
}

TEST_F(OpenBreaker, is_not_closed_by_latecomers) {
    breaker_.succeeded();
    EXPECT_FALSE(breaker_.lets_pass());
    breaker_.probe_ended(true, start);
    EXPECT_FALSE(breaker_.lets_pass()) << "no probe was out";
}

}  // namespace
}  // namespace pg_seats::test
