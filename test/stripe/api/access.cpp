#include "api/access.hpp"

#include <algorithm>
#include <array>

#include "api/error.hpp"
#include "base/text.hpp"

namespace stripe_simulator {

namespace {

// sk_test_*********1234, as Stripe repeats a key that it refuses.
std::string masked(std::string_view key) {
    if (key.size() <= 12) {
        return std::string(key.size(), '*');
    }
    std::string out(key.substr(0, 8));
    out.append(key.size() - 12, '*');
    out.append(key.substr(key.size() - 4));
    return out;
}

ApiError unauthorized(std::string message, std::string code = {}) {
    ApiError error = invalid_request(std::move(message), {}, std::move(code));
    error.status = 401;
    return error;
}

std::string decode_base64(std::string_view text) {
    static constexpr std::string_view kDigits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    std::uint32_t bits = 0;
    int count = 0;
    for (const char c : text) {
        const std::size_t digit = kDigits.find(c);
        if (digit == std::string_view::npos) {
            break;
        }
        bits = (bits << 6U) | static_cast<std::uint32_t>(digit);
        count += 6;
        if (count >= 8) {
            count -= 8;
            out.push_back(static_cast<char>((bits >> static_cast<unsigned>(count)) & 0xffU));
        }
    }
    return out;
}

}  // namespace

void AccessKeys::add(const std::string& key, const std::string& account) {
    const bool live = key.rfind("sk_live_", 0) == 0 || key.rfind("rk_live_", 0) == 0;
    keys_[key] = AccessKey{account, live, "active"};
}

bool AccessKeys::set_state(std::string_view key, std::string_view state) {
    const auto found = keys_.find(key);
    if (found == keys_.end()) {
        return false;
    }
    found->second.state = state;
    return true;
}

AccessKey AccessKeys::authenticate(std::string_view authorization) const {
    std::string from_basic;
    std::string_view key;
    if (authorization.size() > 7 && iequals(authorization.substr(0, 7), "bearer ")) {
        key = authorization.substr(7);
    } else if (authorization.size() > 6 && iequals(authorization.substr(0, 6), "basic ")) {
        from_basic = decode_base64(authorization.substr(6));
        key = std::string_view(from_basic).substr(0, from_basic.find(':'));
    }
    if (key.empty()) {
        throw unauthorized(
            "You did not provide an API key. You need to provide your API key in the "
            "Authorization header, using Bearer auth (e.g. 'Authorization: Bearer "
            "YOUR_SECRET_KEY').");
    }
    const bool publishable = key.substr(0, 3) == "pk_";
    const auto found =
        publishable ? keys_.find("sk" + std::string(key.substr(2))) : keys_.find(key);
    if (found == keys_.end() || found->second.state == "revoked") {
        throw unauthorized("Invalid API Key provided: " + masked(key));
    }
    if (found->second.state == "expired") {
        throw unauthorized("Expired API Key provided: " + masked(key), "api_key_expired");
    }
    AccessKey access = found->second;
    access.publishable = publishable;
    return access;
}

bool AccessKeys::knows_account(std::string_view account) const {
    return std::any_of(keys_.begin(), keys_.end(),
                       [&](const auto& entry) { return entry.second.account == account; });
}

std::string_view AccessKeys::first_account() const {
    return keys_.empty() ? std::string_view("acct_simulator") : keys_.begin()->second.account;
}

Json AccessKeys::report() const {
    Json list = Json::array();
    for (const auto& [key, access] : keys_) {
        list.push(Json::object()
                      .set("key", key)
                      .set("account", access.account)
                      .set("livemode", access.livemode)
                      .set("state", access.state));
    }
    return Json::object().set("keys", list);
}

bool is_valid_version(std::string_view version) {
    static constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kTrains{{
        {"2026-09-30", "endive"},
        {"2026-03-25", "dahlia"},
        {"2025-09-30", "clover"},
        {"2025-03-31", "basil"},
        {"2024-09-30", "acacia"},
    }};
    if (version.size() < 10) {
        return false;
    }
    for (std::size_t i = 0; i < 10; ++i) {
        const bool dash = i == 4 || i == 7;
        if (dash ? version[i] != '-' : (version[i] < '0' || version[i] > '9')) {
            return false;
        }
    }
    const std::string_view date = version.substr(0, 10);
    if (date < "2011-01-01" || date >= "2027") {
        return false;
    }
    for (const auto& [since, name] : kTrains) {
        if (date >= since) {
            return version.size() > 11 && version[10] == '.' && version.substr(11) == name;
        }
    }
    return version.size() == 10;
}

}  // namespace stripe_simulator
