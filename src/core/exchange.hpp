// What came of a request: what the transport can tell, and the answer as it is read.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "core/parsed_body.hpp"
#include "core/wiped_text.hpp"

#include "core/pure.hpp"

namespace pg_seats::core {

// How the exchange ended, as far as the transport can tell. Whether a byte left is another question
// (Response::sent), and whether an answer is whole and Stripe's is the verdict's to say.
enum class Transport : std::uint8_t {
    complete,   // a whole head, and what curl takes for the whole body
    timed_out,  // no (whole) answer within the total time-out
    broken,     // could not connect, TLS failed, reset, answer cut short, answer over the limit
};

// The headers that mean something to us; everything else is dropped as it comes in.
struct ResponseHeaders {
    std::string request_id;
    std::string idempotency_key;  // echoed by Stripe when the answer is stored under the key
    std::string rate_limited_reason;
    std::string content_type;
    std::string location;
    std::optional<bool> should_retry;  // Stripe-Should-Retry
    bool replayed = false;             // Idempotent-Replayed: true
    std::optional<std::chrono::seconds> retry_after;
    std::optional<std::chrono::sys_seconds> date;  // the only clock of Stripe's that we believe
};

struct Response {
    std::uint64_t id = 0;
    Transport transport = Transport::broken;
    bool sent = false;  // a byte of the request may have left this machine
    // libcurl sent the request again by itself, because a kept connection broke (or an HTTP/2
    // server refused the stream) before an answer came: there is doubt about the first sending.
    bool resent = false;
    bool over_limit = false;  // broken off by us: larger than Request::response_limit
    int status = 0;           // 0: none
    ResponseHeaders headers;
    WipedText body;
    std::string error;  // one line for people, by phase (resolve, connect, TLS, send, receive)
    std::chrono::microseconds duration{0};
};

// A response whose body was read if it is Stripe's to read, and whole.
struct Answer {
    Response response;
    ParsedBody body;

    void parse(bool expect_stripe) {
        const bool is_read = expect_stripe && response.transport == Transport::complete;
        body = is_read ? ParsedBody(response.body) : ParsedBody();
    }

    // (Assigning an empty text would keep the memory.)
    void forget_body() noexcept {
        WipedText().swap(response.body);
        body = {};
    }
};

}  // namespace pg_seats::core
