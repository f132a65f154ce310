#include "core/base64.hpp"

#include <array>
#include <cstdint>

namespace pg_seats::core {
namespace {

constexpr std::string_view alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::uint8_t no_digit = 0xff;

constexpr std::array<std::uint8_t, 256> digits = [] {
    std::array<std::uint8_t, 256> result{};
    result.fill(no_digit);
    for (std::size_t i = 0; i < alphabet.size(); ++i) {
        result.at(static_cast<std::uint8_t>(alphabet[i])) = static_cast<std::uint8_t>(i);
    }
    return result;
}();

}  // namespace

std::string base64_encode(std::string_view bytes) {
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4);
    while (!bytes.empty()) {
        const std::string_view group = bytes.substr(0, 3);
        std::uint32_t bits = 0;
        for (std::size_t i = 0; i < 3; ++i) {
            bits = (bits << 8U) | (i < group.size() ? static_cast<std::uint8_t>(group[i]) : 0U);
        }
        for (std::size_t i = 0; i < 4; ++i) {
            text.push_back(i <= group.size() ? alphabet[(bits >> (18U - 6U * i)) & 63U] : '=');
        }
        bytes.remove_prefix(group.size());
    }
    return text;
}

std::optional<std::string> base64_decode(std::string_view text) {
    if (text.size() % 4 != 0) {
        return std::nullopt;
    }
    std::string_view body = text;
    for (int i = 0; i < 2 && body.ends_with('='); ++i) {
        body.remove_suffix(1);
    }
    std::string bytes;
    bytes.reserve(text.size() / 4 * 3);
    std::uint32_t bits = 0;
    unsigned count = 0;
    for (const char c : body) {
        const std::uint8_t digit = digits.at(static_cast<std::uint8_t>(c));
        if (digit == no_digit) {
            return std::nullopt;
        }
        bits = (bits << 6U) | digit;
        count += 6;
        if (count >= 8) {
            count -= 8;
            bytes.push_back(static_cast<char>(static_cast<std::uint8_t>(bits >> count)));
            bits &= (1U << count) - 1U;
        }
    }
    // Bits left over are zero in what an encoder writes.
    if (bits != 0) {
        return std::nullopt;
    }
    return bytes;
}

}  // namespace pg_seats::core
