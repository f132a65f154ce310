// API keys, and the accounts and versions that requests name.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/json.hpp"

namespace stripe_simulator {

struct AccessKey {
    std::string account;
    bool livemode = false;
    std::string state = "active";  // active, revoked, expired, forbidden
    bool publishable = false;      // of a browser: only what a payer may do
};

class AccessKeys {
  public:
    // Live or not is told by the key itself: sk_live_… or rk_live_….
    void add(const std::string& key, const std::string& account);
    bool set_state(std::string_view key, std::string_view state);
    // Throws a 401 as Stripe words it. pk_test_x belongs to sk_test_x.
    [[nodiscard]] AccessKey authenticate(std::string_view authorization) const;
    [[nodiscard]] bool knows_account(std::string_view account) const;
    // What control means when it names no account.
    [[nodiscard]] std::string_view first_account() const;
    [[nodiscard]] Json report() const;

  private:
    std::map<std::string, AccessKey, std::less<>> keys_;
};

// 2026-05-27.dahlia, or 2023-08-16 from before the names; the name must fit the date.
bool is_valid_version(std::string_view version);

}  // namespace stripe_simulator
