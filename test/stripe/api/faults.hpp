// Rules by which requests go wrong.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"
#include "base/text.hpp"

namespace stripe_simulator {

enum class FaultKind : std::uint8_t {
    kHang,
    kHangAfter,
    kDelay,
    kExecuteAndDrop,
    kExecuteLater,
    kExecuteAnd500,
    kError500,
    kError424,
    kConflict409,
    kRateLimit429,
    kLockTimeout,
    kUnauthorized401,
    kForbidden403,
    kUnknownParameter,
    kShouldRetryTrue,
    kDeclined402,
    kRedirect,
    kHtml200,
    kHtml502,
    kAnswer,
    kCloseBefore,
    kCutHead,
    kCutBody,
    kShortContentLength,
    kSlowBody,
    kGarbage,
};

struct FaultRule {
    std::string id;
    FaultKind kind = FaultKind::kHang;
    std::string name;
    std::string method = "*";
    std::string path = "*";
    std::string query = "*";
    std::string key = "*";
    std::string account = "*";
    std::string body = "*";
    std::vector<std::int64_t> nth;  // which of the matching requests, counted from 1
    std::int64_t skip = 0;
    std::int64_t times = 1;  // -1: for ever
    double probability = 1;
    Json options;  // the rule as it was given
    Chance chance{1};
    std::int64_t matched = 0;
    std::int64_t applied = 0;

    [[nodiscard]] json_t* raw() const { return options.node(); }
};

struct FaultTarget {
    std::string_view method;
    std::string_view path;
    std::string_view query;
    std::string_view key;
    std::string_view account;
    std::string_view body;
};

class Faults {
  public:
    explicit Faults(std::uint64_t seed) : seed_(seed) {}

    // Throws ApiError when the rule makes no sense.
    std::shared_ptr<FaultRule> add(const Json& rule);
    bool remove(std::string_view id);
    void clear() { rules_.clear(); }
    // The first rule that matches and fires.
    std::shared_ptr<FaultRule> pick(const FaultTarget& target);
    [[nodiscard]] bool empty() const { return rules_.empty(); }
    [[nodiscard]] Json report() const;
    [[nodiscard]] Json report_one(std::string_view id) const;

  private:
    std::uint64_t seed_;
    std::uint64_t count_ = 0;
    std::vector<std::shared_ptr<FaultRule>> rules_;
};

}  // namespace stripe_simulator
