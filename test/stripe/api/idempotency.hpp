// Idempotency keys by Stripe's rules: a key belongs to an account and to the endpoint and
// parameters it was first executed with; what was answered once execution had begun is kept for
// 24 hours of the settable clock and replayed byte by byte.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/blob_store.hpp"
#include "base/text.hpp"

namespace stripe_simulator {

class IdempotencyStore {
  public:
    static constexpr std::int64_t kLifetime = 24 * 3600;
    static constexpr std::size_t kMaxKeyLength = 255;

    struct Entry {
        Hash128 fingerprint;   // of the parameters
        std::string endpoint;  // the path: keys are for POST alone
        std::int64_t created = 0;
        BlobRef body;
        std::array<char, 24> original{};  // in place: there may be millions
        std::int16_t status = 0;
        bool in_progress = true;

        [[nodiscard]] std::string_view original_request() const { return original.data(); }
    };
    enum class Finding : std::uint8_t { kNew, kReplay, kInUse, kOtherEndpoint, kMismatch };

    // `scope` names account and mode. `entry` is what the key was used for before.
    Finding look_up(std::string_view scope, std::string_view key, std::string_view endpoint,
                    const Hash128& fingerprint, std::int64_t now, const Entry** entry);
    void begin(std::string_view scope, std::string_view key, std::string_view endpoint,
               const Hash128& fingerprint, std::string_view request_id, std::int64_t now);
    void complete(std::string_view scope, std::string_view key, int status, BlobRef body);
    // The request was turned away before it was executed: the key is free again.
    void abandon(std::string_view scope, std::string_view key);
    // Forgets what is old enough; look_up never answers from it anyway.
    void prune(std::int64_t now);
    // As if a day had passed for those whose names fit; how many they were.
    std::size_t forget(std::string_view pattern);
    void clear();
    [[nodiscard]] std::size_t size() const { return entries_.size(); }
    [[nodiscard]] std::uint64_t pruned() const { return pruned_; }

  private:
    static std::string full_key(std::string_view scope, std::string_view key);

    std::unordered_map<std::string, Entry> entries_;
    std::uint64_t pruned_ = 0;
};

}  // namespace stripe_simulator
