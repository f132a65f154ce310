#include "base/text.hpp"

#include <charconv>

namespace stripe_simulator {

namespace {

std::uint64_t hash_text(std::string_view text, std::uint64_t state) {
    for (const char c : text) {
        state = (state ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
    }
    return state;
}

}  // namespace

bool glob_match(std::string_view pattern, std::string_view text) {
    std::size_t p = 0;
    std::size_t t = 0;
    std::size_t star = std::string_view::npos;
    std::size_t resume = 0;
    while (t < text.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            resume = t;
        } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
            ++p;
            ++t;
        } else if (star != std::string_view::npos) {
            p = star + 1;
            t = ++resume;
        } else {
            return false;
        }
    }
    while (p < pattern.size() && pattern[p] == '*') {
        ++p;
    }
    return p == pattern.size();
}

bool iequals(std::string_view left, std::string_view right) {
    if (left.size() != right.size()) {
        return false;
    }
    const auto lower = [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
    };
    for (std::size_t i = 0; i < left.size(); ++i) {
        if (lower(left[i]) != lower(right[i])) {
            return false;
        }
    }
    return true;
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || text.empty()) {
        return std::nullopt;
    }
    return value;
}

bool is_valid_utf8(std::string_view text) {
    std::size_t i = 0;
    while (i < text.size()) {
        const auto lead = static_cast<unsigned char>(text[i]);
        std::size_t extra = 0;
        std::uint32_t point = lead;
        if (lead >= 0x80) {
            if (lead >= 0xc2 && lead <= 0xdf) {
                extra = 1;
                point = lead & 0x1fU;
            } else if (lead >= 0xe0 && lead <= 0xef) {
                extra = 2;
                point = lead & 0x0fU;
            } else if (lead >= 0xf0 && lead <= 0xf4) {
                extra = 3;
                point = lead & 0x07U;
            } else {
                return false;
            }
        }
        if (text.size() - i <= extra) {
            return false;
        }
        for (std::size_t k = 1; k <= extra; ++k) {
            const auto next = static_cast<unsigned char>(text[i + k]);
            if ((next & 0xc0U) != 0x80U) {
                return false;
            }
            point = (point << 6U) | (next & 0x3fU);
        }
        const bool overlong = (extra == 2 && point < 0x800) || (extra == 3 && point < 0x10000);
        if (overlong || (point >= 0xd800 && point <= 0xdfff) || point > 0x10ffff) {
            return false;
        }
        i += extra + 1;
    }
    return true;
}

std::uint64_t mix(std::uint64_t value) {
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
    return value ^ (value >> 31);
}

void Hash128::add(std::string_view name, std::string_view value) {
    const std::uint64_t first =
        hash_text(value, hash_text("=", hash_text(name, 0xcbf29ce484222325ULL)));
    const std::uint64_t second =
        hash_text(name, hash_text("=", hash_text(value, 0x84222325cbf29ce4ULL)));
    low += mix(first);
    high += mix(second ^ (first << 1U));
}

std::string IdMaker::make(std::string_view prefix, std::size_t letters) {
    static constexpr char kDigits[] =
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    // mix() is a bijection, so eleven digits of it (62^11 > 2^64) never repeat.
    std::uint64_t value = mix(seed_ + ++count_);
    std::string id(prefix);
    id.reserve(prefix.size() + letters);
    for (std::size_t i = 0; i < letters; ++i) {
        if (i == 11) {
            value = mix(~(seed_ + count_));
        }
        id.push_back(kDigits[value % 62]);
        value /= 62;
    }
    return id;
}

}  // namespace stripe_simulator
