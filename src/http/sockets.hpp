// The sockets of curl in one epoll descriptor.
//
// curl takes a socket out of the watch after each answer and puts it back for the next request on
// the same connection: two system calls per request that change nothing. So a connection that goes
// idle stays registered for reading, and is taken out only if something happens to it while nobody
// wants it. That is safe only where we see the descriptor opened and closed ourselves (the number
// may be another socket's a moment later, unregistered); for others, such as the resolver's socket
// pair, every wish of curl's is carried out at once.
#pragma once

#include <curl/curl.h>
#include <sys/epoll.h>

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "core/pure.hpp"

namespace pg_seats::http {

class SocketSet {
  public:
    struct Ready {
        curl_socket_t socket;
        CURLM* owner;
        int what;  // CURL_CSELECT_…
    };

    SocketSet();
    SocketSet(const SocketSet&) = delete;
    SocketSet& operator=(const SocketSet&) = delete;
    ~SocketSet();

    [[nodiscard]] int descriptor() const noexcept { return epoll_; }

    // Called from curl's callbacks: they throw nothing and report failure by value.
    [[nodiscard]] curl_socket_t open(const curl_sockaddr& address) noexcept;
    int close(curl_socket_t socket) noexcept;
    [[nodiscard]] bool watch(curl_socket_t socket, int what, CURLM* owner) noexcept;

    // What is ready now; never waits. The span is valid until the next call.
    [[nodiscard]] std::span<const Ready> ready() noexcept;
    [[nodiscard]] static constexpr std::size_t most_ready() noexcept { return batch; }

  private:
    static constexpr std::size_t batch = 128;
    struct Entry {
        CURLM* owner = nullptr;  // null: nobody wants to hear of it
        std::uint32_t registered = 0;
        bool ours = false;
    };
    [[nodiscard]] Entry* entry(curl_socket_t socket) noexcept;
    [[nodiscard]] bool set(curl_socket_t socket, Entry& entry, std::uint32_t wanted) noexcept;

    int epoll_;
    std::vector<Entry> entries_;  // by descriptor
    std::array<epoll_event, batch> events_{};
    std::array<Ready, batch> ready_{};
};

}  // namespace pg_seats::http
