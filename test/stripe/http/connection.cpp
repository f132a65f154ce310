#include "http/connection.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace stripe_simulator {

namespace {

// A whole request must fit: less, and a large one would wait for ever for its end to be read.
constexpr std::size_t kMaxUnread = RequestParser::kMaxHead + RequestParser::kMaxBody;

}  // namespace

Connection::Connection(Server& server, ConnectionId id, int fd)
    : server_(server), id_(id), fd_(fd), interest_(EPOLLIN | EPOLLRDHUP) {
    server_.loop_.watch(fd_, interest_, [this](std::uint32_t events) { on_events(events); });
}

Connection::~Connection() {
    if (!closed_) {
        server_.loop_.forget(fd_);
        close(fd_);
    }
    server_.loop_.cancel(timer_);
}

void Connection::on_events(std::uint32_t events) {
    if (closed_) {
        return;
    }
    if ((events & EPOLLOUT) != 0U) {
        write_some();
    }
    if (!closed_ && (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0U) {
        read_some();
    }
}

void Connection::read_some() {
    std::array<char, 32768> buffer;  // not zeroed: that would cost more than the read
    for (int round = 0; round < 4 && parser_.buffered() <= kMaxUnread; ++round) {
        const ssize_t got = recv(fd_, buffer.data(), buffer.size(), 0);
        if (got > 0) {
            parser_.feed({buffer.data(), static_cast<std::size_t>(got)});
            if (static_cast<std::size_t>(got) < buffer.size()) {
                break;
            }
            continue;
        }
        if (got == 0) {
            peer_closed_ = true;
        } else if (errno != EAGAIN && errno != EINTR) {
            close_now(false);
            return;
        }
        break;
    }
    if (peer_closed_ && awaiting_answer_) {
        // It will not read an answer that it did not wait for.
        close_now(false);
        return;
    }
    proceed();
    if (!closed_ && peer_closed_ && !awaiting_answer_ && !answering_) {
        close_now(false);
        return;
    }
    update_interest();
}

void Connection::proceed() {
    if (proceeding_ || closed_) {
        return;
    }
    proceeding_ = true;
    // A service that answers at once does so inside on_request: the loop then takes the next.
    while (!closed_ && !awaiting_answer_ && !answering_ && !server_.deaf_) {
        Request request;
        const auto result = parser_.next(request);
        if (result == RequestParser::Result::kNeedMore) {
            break;
        }
        if (result == RequestParser::Result::kContinue) {
            out_.append("HTTP/1.1 100 Continue\r\n\r\n");
            write_some();
            continue;
        }
        if (result == RequestParser::Result::kBad) {
            Transmission refusal;
            refusal.bytes = make_head(parser_.error_status(), {}, 0, false);
            refusal.then = Transmission::Then::kClose;
            transmit(std::move(refusal));
            break;
        }
        awaiting_answer_ = true;
        server_.service_.on_request(id_, std::move(request));
    }
    proceeding_ = false;
    if (!closed_ && !out_.empty()) {
        write_some();
    }
}

void Connection::transmit(Transmission transmission) {
    if (closed_) {
        return;
    }
    awaiting_answer_ = false;
    request_number_ = transmission.request_number;
    then_ = transmission.then;
    if (transmission.piece == 0) {
        out_.append(transmission.bytes);
        if (then_ == Transmission::Then::kKeep && proceeding_ && out_.size() < kMaxUnread) {
            // Pipelined answers leave together. What proceed() cannot write is told as written:
            // the socket would have to break within the same turn of the loop.
            server_.service_.on_transmitted(request_number_, true);
            request_number_ = 0;
            return;
        }
        answering_ = true;
        write_some();
        return;
    }
    answering_ = true;
    slow_at_ = std::min(transmission.first, transmission.bytes.size());
    out_.append(transmission.bytes, 0, slow_at_);
    slow_ = std::move(transmission);
    write_some();
}

void Connection::send_slowly() {
    const std::size_t piece = std::min(slow_.piece, slow_.bytes.size() - slow_at_);
    out_.append(slow_.bytes, slow_at_, piece);
    slow_at_ += piece;
    write_some();
}

void Connection::write_some() {
    while (sent_ < out_.size()) {
        const ssize_t put = send(fd_, out_.data() + sent_, out_.size() - sent_, MSG_NOSIGNAL);
        if (put > 0) {
            sent_ += static_cast<std::size_t>(put);
        } else if (errno == EAGAIN) {
            update_interest();
            return;
        } else if (errno != EINTR) {
            close_now(false);
            return;
        }
    }
    out_.clear();
    sent_ = 0;
    if (answering_ && slow_at_ < slow_.bytes.size()) {
        timer_ = server_.loop_.after_ms(slow_.interval_ms, [this] { send_slowly(); });
        update_interest();
        return;
    }
    if (answering_) {
        finish_transmission();
    } else {
        update_interest();
    }
}

void Connection::finish_transmission() {
    answering_ = false;
    slow_ = Transmission();
    slow_at_ = 0;
    if (request_number_ != 0) {
        server_.service_.on_transmitted(request_number_, true);
        request_number_ = 0;
    }
    if (then_ != Transmission::Then::kKeep || peer_closed_) {
        close_now(then_ == Transmission::Then::kReset);
        return;
    }
    update_interest();
    proceed();
}

void Connection::close_now(bool reset) {
    if (closed_) {
        return;
    }
    closed_ = true;
    if (answering_ && request_number_ != 0) {
        server_.service_.on_transmitted(request_number_, false);
    }
    const bool was_awaiting = awaiting_answer_;
    awaiting_answer_ = false;
    answering_ = false;
    server_.loop_.forget(fd_);
    server_.loop_.cancel(timer_);
    if (reset) {
        const linger abort{1, 0};
        setsockopt(fd_, SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
    } else {
        // Unread bytes would turn close() into a reset, which can destroy the answer before the
        // client has read it.
        shutdown(fd_, SHUT_WR);
        std::array<char, 4096> unread{};
        while (recv(fd_, unread.data(), unread.size(), MSG_DONTWAIT) > 0) {
        }
    }
    close(fd_);
    if (was_awaiting) {
        server_.service_.on_gone(id_);
    }
    server_.bury(id_);
}

void Connection::update_interest() {
    if (closed_) {
        return;
    }
    std::uint32_t wanted = 0;
    if (!peer_closed_) {
        wanted |= EPOLLRDHUP;
        if (parser_.buffered() <= kMaxUnread) {
            wanted |= EPOLLIN;
        }
    }
    if (sent_ < out_.size()) {
        wanted |= EPOLLOUT;
    }
    if (wanted != interest_) {
        interest_ = wanted;
        server_.loop_.change(fd_, wanted);
    }
}

}  // namespace stripe_simulator
