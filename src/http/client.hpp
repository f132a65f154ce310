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

#include "core/exchange.hpp"

#include "core/pure.hpp"

namespace pg_seats::http {

using core::Response;
using core::ResponseHeaders;
using core::Transport;

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
