// One client connection: requests are taken one at a time, in order, however they were pipelined.
#pragma once

#include <cstdint>
#include <deque>
#include <string>

#include "http/parser.hpp"
#include "http/server.hpp"

namespace stripe_simulator {

class Connection {
  public:
    Connection(Server& server, ConnectionId id, int fd);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    void transmit(Transmission transmission);
    void close_now(bool reset);
    // Looks at what has arrived; also called when the server is no longer deaf.
    void proceed();

  private:
    void on_events(std::uint32_t events);
    void read_some();
    void write_some();
    void send_slowly();
    void finish_transmission();
    void update_interest();

    Server& server_;
    ConnectionId id_;
    int fd_;
    RequestParser parser_;
    std::string out_;
    std::size_t sent_ = 0;
    Transmission slow_;  // what is left of a slow answer
    std::size_t slow_at_ = 0;
    Transmission::Then then_ = Transmission::Then::kKeep;
    std::uint64_t request_number_ = 0;
    EventLoop::TimerId timer_ = 0;
    std::uint32_t interest_ = 0;
    bool awaiting_answer_ = false;
    bool answering_ = false;
    bool proceeding_ = false;
    bool peer_closed_ = false;
    bool closed_ = false;
};

}  // namespace stripe_simulator
