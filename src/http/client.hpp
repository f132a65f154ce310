// HTTP by libcurl's multi interface, behind the few words that the worker needs.
//
// All sockets of curl live in one private epoll descriptor, so that whoever waits (the worker, in
// the server's WaitEventSet) has one descriptor to wait for. Nothing here blocks or throws across
// curl's C frames; curl's resolver threads start with all signals masked.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/pure.hpp"

namespace pg_seats::http {

// How the exchange ended, as far as the transport can tell. Whether a byte left is another question
// (Response::sent), and whether an answer is whole and Stripe's is the verdict's to say.
enum class Transport : std::uint8_t {
    complete,   // a whole head, and what curl takes for the whole body
    timed_out,  // no (whole) answer within the total time-out
    broken,     // could not connect, TLS failed, reset, answer cut short, answer over the limit
};

struct Request {
    std::uint64_t id = 0;  // the caller's; given back with the response
    std::string method;    // GET, POST, DELETE
    std::string url;
    std::string body;                  // sent as it is, for POST only
    std::vector<std::string> headers;  // "Name: value", already checked
    std::string ca_file;               // empty: the system's
    std::chrono::milliseconds connect_timeout{10'000};
    std::chrono::milliseconds total_timeout{80'000};
    std::size_t response_limit = std::size_t{1} << 20U;
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
    std::string body;
    std::string error;  // one line for people, by phase (resolve, connect, TLS, send, receive)
    std::chrono::microseconds duration{0};
};

class Client {
  public:
    explicit Client(std::size_t most_connections_per_host);
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;
    ~Client();

    // Readable when curl has something to do.
    [[nodiscard]] int descriptor() const noexcept;

    // How long the caller may sleep before work() is due even if the descriptor stays quiet.
    [[nodiscard]] std::optional<std::chrono::milliseconds> until_due() const noexcept;

    void submit(Request request);

    // Lets curl do what is possible without blocking. Call it when the descriptor is readable or
    // the time of until_due() is over, and after submitting.
    void work();

    // What has finished since the last time; the order is that of finishing.
    [[nodiscard]] std::vector<Response> take_finished();

    [[nodiscard]] std::size_t in_flight() const noexcept;

    // From now on: as many as there may be requests on the wire, or the rest would wait inside
    // curl.
    void limit_connections(std::size_t per_host) noexcept;

    // Closes idle connections (after a change of CA file, key or address).
    void forget_connections();

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace pg_seats::http
