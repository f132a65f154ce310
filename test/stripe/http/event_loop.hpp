// One epoll descriptor and one heap of timers; everything happens on the thread that runs it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <queue>
#include <unordered_map>
#include <utility>
#include <vector>

namespace stripe_simulator {

class EventLoop {
  public:
    using Handler = std::function<void(std::uint32_t events)>;
    using TimerId = std::uint64_t;
    using Time = std::chrono::steady_clock::time_point;

    EventLoop();
    ~EventLoop();
    EventLoop(const EventLoop&) = delete;
    EventLoop& operator=(const EventLoop&) = delete;

    void watch(int fd, std::uint32_t events, Handler handler);
    void change(int fd, std::uint32_t events);
    void forget(int fd);
    TimerId after_ms(std::int64_t milliseconds, std::function<void()> action);
    void cancel(TimerId timer) { actions_.erase(timer); }
    // Runs when the events at hand have been dealt with: the place to destroy what may still be
    // on the stack.
    void defer(std::function<void()> action) { deferred_.push_back(std::move(action)); }

    void run();
    void stop() { running_ = false; }

  private:
    struct Timer {
        Time due;
        TimerId id;
        bool operator>(const Timer& other) const {
            return due != other.due ? due > other.due : id > other.id;
        }
    };
    struct Watched {
        std::uint32_t serial;
        std::shared_ptr<Handler> handler;  // shared: a handler may forget its own descriptor
    };

    [[nodiscard]] int wait_ms() const;
    void run_timers();

    int epoll_;
    bool running_ = true;
    // A descriptor's number can be used again within one batch of events; the serial tells a
    // stale event from one of the new owner.
    std::uint32_t next_serial_ = 0;
    std::unordered_map<int, Watched> watched_;
    std::priority_queue<Timer, std::vector<Timer>, std::greater<>> timers_;
    std::unordered_map<TimerId, std::function<void()>> actions_;
    TimerId next_timer_ = 0;
    std::vector<std::function<void()>> deferred_;
};

}  // namespace stripe_simulator
