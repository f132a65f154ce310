// Signed delivery of events to URLs: late, twice, in disorder, and again when it failed.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "api/form.hpp"
#include "base/json.hpp"
#include "base/text.hpp"
#include "billing/world.hpp"
#include "http/client.hpp"

namespace stripe_simulator {

// "t=1700000000,v1=…": one v1 for each secret.
std::string sign(std::string_view body, const std::vector<std::string>& secrets, std::int64_t at);

class Webhooks {
  public:
    Webhooks(EventLoop& loop, World& world, std::uint64_t seed);

    // Throws ApiError when the endpoint makes no sense.
    Json add(const Json& endpoint);
    bool remove(std::string_view id);
    void clear();
    [[nodiscard]] Json report(const Params& filters) const;
    // Sends what an endpoint with "hold": true has kept back.
    std::size_t release(std::string_view endpoint);
    // Sends an event once more, or any JSON as it is.
    bool send_again(std::string_view event, std::string_view endpoint);
    std::size_t send_body(const std::string& body, std::string_view endpoint);

    void on_event(Account& account, const Event& event, const RenderAtVersion& render,
                  const Json& previous);

  private:
    struct Endpoint {
        std::string id;
        std::string url_text;
        Url url;
        std::vector<std::string> secrets;
        std::string version;
        std::string account;  // empty: all
        std::vector<std::string> types;
        std::int64_t delay_ms = 0;
        std::int64_t jitter_ms = 0;  // makes a disorder of its own
        std::int64_t timeout_ms = 10000;
        std::size_t reorder = 0;  // so many are collected and sent backwards
        double duplicate = 0;     // probability
        double lose = 0;
        bool hold = false;
        bool simulated_time = false;
        std::vector<std::int64_t> retry_ms{200, 1000, 5000};
    };
    struct Delivery {
        std::uint64_t number = 0;
        std::string endpoint;
        std::string event;
        std::string type;
        std::string body;
        std::size_t attempts = 0;
        int status = 0;
        std::string error;
        std::string state = "waiting";  // waiting, held, sending, retrying, delivered, failed, lost
    };

    void enqueue(const Endpoint& endpoint, std::string event, std::string type, std::string body);
    void schedule(const Endpoint& endpoint, std::uint64_t delivery);
    void flush_reordered(const std::string& endpoint);
    void attempt(std::uint64_t delivery);
    void on_answer(std::uint64_t delivery, int status, const std::string& error);
    void forget_oldest();

    EventLoop& loop_;
    World& world_;
    HttpClient client_;
    Chance chance_;
    std::map<std::string, Endpoint, std::less<>> endpoints_;
    std::map<std::uint64_t, Delivery> deliveries_;
    std::map<std::string, std::vector<std::uint64_t>> collected_;
    std::uint64_t delivery_count_ = 0;
    std::uint64_t endpoint_count_ = 0;
};

}  // namespace stripe_simulator
