// The way of a request: fault, admission (key, version, idempotency), execution, answer.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include "api/access.hpp"
#include "api/exchange.hpp"
#include "api/faults.hpp"
#include "api/idempotency.hpp"
#include "api/ledger.hpp"
#include "api/request_log.hpp"
#include "api/router.hpp"
#include "billing/world.hpp"

namespace stripe_simulator {

struct Counters {
    std::uint64_t received = 0;
    std::uint64_t executed = 0;
    std::uint64_t replayed = 0;
    std::uint64_t delivered = 0;
    std::uint64_t undelivered = 0;
    std::uint64_t key_conflicts = 0;
    std::uint64_t key_mismatches = 0;
    std::map<int, std::uint64_t> by_status;
    std::unordered_map<std::string_view, std::uint64_t> by_operation;
    std::map<std::string, std::uint64_t> by_fault;
};

// Serves what lies below /_control/ on the API's own port.
class ControlSide {
  public:
    virtual ~ControlSide() = default;
    // `asking` is the connection of the API's port that it came over.
    virtual Outcome handle(const Request& request, ConnectionId asking) = 0;
};

class Gateway : public Service {
  public:
    struct Parts {
        EventLoop& loop;
        World& world;
        AccessKeys& access;
        BlobStore& blobs;
        std::uint64_t seed;
        std::size_t request_log;
        bool light;
    };
    // Which held requests a release is for; globs.
    struct ReleaseFilter {
        std::uint64_t number = 0;
        std::string key = "*";
        std::string method = "*";
        std::string path = "*";
        std::string fault = "*";
    };

    explicit Gateway(Parts parts);
    void attach(Server& server, ControlSide& control);

    void on_request(ConnectionId connection, Request&& request) override;
    void on_gone(ConnectionId connection) override;
    void on_transmitted(std::uint64_t request_number, bool whole) override;

    // Lets held requests go on, or drops them.
    std::size_t release(const ReleaseFilter& filter, bool drop);
    // Executes what waits for the clock to move.
    void on_clock_moved();
    void reset();

    Faults& faults() { return faults_; }
    Ledger& ledger() { return ledger_; }
    RequestLog& log() { return log_; }
    IdempotencyStore& keys() { return keys_; }
    [[nodiscard]] const Counters& counters() const { return counters_; }
    [[nodiscard]] std::size_t held() const { return held_.size(); }

  private:
    using Held = std::unique_ptr<Exchange>;

    // gateway.cpp
    void proceed(Held exchange);
    void begin_fault(Held exchange);
    void hold(Held exchange, const char* state);
    void resume(std::uint64_t number, bool drop);
    void run_and_answer(Held exchange);
    void finish(Exchange& exchange, const Outcome& outcome);
    void lose(Exchange& exchange, const char* state);
    const std::string& date();

    // admission.cpp
    bool admit(Exchange& exchange);
    void identify(Exchange& exchange);
    bool check_key(Exchange& exchange);
    void lock_key(Exchange& exchange);
    void free_key(Exchange& exchange);
    void execute(Exchange& exchange, bool as_500);
    void complete_key(Exchange& exchange);
    void refuse(Exchange& exchange, const ApiError& error);
    void add_headers(Exchange& exchange, bool stored, std::string_view original) const;

    Parts parts_;
    Server* server_ = nullptr;
    ControlSide* control_ = nullptr;
    Router router_;
    Faults faults_;
    IdempotencyStore keys_;
    Ledger ledger_;
    RequestLog log_;
    Counters counters_;
    IdMaker request_ids_;
    std::uint64_t count_ = 0;
    std::map<std::uint64_t, Held> held_;
    std::unordered_map<ConnectionId, std::uint64_t> held_by_connection_;
    std::int64_t date_at_ = -1;
    std::string date_;
    std::unordered_map<std::string, std::pair<std::int64_t, std::size_t>> rate_;
};

}  // namespace stripe_simulator
