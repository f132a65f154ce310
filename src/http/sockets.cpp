#include "http/sockets.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <new>
#include <system_error>

namespace pg_seats::http {

SocketSet::SocketSet() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    if (epoll_ < 0) {
        throw std::system_error(errno, std::generic_category(), "epoll_create1");
    }
}

SocketSet::~SocketSet() {
    ::close(epoll_);
}

SocketSet::Entry* SocketSet::entry(curl_socket_t socket) noexcept {
    if (socket < 0) {
        return nullptr;
    }
    const auto index = static_cast<std::size_t>(socket);
    if (index >= entries_.size()) {
        try {
            entries_.resize(index + 32);
        } catch (const std::bad_alloc&) {
            return nullptr;
        }
    }
    return &entries_[index];
}

curl_socket_t SocketSet::open(const curl_sockaddr& address) noexcept {
    const curl_socket_t socket =
        ::socket(address.family, address.socktype | SOCK_CLOEXEC, address.protocol);
    if (socket < 0) {
        return CURL_SOCKET_BAD;
    }
    Entry* const found = entry(socket);
    if (found == nullptr) {
        ::close(socket);
        return CURL_SOCKET_BAD;
    }
    *found = Entry{.owner = nullptr, .registered = 0, .ours = true};
    return socket;
}

int SocketSet::close(curl_socket_t socket) noexcept {
    if (Entry* const found = entry(socket); found != nullptr) {
        *found = Entry{};  // the kernel forgets the registration with the last descriptor
    }
    return ::close(socket);
}

bool SocketSet::set(curl_socket_t socket, Entry& entry, std::uint32_t wanted) noexcept {
    if (entry.registered == wanted && entry.ours) {
        return true;
    }
    epoll_event event{};
    event.events = wanted;
    event.data.fd = socket;
    int result = 0;
    if (wanted == 0) {
        // Fails where the descriptor is closed already: then there is nothing to take out.
        epoll_ctl(epoll_, EPOLL_CTL_DEL, socket, nullptr);
    } else {
        result = epoll_ctl(epoll_, EPOLL_CTL_MOD, socket, &event);
        if (result != 0 && errno == ENOENT) {
            result = epoll_ctl(epoll_, EPOLL_CTL_ADD, socket, &event);
        }
    }
    entry.registered = result == 0 ? wanted : 0;
    return result == 0;
}

bool SocketSet::watch(curl_socket_t socket, int what, CURLM* owner) noexcept {
    Entry* const found = entry(socket);
    if (found == nullptr) {
        return false;
    }
    if (what == CURL_POLL_REMOVE) {
        found->owner = nullptr;
        if (found->ours && found->registered == EPOLLIN) {
            return true;
        }
        return set(socket, *found, 0);
    }
    found->owner = owner;
    std::uint32_t wanted = 0;
    if (what == CURL_POLL_IN || what == CURL_POLL_INOUT) {
        wanted |= EPOLLIN;
    }
    if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT) {
        wanted |= EPOLLOUT;
    }
    return set(socket, *found, wanted);
}

std::span<const SocketSet::Ready> SocketSet::ready() noexcept {
    const int count = epoll_wait(epoll_, events_.data(), static_cast<int>(events_.size()), 0);
    std::size_t used = 0;
    for (std::size_t i = 0; count > 0 && i < static_cast<std::size_t>(count); ++i) {
        const epoll_event& event = events_[i];
        Entry* const found = entry(event.data.fd);
        if (found == nullptr) {
            continue;
        }
        if (found->owner == nullptr) {
            // The other side closed an idle connection (or sent what nobody asked for). curl finds
            // out by itself before it uses the connection again; without this we would spin.
            static_cast<void>(set(event.data.fd, *found, 0));
            continue;
        }
        int what = 0;
        if ((event.events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
            what |= CURL_CSELECT_IN;
        }
        if ((event.events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) {
            what |= CURL_CSELECT_OUT;
        }
        ready_[used++] = Ready{.socket = event.data.fd, .owner = found->owner, .what = what};
    }
    return {ready_.data(), used};
}

}  // namespace pg_seats::http
