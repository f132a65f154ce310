// A request as it was received, and what goes back on the wire.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/text.hpp"

namespace stripe_simulator {

struct Request {
    std::string method;
    std::string path;
    std::string query;
    std::vector<std::pair<std::string, std::string>> headers;
    std::string body;
    bool keep_alive = true;

    [[nodiscard]] std::string_view header(std::string_view name) const {
        for (const auto& [key, value] : headers) {
            if (iequals(key, name)) {
                return value;
            }
        }
        return {};
    }
    [[nodiscard]] bool has_header(std::string_view name) const {
        for (const auto& [key, value] : headers) {
            if (iequals(key, name)) {
                return true;
            }
        }
        return false;
    }
};

// What is written in answer to one request, and what becomes of the connection then. The bytes
// are final: faults have had their way with them.
struct Transmission {
    enum class Then : std::uint8_t { kKeep, kClose, kReset };

    std::string bytes;
    Then then = Then::kKeep;
    // A slow answer: `first` bytes at once, then `piece` bytes every `interval_ms`.
    std::size_t first = 0;
    std::size_t piece = 0;
    int interval_ms = 0;
    // The number of the request in the log, which is told when the bytes have been handed over.
    std::uint64_t request_number = 0;
};

std::string_view reason_phrase(int status);
// A head with Content-Length; `headers` are whole lines with their CRLF.
std::string make_head(int status, std::string_view headers, std::size_t content_length,
                      bool keep_alive);

}  // namespace stripe_simulator
