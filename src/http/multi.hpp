// One multi handle of curl's with its clock. Its sockets are in a SocketSet that it shares.
//
// curl's timer is a point in time that the owner asks for (until due), not a timerfd: setting one
// would be a system call per request, and whoever waits has a time-out to give anyway.
#pragma once

#include <curl/curl.h>

#include <chrono>
#include <cstddef>
#include <optional>

#include "http/sockets.hpp"
#include "http/transfer.hpp"

#include "core/pure.hpp"

namespace pg_seats::http {

class Multi {
  public:
    using TimePoint = std::chrono::steady_clock::time_point;

    Multi(SocketSet& sockets, std::size_t most_connections_per_host);
    void limit_connections(std::size_t per_host) noexcept;
    Multi(const Multi&) = delete;
    Multi& operator=(const Multi&) = delete;
    ~Multi();

    [[nodiscard]] CURLM* handle() const noexcept { return handle_; }
    [[nodiscard]] std::size_t transfers() const noexcept { return transfers_; }
    [[nodiscard]] std::optional<TimePoint> due() const noexcept { return due_; }

    [[nodiscard]] CURLMcode add(Transfer& transfer) noexcept;
    void remove(Transfer& transfer) noexcept;
    void run_timers() noexcept;
    void run_socket(const SocketSet::Ready& ready) noexcept;

    struct Finished {
        Transfer* transfer;
        CURLcode result;
    };
    // The next finished transfer, taken out of the multi.
    [[nodiscard]] std::optional<Finished> next_finished() noexcept;

  private:
    static int on_socket(CURL* handle, curl_socket_t socket, int what, void* self,
                         void* nothing) noexcept;
    static int on_timer(CURLM* handle, long milliseconds, void* self) noexcept;

    SocketSet& sockets_;
    CURLM* handle_;
    std::size_t transfers_ = 0;
    std::optional<TimePoint> due_;
};

}  // namespace pg_seats::http
