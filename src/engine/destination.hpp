// A destination as the worker sees it: its key, whether it was proven to be the right one, its
// pace, and what is ready to go there.
#pragma once

#include <deque>
#include <map>

#include "core/mistakes.hpp"
#include "core/pace.hpp"
#include "kinds/flight.hpp"

#include "kinds/address.hpp"

namespace pg_seats::engine {

using core::Call;
using core::Purpose;
using core::TimePoint;
using kinds::Flight;

// Between two probes, to begin with; doubled with each that fails.
constexpr core::Duration first_probe_pause{1'000};

struct Destination : kinds::Address {
    explicit Destination(TimePoint now) : bucket(1, now), breaker(core::Breaker::Rules{}) {}

    // From the table, as the address is.
    std::string kind, secret_name, account, probe_path;
    double requests_per_second = 1;
    bool paused = false;
    bool halted = false;
    bool halted_needs_person = false;
    bool halt_is_stored = true;  // the table knows
    std::string halt_reason, halt_message;
    std::string halt_reason_told;         // what the journal says
    core::Mistakes mistakes;              // refusals that may be ours
    std::vector<std::int64_t> take_back;  // in review for what turned out to be everywhere

    // Of the key; and whether a read with it has shown the account and mode that we expect.
    pg::SecretStamp key_stamp;
    std::string key_problem;          // why there is no key; empty if there is one
    bool key_problem_is_told = true;  // of a receiver's: one of Stripe's is a halt
    bool proven = false;
    int key_number = 0;  // rises with every loading: an answer to the former key proves nothing
    std::string account_to_pin;  // learned by a probe, not yet in the table

    core::TokenBucket bucket;
    core::Breaker breaker;

    // Our clock, by the Date of its answers.
    std::chrono::seconds clock_offset{0};  // of the last one; above zero: ours is behind
    int answers_off = 0;                   // in a row, by more than is well
    bool clock_is_off = false;
    bool clock_was_compared = false;
    bool clock_is_stored = true;  // the table knows

    bool probe_out = false;
    int probes_failed = 0;         // in a row: it could not be reached
    std::string trouble;           // why it was not proven, or does not answer
    bool trouble_is_told = true;   // by an alert, or that it is over
    bool probe_is_wanted = false;  // an answer speaks of the whole destination: is it so?
    TimePoint probe_at{};
    core::Duration probe_pause{0};

    int in_flight = 0;
    int chosen = 0;  // for the claim that is being made: as good as on the wire
    bool listing_events = false;
    int lists_refused = 0;      // in a row
    int events_per_page = 100;  // fewer where so many are more than an answer may hold

    // Ready to be claimed: rows without a lane, and lanes whose first row has to be looked at.
    std::deque<std::int64_t> ready_rows;
    std::deque<std::int64_t> ready_lanes;
    // Reads that run beside a lane: (id, lane).
    std::deque<std::pair<std::int64_t, std::int64_t>> ready_reads;
    std::size_t turn = 0;  // which of the three was taken from last
    // Where reading the table has to begin to find what did not fit; nullopt: nothing was missed.
    std::optional<std::int64_t> missed_above;

    [[nodiscard]] bool is_stripe() const { return kind == "stripe"; }
    [[nodiscard]] bool takes_calls() const {
        return !paused && !halted && proven && breaker.lets_pass();
    }
    [[nodiscard]] std::size_t ready() const {
        return ready_rows.size() + ready_lanes.size() + ready_reads.size();
    }
};

// Where a flight goes is always one of ours.
[[nodiscard]] inline Destination& destination_of(const Flight& flight) {
    return static_cast<Destination&>(*flight.address);
}

// By name; a map, because the flights point at its elements.
using Destinations = std::map<std::string, Destination, std::less<>>;

}  // namespace pg_seats::engine
