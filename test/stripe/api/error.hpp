// A refusal, thrown by whatever finds the reason and rendered once.
#pragma once

#include <string>
#include <string_view>

#include "base/json.hpp"

namespace stripe_simulator {

struct ApiError {
    int status = 400;
    std::string type = "invalid_request_error";
    std::string code;
    std::string message;
    std::string param;
    std::string decline_code;
    // Execution had begun: the answer is kept under the idempotency key, as Stripe does for a
    // declined card, but not for a parameter that was refused.
    bool executed = false;
    std::string rate_limited_reason;
    std::string retry_after;
    Json payment_intent;

    [[nodiscard]] std::string body() const;
};

ApiError invalid_request(std::string message, std::string param = {}, std::string code = {});
ApiError missing_parameter(std::string_view param);
ApiError unknown_parameter(std::string_view param);
// 404 for an id in the path, 400 for one in the body.
ApiError no_such(std::string_view kind, std::string_view id, std::string_view param, int status);
ApiError card_error(std::string code, std::string decline_code, std::string message);
ApiError rate_limited(std::string reason, std::string message);

}  // namespace stripe_simulator
