// The settable clock: everything that Stripe would date or let expire goes by it. It runs with
// the wall clock, from wherever it was set to, unless it is frozen.
#pragma once

#include <cstdint>
#include <ctime>
#include <string>

namespace stripe_simulator {

class Clock {
  public:
    Clock() : base_(wall()), since_(wall()) {}

    static std::int64_t wall() { return static_cast<std::int64_t>(std::time(nullptr)); }
    [[nodiscard]] std::int64_t now() const { return frozen_ ? base_ : base_ + (wall() - since_); }
    // What the Date header says: the real time whatever this clock is set to, as of Stripe's test
    // clocks, unless we are to look like a machine whose clock is wrong.
    [[nodiscard]] std::int64_t date() const { return wall() + date_offset_; }
    void set_date_offset(std::int64_t seconds) { date_offset_ = seconds; }
    [[nodiscard]] bool frozen() const { return frozen_; }
    void set(std::int64_t to) {
        base_ = to;
        since_ = wall();
    }
    void freeze(bool frozen) {
        set(now());
        frozen_ = frozen;
    }

  private:
    std::int64_t base_;
    std::int64_t since_;
    bool frozen_ = false;
    std::int64_t date_offset_ = 0;
};

// "Fri, 21 Nov 2025 01:34:00 GMT"
std::string http_date(std::int64_t at);
// The start of the n-th interval after an anchor; keeps the anchor's day where the month has it.
std::int64_t add_interval(std::int64_t anchor, const std::string& interval, std::int64_t count);

}  // namespace stripe_simulator
