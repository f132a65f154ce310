#include "http/event_loop.hpp"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <stdexcept>
#include <utility>

namespace stripe_simulator {

namespace {

std::uint64_t pack(int fd, std::uint32_t serial) {
    return (static_cast<std::uint64_t>(serial) << 32U) | static_cast<std::uint32_t>(fd);
}

}  // namespace

EventLoop::EventLoop() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    if (epoll_ < 0) {
        throw std::runtime_error("epoll_create1 failed");
    }
}

EventLoop::~EventLoop() {
    close(epoll_);
}

void EventLoop::watch(int fd, std::uint32_t events, Handler handler) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = pack(fd, ++next_serial_);
    watched_[fd] = Watched{next_serial_, std::make_shared<Handler>(std::move(handler))};
    epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
}

void EventLoop::change(int fd, std::uint32_t events) {
    const auto found = watched_.find(fd);
    if (found == watched_.end()) {
        return;
    }
    epoll_event event{};
    event.events = events;
    event.data.u64 = pack(fd, found->second.serial);
    epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event);
}

void EventLoop::forget(int fd) {
    if (watched_.erase(fd) > 0) {
        epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
    }
}

EventLoop::TimerId EventLoop::after_ms(std::int64_t milliseconds, std::function<void()> action) {
    const TimerId id = ++next_timer_;
    const auto delay = std::chrono::milliseconds(std::max<std::int64_t>(milliseconds, 0));
    timers_.push({std::chrono::steady_clock::now() + delay, id});
    actions_.emplace(id, std::move(action));
    return id;
}

int EventLoop::wait_ms() const {
    if (timers_.empty()) {
        return 1000;
    }
    const auto left = timers_.top().due - std::chrono::steady_clock::now();
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    return static_cast<int>(std::clamp<std::int64_t>(ms, 0, 1000));
}

void EventLoop::run_timers() {
    const auto now = std::chrono::steady_clock::now();
    while (!timers_.empty() && timers_.top().due <= now) {
        const TimerId id = timers_.top().id;
        timers_.pop();
        const auto found = actions_.find(id);
        if (found != actions_.end()) {
            const auto action = std::move(found->second);
            actions_.erase(found);
            action();
        }
    }
}

void EventLoop::run() {
    std::array<epoll_event, 256> events{};
    while (running_) {
        const int count =
            epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), wait_ms());
        if (count < 0 && errno != EINTR) {
            throw std::runtime_error("epoll_wait failed");
        }
        for (int i = 0; i < count; ++i) {
            const auto& event = events[static_cast<std::size_t>(i)];
            const int fd = static_cast<int>(event.data.u64 & 0xffffffffU);
            const auto found = watched_.find(fd);
            if (found != watched_.end() && found->second.serial == event.data.u64 >> 32U) {
                const std::shared_ptr<Handler> handler = found->second.handler;
                (*handler)(event.events);
            }
        }
        run_timers();
        while (!deferred_.empty()) {
            const auto actions = std::exchange(deferred_, {});
            for (const auto& action : actions) {
                action();
            }
        }
    }
}

}  // namespace stripe_simulator
