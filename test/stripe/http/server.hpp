// Listens, accepts, parses and writes. What a request means, and whether its answer arrives
// whole, late or never, is decided elsewhere: a service gets the request and later hands back a
// Transmission.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "http/event_loop.hpp"
#include "http/message.hpp"

namespace stripe_simulator {

using ConnectionId = std::uint64_t;

class Service {
  public:
    virtual ~Service() = default;
    // May call Server::transmit at once or at any time later.
    virtual void on_request(ConnectionId connection, Request&& request) = 0;
    // The client went away while its request was unanswered.
    virtual void on_gone(ConnectionId connection) = 0;
    // The answer was handed to the kernel whole (or could not be).
    virtual void on_transmitted(std::uint64_t request_number, bool whole) = 0;
};

class Connection;

class Server {
  public:
    Server(EventLoop& loop, Service& service);
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    // Listens on 127.0.0.1; answers the port. Throws std::runtime_error.
    int listen(int port);
    [[nodiscard]] int port() const { return port_; }

    void transmit(ConnectionId connection, Transmission transmission);
    // Closes without another byte.
    void drop(ConnectionId connection, bool reset);

    // Refused connections: nothing listens, and open connections are closed.
    void stop_listening();
    void close_all_but(ConnectionId kept);  // 0: none is kept
    void listen_again();
    // Connections are accepted, but nothing that arrives is looked at.
    void set_deaf(bool deaf);
    [[nodiscard]] bool deaf() const { return deaf_; }
    [[nodiscard]] std::size_t open_connections() const { return connections_.size(); }

  private:
    friend class Connection;

    void accept_some();
    void bury(ConnectionId connection);

    EventLoop& loop_;
    Service& service_;
    int listener_ = -1;
    bool is_listening_ = false;
    int port_ = 0;
    bool deaf_ = false;
    ConnectionId next_id_ = 0;
    std::unordered_map<ConnectionId, std::unique_ptr<Connection>> connections_;
    std::vector<std::unique_ptr<Connection>> graves_;
};

}  // namespace stripe_simulator
