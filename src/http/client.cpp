#include "http/client.hpp"

#include <algorithm>
#include <new>
#include <stdexcept>
#include <utility>

#include "http/multi.hpp"
#include "http/signals.hpp"
#include "http/sockets.hpp"
#include "http/transfer.hpp"

namespace pg_seats::http {
namespace {

using SteadyClock = std::chrono::steady_clock;

// As many transfers are kept as there may be connections: making one costs more than a request of
// it. But not more than this for each of them, which is some kilobytes.
constexpr std::size_t most_spare_transfers = 2'048;
// One work() goes on while there is more to do, but not for ever: the caller has a latch to look
// at.
constexpr int most_rounds = 8;

// In the process that speaks HTTP, on first use, never when the library is loaded: the postmaster
// must not start what curl and OpenSSL start.
void start_curl() {
    static const CURLcode result = curl_global_init(CURL_GLOBAL_DEFAULT);
    if (result != CURLE_OK) {
        throw std::runtime_error(std::string("libcurl: ") + curl_easy_strerror(result));
    }
}

struct Queued {
    Request request;
    SteadyClock::time_point submitted;
};

}  // namespace

// The order of the members matters: multis close their sockets through the set, transfers are taken
// out of their multi before either goes.
struct Client::State {
    explicit State(std::size_t connections) : most_connections(connections) { renew(); }
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State() {
        for (const Active& one : active) {
            one.multi->remove(*one.transfer);
        }
    }

    struct Active {
        std::unique_ptr<Transfer> transfer;
        Multi* multi;
    };

    std::size_t most_connections;
    SocketSet sockets;
    std::vector<std::unique_ptr<Transfer>> spare;
    std::vector<std::unique_ptr<Multi>> multis;  // the last is in use, earlier ones finish up
    std::vector<Active> active;
    std::vector<Queued> queue;
    std::vector<Response> finished;

    void renew() { multis.push_back(std::make_unique<Multi>(sockets, most_connections)); }

    [[nodiscard]] std::unique_ptr<Transfer> take_transfer() {
        if (spare.empty()) {
            return std::make_unique<Transfer>(sockets);
        }
        std::unique_ptr<Transfer> transfer = std::move(spare.back());
        spare.pop_back();
        return transfer;
    }

    void put_back(std::unique_ptr<Transfer> transfer) {
        if (spare.size() < std::min(most_connections, most_spare_transfers)) {
            spare.push_back(std::move(transfer));
        }
    }

    void start(Queued& queued) {
        std::unique_ptr<Transfer> transfer = take_transfer();
        if (!transfer->prepare(std::move(queued.request), queued.submitted)) {
            finished.push_back(transfer->finish(CURLE_FAILED_INIT));
            put_back(std::move(transfer));
            return;
        }
        Multi& multi = *multis.back();
        active.reserve(active.size() + 1);  // nothing may throw once curl has the handle
        if (multi.add(*transfer) != CURLM_OK) {
            finished.push_back(transfer->finish(CURLE_FAILED_INIT));
            return;
        }
        transfer->place = active.size();
        active.push_back(Active{std::move(transfer), &multi});
    }

    void start_queued() {
        for (Queued& queued : queue) {
            const std::uint64_t id = queued.request.id;
            try {
                start(queued);
            } catch (const std::bad_alloc&) {
                // Everything submitted comes back, or its caller would wait for it for ever.
                Response& response = finished.emplace_back();
                response.id = id;
                response.error = "out of memory before the request was sent";
            }
        }
        queue.clear();
    }

    void collect(Multi& multi) {
        while (const auto done = multi.next_finished()) {
            const std::size_t place = done->transfer->place;
            std::unique_ptr<Transfer> transfer = std::move(active[place].transfer);
            if (place + 1 != active.size()) {
                active[place] = std::move(active.back());
                active[place].transfer->place = place;
            }
            active.pop_back();
            finished.push_back(transfer->finish(done->result));
            put_back(std::move(transfer));
        }
    }

    // One round: true if another may find more to do.
    [[nodiscard]] bool work_once() {
        start_queued();
        const auto now = SteadyClock::now();
        for (const auto& multi : multis) {
            if (multi->due() && *multi->due() <= now) {
                multi->run_timers();
            }
        }
        const auto ready = sockets.ready();
        for (const SocketSet::Ready& one : ready) {
            for (const auto& multi : multis) {
                if (multi->handle() == one.owner) {
                    multi->run_socket(one);
                    break;
                }
            }
        }
        bool more = ready.size() == SocketSet::most_ready();
        for (const auto& multi : multis) {
            collect(*multi);
            more = more || (multi->due() && *multi->due() <= now);
        }
        return more;
    }

    void drop_retired() {
        while (multis.size() > 1 && multis.front()->transfers() == 0) {
            multis.erase(multis.begin());
        }
    }
};

Client::Client(std::size_t most_connections_per_host) {
    start_curl();
    const SignalMask mask;
    state_ = std::make_unique<State>(std::max<std::size_t>(most_connections_per_host, 1));
}

Client::~Client() {
    const SignalMask mask;
    state_.reset();
}

int Client::descriptor() const noexcept {
    return state_->sockets.descriptor();
}

std::optional<std::chrono::milliseconds> Client::until_due() const noexcept {
    if (!state_->queue.empty() || !state_->finished.empty()) {
        return std::chrono::milliseconds{0};
    }
    std::optional<SteadyClock::time_point> first;
    for (const auto& multi : state_->multis) {
        if (multi->due() && (!first || *multi->due() < *first)) {
            first = multi->due();
        }
    }
    if (!first) {
        return std::nullopt;
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*first - SteadyClock::now());
    return std::max(left, std::chrono::milliseconds{0});
}

// Only noted here, so that one masked stretch in work() starts the whole batch.
void Client::submit(Request request) {
    state_->queue.push_back(Queued{std::move(request), SteadyClock::now()});
}

void Client::work() {
    const SignalMask mask;
    for (int round = 0; round < most_rounds && state_->work_once(); ++round) {
    }
    if (state_->multis.size() > 1) {
        state_->drop_retired();
    }
}

std::vector<Response> Client::take_finished() {
    return std::exchange(state_->finished, {});
}

std::size_t Client::in_flight() const noexcept {
    return state_->active.size() + state_->queue.size();
}

void Client::limit_connections(std::size_t per_host) noexcept {
    per_host = std::max<std::size_t>(per_host, 1);
    if (per_host == std::exchange(state_->most_connections, per_host)) {
        return;
    }
    for (const auto& multi : state_->multis) {
        multi->limit_connections(per_host);
    }
}

// curl cannot be told to close its idle connections, so the multi is replaced. One with transfers
// on the wire stays until they have ended. The cache of names goes with it.
void Client::forget_connections() {
    const SignalMask mask;
    state_->renew();
    state_->drop_retired();
}

}  // namespace pg_seats::http
