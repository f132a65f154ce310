// A server on loopback for the tests of the HTTP client: a thread per connection, and a script in
// the test's own words for what is done on it.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace pg_seats::test {

class Connection {
  public:
    explicit Connection(int socket) : socket_(socket) {}

    // Head and body (by its Content-Length) of the next request; empty at the end.
    std::string read_request() {
        while (true) {
            const std::size_t head = input_.find("\r\n\r\n");
            if (head != std::string::npos) {
                std::size_t length = 0;
                const std::size_t at = input_.find("Content-Length: ");
                if (at < head) {
                    length = std::stoul(input_.substr(at + 16));
                }
                const std::size_t whole = head + 4 + length;
                if (input_.size() >= whole) {
                    std::string request = input_.substr(0, whole);
                    input_.erase(0, whole);
                    return request;
                }
            }
            char buffer[16'384];
            const ssize_t got = recv(socket_, buffer, sizeof buffer, 0);
            if (got <= 0) {
                return {};
            }
            input_.append(buffer, static_cast<std::size_t>(got));
        }
    }

    void write(std::string_view bytes) const {
        while (!bytes.empty()) {
            const ssize_t sent = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (sent <= 0) {
                return;
            }
            bytes.remove_prefix(static_cast<std::size_t>(sent));
        }
    }

    void answer(std::string_view body, std::string_view extra_headers = {}) const {
        write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " +
              std::to_string(body.size()) + "\r\n" + std::string(extra_headers) + "\r\n" +
              std::string(body));
    }

    // The next close sends a reset instead of an orderly end.
    void reset_on_close() const {
        const linger at_once{.l_onoff = 1, .l_linger = 0};
        setsockopt(socket_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    }

  private:
    int socket_;
    std::string input_;
};

class LoopbackServer {
  public:
    using Script = std::function<void(Connection&)>;

    explicit LoopbackServer(Script script) : script_(std::move(script)) {
        listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address);
        listen(listener_, 512);
        socklen_t size = sizeof address;
        getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
        port_ = ntohs(address.sin_port);
        acceptor_ = std::thread([this] { accept_all(); });
    }
    LoopbackServer(const LoopbackServer&) = delete;
    LoopbackServer& operator=(const LoopbackServer&) = delete;
    ~LoopbackServer() {
        shutdown(listener_, SHUT_RDWR);
        acceptor_.join();
        close(listener_);
        {
            const std::lock_guard lock(mutex_);
            for (const int socket : open_) {
                shutdown(socket, SHUT_RDWR);
            }
        }
        for (std::thread& thread : threads_) {
            thread.join();
        }
    }

    [[nodiscard]] int port() const { return port_; }
    [[nodiscard]] std::string url(std::string_view path = "/v1/x") const {
        return "http://127.0.0.1:" + std::to_string(port_) + std::string(path);
    }
    [[nodiscard]] int connections() const { return connections_; }

  private:
    void accept_all() {
        while (true) {
            const int socket = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
            if (socket < 0) {
                return;
            }
            ++connections_;
            const std::lock_guard lock(mutex_);
            open_.push_back(socket);
            threads_.emplace_back([this, socket] {
                Connection connection(socket);
                script_(connection);
                const std::lock_guard ending(mutex_);
                std::erase(open_, socket);
                close(socket);
            });
        }
    }

    Script script_;
    int listener_ = -1;
    int port_ = 0;
    std::atomic<int> connections_ = 0;
    std::thread acceptor_;
    std::mutex mutex_;
    std::vector<int> open_;
    std::vector<std::thread> threads_;
};

}  // namespace pg_seats::test
