#include "http/multi.hpp"

#include <new>

namespace pg_seats::http {

Multi::Multi(SocketSet& sockets, std::size_t most_connections_per_host)
    : sockets_(sockets), handle_(curl_multi_init()) {
    if (handle_ == nullptr) {
        throw std::bad_alloc();
    }
    curl_multi_setopt(handle_, CURLMOPT_SOCKETFUNCTION, &Multi::on_socket);
    curl_multi_setopt(handle_, CURLMOPT_SOCKETDATA, this);
    curl_multi_setopt(handle_, CURLMOPT_TIMERFUNCTION, &Multi::on_timer);
    curl_multi_setopt(handle_, CURLMOPT_TIMERDATA, this);
    curl_multi_setopt(handle_, CURLMOPT_PIPELINING, static_cast<long>(CURLPIPE_MULTIPLEX));
    limit_connections(most_connections_per_host);
}

void Multi::limit_connections(std::size_t per_host) noexcept {
    const auto most = static_cast<long>(per_host);
    curl_multi_setopt(handle_, CURLMOPT_MAX_HOST_CONNECTIONS, most);
    curl_multi_setopt(handle_, CURLMOPT_MAXCONNECTS, 2 * most);  // kept for several hosts
}

Multi::~Multi() {
    // Its connections close their sockets through the SocketSet, which therefore lives longer.
    curl_multi_cleanup(handle_);
}

CURLMcode Multi::add(Transfer& transfer) noexcept {
    const CURLMcode result = curl_multi_add_handle(handle_, transfer.handle());
    if (result == CURLM_OK) {
        ++transfers_;
    }
    return result;
}

void Multi::remove(Transfer& transfer) noexcept {
    if (curl_multi_remove_handle(handle_, transfer.handle()) == CURLM_OK && transfers_ > 0) {
        --transfers_;
    }
}

void Multi::run_timers() noexcept {
    due_.reset();  // curl sets it anew if it wants to be called again
    int running = 0;
    curl_multi_socket_action(handle_, CURL_SOCKET_TIMEOUT, 0, &running);
}

void Multi::run_socket(const SocketSet::Ready& ready) noexcept {
    int running = 0;
    curl_multi_socket_action(handle_, ready.socket, ready.what, &running);
}

std::optional<Multi::Finished> Multi::next_finished() noexcept {
    int left = 0;
    while (const CURLMsg* const message = curl_multi_info_read(handle_, &left)) {
        if (message->msg != CURLMSG_DONE) {
            continue;
        }
        const Finished finished{Transfer::of(message->easy_handle), message->data.result};
        remove(*finished.transfer);  // the message is gone after this
        return finished;
    }
    return std::nullopt;
}

int Multi::on_socket(CURL* /*handle*/, curl_socket_t socket, int what, void* self,
                     void* /*nothing*/) noexcept {
    Multi& multi = *static_cast<Multi*>(self);
    return multi.sockets_.watch(socket, what, multi.handle_) ? 0 : -1;
}

int Multi::on_timer(CURLM* /*handle*/, long milliseconds, void* self) noexcept {
    Multi& multi = *static_cast<Multi*>(self);
    if (milliseconds < 0) {
        multi.due_.reset();
    } else {
        multi.due_ = std::chrono::steady_clock::now() + std::chrono::milliseconds{milliseconds};
    }
    return 0;
}

}  // namespace pg_seats::http
