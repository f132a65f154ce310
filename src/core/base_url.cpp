// Where a destination may be: https anywhere, plain http only on this machine.
#include <algorithm>
#include <charconv>

#include "core/ascii.hpp"
#include "core/form.hpp"

namespace pg_seats::core {
namespace {

constexpr std::size_t longest_url = 500;

[[noreturn]] void refuse(const char* why) {
    throw InvalidInput{std::string("the base URL is not allowed: ") + why,
                       "Use https://host[:port][/prefix], or http:// for a loopback address."};
}

bool is_name_character(char c) noexcept {
    return is_digit(c) || (c >= 'a' && c <= 'z') || c == '-' || c == '_';
}

bool is_name(std::string_view host) noexcept {
    if (host.empty() || host.size() > 253) {
        return false;
    }
    while (true) {
        const std::size_t dot = host.find('.');
        const std::string_view label = host.substr(0, dot);
        if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-' ||
            !std::all_of(label.begin(), label.end(), is_name_character)) {
            return false;
        }
        if (dot == std::string_view::npos) {
            return true;
        }
        host.remove_prefix(dot + 1);
    }
}

// Four decimal numbers, nothing else: "127.1" and "0177.0.0.1" mean different addresses to
// different readers.
bool is_loopback_v4(std::string_view host) noexcept {
    int numbers = 0;
    bool loopback = false;
    while (true) {
        const std::size_t dot = host.find('.');
        const std::string_view part = host.substr(0, dot);
        int value = -1;
        const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
        if (error != std::errc{} || end != part.data() + part.size() || value < 0 || value > 255 ||
            (part.size() > 1 && part.front() == '0') || !is_digit(part.front())) {
            return false;
        }
        if (numbers == 0) {
            loopback = value == 127;
        }
        ++numbers;
        if (dot == std::string_view::npos) {
            return loopback && numbers == 4;
        }
        host.remove_prefix(dot + 1);
    }
}

bool is_v6_literal(std::string_view host) noexcept {
    if (host.size() < 4 || host.front() != '[' || host.back() != ']') {
        return false;
    }
    const std::string_view inner = host.substr(1, host.size() - 2);
    return std::all_of(inner.begin(), inner.end(), [](char c) {
        return is_digit(c) || (c >= 'a' && c <= 'f') || c == ':' || c == '.';
    });
}

void check_port(std::string_view port) {
    int value = 0;
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), value);
    if (error != std::errc{} || end != port.data() + port.size() || value < 1 || value > 65'535 ||
        !is_digit(port.front())) {
        refuse("its port is not a number from 1 to 65535");
    }
}

// Splits "host[:port]" and checks both.
std::string checked_host(std::string_view authority, bool tls) {
    const std::size_t bracket = authority.find(']');
    const std::size_t colon = authority.find(':', bracket == std::string_view::npos ? 0 : bracket);
    std::string host = lower(authority.substr(0, colon));
    const bool v6 = is_v6_literal(host);
    if (!v6 && !is_name(host)) {
        refuse("its host is not a name or an address");
    }
    if (!tls && host != "localhost" && host != "[::1]" && !is_loopback_v4(host)) {
        refuse("without TLS only a loopback address can be used");
    }
    if (colon == std::string_view::npos) {
        return host;
    }
    const std::string_view port = authority.substr(colon + 1);
    if (port.empty()) {
        refuse("its port is empty");
    }
    check_port(port);
    return host + ":" + std::string(port);
}

}  // namespace

std::string checked_base_url(std::string_view url) {
    constexpr std::string_view separator = "://";
    if (url.size() > longest_url) {
        refuse("it is longer than 500 bytes");
    }
    const std::size_t scheme_end = url.find(separator);
    const std::string scheme = lower(url.substr(0, std::min(scheme_end, url.size())));
    if (scheme_end == std::string_view::npos || (scheme != "https" && scheme != "http")) {
        refuse("it is neither https:// nor http://");
    }
    std::string_view rest = url.substr(scheme_end + separator.size());
    if (rest.find_first_of("?#") != std::string_view::npos) {
        refuse("it has a query or a fragment");
    }
    const std::size_t slash = rest.find('/');
    const std::string_view authority = rest.substr(0, slash);
    if (authority.find('@') != std::string_view::npos) {
        refuse("it names a user; secrets belong into the secrets directory");
    }
    std::string_view prefix =
        slash == std::string_view::npos ? std::string_view{} : rest.substr(slash);
    if (prefix.ends_with('/')) {
        prefix.remove_suffix(1);
    }
    if (!prefix.empty()) {
        check_path(prefix);
    }
    return scheme + "://" + checked_host(authority, scheme == "https") + std::string(prefix);
}

}  // namespace pg_seats::core
