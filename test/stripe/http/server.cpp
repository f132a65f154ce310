#include "http/server.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stdexcept>

#include "http/connection.hpp"

namespace stripe_simulator {

Server::Server(EventLoop& loop, Service& service) : loop_(loop), service_(service) {}

Server::~Server() {
    stop_listening();
    if (listener_ >= 0) {
        close(listener_);
    }
}

namespace {

// A socket bound to the port, or to any free one. A port that was asked for by its number stays the
// socket's own while it does not listen; one that the kernel has picked does not.
int bound_socket(int& port) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        throw std::runtime_error("cannot make a socket");
    }
    const int yes = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (bind(fd, generic, size) != 0 || getsockname(fd, generic, &size) != 0) {
        close(fd);
        throw std::runtime_error("cannot bind 127.0.0.1 port " + std::to_string(port));
    }
    port = ntohs(address.sin_port);
    return fd;
}

}  // namespace

int Server::listen(int port) {
    if (port == 0) {
        close(bound_socket(port));
    }
    listener_ = bound_socket(port);
    port_ = port;
    listen_again();
    return port_;
}

void Server::accept_some() {
    for (int i = 0; i < 256 && is_listening_; ++i) {
        const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            return;
        }
        const int yes = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        const ConnectionId id = ++next_id_;
        connections_.emplace(id, std::make_unique<Connection>(*this, id, fd));
    }
}

void Server::transmit(ConnectionId connection, Transmission transmission) {
    const auto found = connections_.find(connection);
    if (found == connections_.end()) {
        service_.on_transmitted(transmission.request_number, false);
        return;
    }
    found->second->transmit(std::move(transmission));
}

void Server::drop(ConnectionId connection, bool reset) {
    const auto found = connections_.find(connection);
    if (found != connections_.end()) {
        found->second->close_now(reset);
    }
}

// Refuses connections from now on. The socket keeps the port: were it closed, somebody's outgoing
// connection could be given it meanwhile.
void Server::stop_listening() {
    if (is_listening_) {
        is_listening_ = false;
        loop_.forget(listener_);
        shutdown(listener_, SHUT_RD);
    }
}

void Server::close_all_but(ConnectionId kept) {
    std::vector<ConnectionId> open;
    open.reserve(connections_.size());
    for (const auto& [id, connection] : connections_) {
        open.push_back(id);
    }
    for (const ConnectionId id : open) {
        if (id != kept) {
            drop(id, false);
        }
    }
}

void Server::listen_again() {
    if (is_listening_) {
        return;
    }
    if (::listen(listener_, 4096) != 0) {
        throw std::runtime_error("cannot listen on 127.0.0.1 port " + std::to_string(port_));
    }
    is_listening_ = true;
    loop_.watch(listener_, EPOLLIN, [this](std::uint32_t) { accept_some(); });
}

void Server::set_deaf(bool deaf) {
    deaf_ = deaf;
    if (deaf) {
        return;
    }
    std::vector<ConnectionId> open;
    for (const auto& [id, connection] : connections_) {
        open.push_back(id);
    }
    for (const ConnectionId id : open) {
        const auto found = connections_.find(id);
        if (found != connections_.end()) {
            found->second->proceed();
        }
    }
}

void Server::bury(ConnectionId connection) {
    const auto found = connections_.find(connection);
    if (found == connections_.end()) {
        return;
    }
    if (graves_.empty()) {
        loop_.defer([this] { graves_.clear(); });
    }
    graves_.push_back(std::move(found->second));
    connections_.erase(found);
}

}  // namespace stripe_simulator
