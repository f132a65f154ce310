#include "http/client.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "api/error.hpp"
#include "base/text.hpp"

namespace stripe_simulator {

Url Url::parse(std::string_view text) {
    constexpr std::string_view kScheme = "http://";
    const ApiError bad =
        invalid_request("A webhook URL must be http:// with an IPv4 address or localhost.", "url");
    if (text.substr(0, kScheme.size()) != kScheme) {
        throw bad;
    }
    text.remove_prefix(kScheme.size());
    Url url;
    const std::size_t slash = text.find('/');
    if (slash != std::string_view::npos) {
        url.path = text.substr(slash);
    }
    const std::string_view authority = text.substr(0, slash);
    url.host_header = authority;
    const std::size_t colon = authority.find(':');
    url.host = authority.substr(0, colon);
    if (colon != std::string_view::npos) {
        const auto port = parse_integer(authority.substr(colon + 1));
        if (!port || *port < 1 || *port > 65535) {
            throw bad;
        }
        url.port = static_cast<int>(*port);
    }
    if (url.host == "localhost") {
        url.host = "127.0.0.1";
    }
    in_addr address{};
    if (inet_pton(AF_INET, url.host.c_str(), &address) != 1 ||
        url.path.find_first_of("\r\n ") != std::string::npos) {
        throw bad;
    }
    return url;
}

HttpClient::~HttpClient() {
    for (const auto& [id, transfer] : transfers_) {
        loop_.forget(transfer->fd);
        close(transfer->fd);
    }
}

void HttpClient::post(const Url& url, std::string_view headers, std::string_view body,
                      int timeout_ms, Done done) {
    auto transfer = std::make_unique<Transfer>();
    transfer->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (transfer->fd < 0) {
        done(0, "cannot make a socket");
        return;
    }
    transfer->out = "POST " + url.path + " HTTP/1.1\r\nHost: " + url.host_header + "\r\n";
    transfer->out.append(headers).append("Content-Length: ");
    transfer->out.append(std::to_string(body.size())).append("\r\nConnection: close\r\n\r\n");
    transfer->out.append(body);
    transfer->done = std::move(done);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(url.port));
    inet_pton(AF_INET, url.host.c_str(), &address.sin_addr);
    const int fd = transfer->fd;
    const int result = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    const std::uint64_t id = ++next_id_;
    const bool failed = result != 0 && errno != EINPROGRESS;
    const std::string why = failed ? std::strerror(errno) : "";
    transfer->timer = loop_.after_ms(timeout_ms, [this, id] { finish(id, 0, "timed out"); });
    loop_.watch(fd, EPOLLOUT, [this, id](std::uint32_t) { on_events(id); });
    transfers_.emplace(id, std::move(transfer));
    if (failed) {
        finish(id, 0, why);
    }
}

void HttpClient::on_events(std::uint64_t id) {
    const auto found = transfers_.find(id);
    if (found == transfers_.end()) {
        return;
    }
    Transfer& transfer = *found->second;
    while (transfer.sent < transfer.out.size()) {
        const ssize_t put = send(transfer.fd, transfer.out.data() + transfer.sent,
                                 transfer.out.size() - transfer.sent, MSG_NOSIGNAL);
        if (put < 0) {
            if (errno != EAGAIN && errno != EINTR) {
                finish(id, 0, std::strerror(errno));
            }
            return;
        }
        transfer.sent += static_cast<std::size_t>(put);
    }
    loop_.change(transfer.fd, EPOLLIN);
    std::array<char, 4096> buffer{};
    for (;;) {
        const ssize_t got = recv(transfer.fd, buffer.data(), buffer.size(), 0);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        if (got <= 0) {
            finish(id, 0, got == 0 ? "closed without an answer" : std::strerror(errno));
            return;
        }
        transfer.in.append(buffer.data(), static_cast<std::size_t>(got));
        // The status is all that matters: "HTTP/1.1 200 …"
        if (transfer.in.find("\r\n") != std::string::npos || transfer.in.size() > 65536) {
            const auto status = parse_integer(
                transfer.in.size() > 12 ? std::string_view(transfer.in).substr(9, 3) : "");
            finish(id, static_cast<int>(status.value_or(0)), status ? "" : "not HTTP");
            return;
        }
    }
}

void HttpClient::finish(std::uint64_t id, int status, const std::string& error) {
    auto node = transfers_.extract(id);
    if (node.empty()) {
        return;
    }
    const Transfer& transfer = *node.mapped();
    loop_.cancel(transfer.timer);
    loop_.forget(transfer.fd);
    close(transfer.fd);
    transfer.done(status, error);
}

}  // namespace stripe_simulator
