#include "core/identity.hpp"

#include <cstdio>

namespace pg_seats::core {

std::string idempotency_key(std::string_view installation, std::string_view uuid, int generation) {
    std::string text;
    text.reserve(installation.size() + uuid.size() + 13);
    text.append(installation).append("-").append(uuid).append("-");
    return text.append(std::to_string(generation));
}

bool of_same_change(std::string_view one, std::string_view other) {
    // The generation is what stands behind the last hyphen.
    const auto change = [](std::string_view text) { return text.substr(0, text.rfind('-')); };
    return !one.empty() && !other.empty() && change(one) == change(other);
}

bool begins_with_change(std::string_view marker, std::string_view uuid) {
    return !uuid.empty() && marker.size() > uuid.size() && marker.starts_with(uuid) &&
           marker[uuid.size()] == '-';
}

std::string random_uuid(std::uint64_t high, std::uint64_t low) {
    char text[37];
    snprintf(text, sizeof text, "%08x-%04x-4%03x-8%03x-%012llx", static_cast<unsigned>(high >> 32),
             static_cast<unsigned>((high >> 16) & 0xffff), static_cast<unsigned>(high & 0xfff),
             static_cast<unsigned>(low >> 52),
             static_cast<unsigned long long>(low & 0xffffffffffffULL));
    return text;
}

KeyMode key_mode(std::string_view api_key) {
    if (api_key.starts_with("sk_live_") || api_key.starts_with("rk_live_")) {
        return KeyMode::live;
    }
    if (api_key.starts_with("sk_test_") || api_key.starts_with("rk_test_")) {
        return KeyMode::test;
    }
    return KeyMode::other;
}

}  // namespace pg_seats::core
