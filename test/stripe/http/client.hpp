// A small HTTP client for webhook deliveries: one POST, one answer, on the event loop.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "http/event_loop.hpp"

namespace stripe_simulator {

struct Url {
    std::string host;  // an IPv4 address
    int port = 80;
    std::string path = "/";
    std::string host_header;

    // http:// with an IPv4 address or "localhost"; throws ApiError for anything else.
    static Url parse(std::string_view text);
};

class HttpClient {
  public:
    // status 0: no answer, and `error` says why.
    using Done = std::function<void(int status, const std::string& error)>;

    explicit HttpClient(EventLoop& loop) : loop_(loop) {}
    ~HttpClient();
    HttpClient(const HttpClient&) = delete;
    HttpClient& operator=(const HttpClient&) = delete;

    void post(const Url& url, std::string_view headers, std::string_view body, int timeout_ms,
              Done done);
    [[nodiscard]] std::size_t in_flight() const { return transfers_.size(); }

  private:
    struct Transfer {
        int fd = -1;
        std::string out;
        std::size_t sent = 0;
        std::string in;
        EventLoop::TimerId timer = 0;
        Done done;
    };

    void on_events(std::uint64_t id);
    void finish(std::uint64_t id, int status, const std::string& error);

    EventLoop& loop_;
    std::uint64_t next_id_ = 0;
    std::unordered_map<std::uint64_t, std::unique_ptr<Transfer>> transfers_;
};

}  // namespace stripe_simulator
