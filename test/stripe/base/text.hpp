// Small helpers on text: patterns, numbers, ids, hashes and seeded chance.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace stripe_simulator {

// '*' stands for any run of characters, '?' for one.
bool glob_match(std::string_view pattern, std::string_view text);
bool iequals(std::string_view left, std::string_view right);
std::optional<std::int64_t> parse_integer(std::string_view text);
bool is_valid_utf8(std::string_view text);
std::uint64_t mix(std::uint64_t value);

struct Hash128 {
    std::uint64_t low = 0;
    std::uint64_t high = 0;
    bool operator==(const Hash128&) const = default;
    // Commutative, so that the order of a form's fields does not matter.
    void add(std::string_view name, std::string_view value);
};

// A splitmix64 sequence: the same seed gives the same run.
class Chance {
  public:
    explicit Chance(std::uint64_t seed) : state_(mix(seed ^ 0x5eed)) {}
    std::uint64_t next() { return mix(state_ += 0x9e3779b97f4a7c15ULL); }
    bool happens(double probability) {
        return static_cast<double>(next() >> 11) * 0x1.0p-53 < probability;
    }
    std::uint64_t below(std::uint64_t limit) { return limit == 0 ? 0 : next() % limit; }

  private:
    std::uint64_t state_;
};

// Ids that look like Stripe's, are unique, and repeat with the seed.
class IdMaker {
  public:
    explicit IdMaker(std::uint64_t seed) : seed_(mix(seed)) {}
    std::string make(std::string_view prefix, std::size_t letters);

  private:
    std::uint64_t seed_;
    std::uint64_t count_ = 0;
};

}  // namespace stripe_simulator
