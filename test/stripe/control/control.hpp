// The control endpoint: what tests and developers tell the simulator, and ask it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "api/gateway.hpp"
#include "control/webhooks.hpp"
#include "http/server.hpp"

namespace stripe_simulator {

class Control : public ControlSide, public Service {
  public:
    struct Parts {
        EventLoop& loop;
        World& world;
        Gateway& gateway;
        AccessKeys& access;
        Webhooks& webhooks;
    };

    explicit Control(Parts parts) : parts_(parts) {}
    void attach(Server& api, Server& own) {
        api_ = &api;
        own_ = &own;
    }

    Outcome handle(const Request& request, ConnectionId asking) override;

    // Its own port.
    void on_request(ConnectionId connection, Request&& request) override;
    void on_gone(ConnectionId) override {}
    void on_transmitted(std::uint64_t, bool) override {}

  private:
    struct Asked {
        std::string method;
        std::vector<std::string> path;  // below /_control
        Params query;
        Json body;
        ConnectionId asking = 0;  // of the API's port; 0: it came over the control port

        [[nodiscard]] json_t* raw() const { return body.node(); }
        [[nodiscard]] bool is(std::string_view wanted, std::string_view what) const {
            return method == wanted && !path.empty() && path[0] == what;
        }
    };

    Json dispatch(const Asked& asked);

    // control.cpp
    Json faults(const Asked& asked);
    Json release(const Asked& asked);
    Json clock(const Asked& asked);
    Json keys(const Asked& asked);
    Json outage(const Asked& asked);
    Json limits(const Asked& asked);
    Json webhooks(const Asked& asked);
    Json counters() const;
    Json reset(const Asked& asked);

    // dashboard.cpp
    Json subscription(const Asked& asked);

    // payments.cpp
    Json payment_intent(const Asked& asked);
    Json list_payment_intents(const Asked& asked);
    Json refund(const Asked& asked);
    Json money(const Asked& asked);

    // objects.cpp
    Json customer(const Asked& asked);
    Json seed_subscriptions(const Asked& asked);
    Account& account_of(const Asked& asked);

    Parts parts_;
    Server* api_ = nullptr;
    Server* own_ = nullptr;
    std::string outage_ = "none";
};

}  // namespace stripe_simulator
