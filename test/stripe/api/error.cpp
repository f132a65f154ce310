#include "api/error.hpp"

namespace stripe_simulator {

std::string ApiError::body() const {
    Json error = Json::object();
    if (!code.empty()) {
        error.set("code", code);
        error.set("doc_url", "https://stripe.com/docs/error-codes/" + code);
    }
    if (!decline_code.empty()) {
        error.set("decline_code", decline_code);
    }
    error.set("message", message);
    if (!param.empty()) {
        error.set("param", param);
    }
    if (payment_intent) {
        error.set("payment_intent", payment_intent);
    }
    error.set("type", type);
    return Json::object().set("error", error).dump();
}

ApiError invalid_request(std::string message, std::string param, std::string code) {
    ApiError error;
    error.message = std::move(message);
    error.param = std::move(param);
    error.code = std::move(code);
    return error;
}

ApiError missing_parameter(std::string_view param) {
    return invalid_request("Missing required param: " + std::string(param) + ".",
                           std::string(param), "parameter_missing");
}

ApiError unknown_parameter(std::string_view param) {
    return invalid_request("Received unknown parameter: " + std::string(param), std::string(param),
                           "parameter_unknown");
}

ApiError no_such(std::string_view kind, std::string_view id, std::string_view param, int status) {
    ApiError error = invalid_request("No such " + std::string(kind) + ": '" + std::string(id) + "'",
                                     std::string(param), "resource_missing");
    error.status = status;
    return error;
}

ApiError card_error(std::string code, std::string decline_code, std::string message) {
    ApiError error;
    error.status = 402;
    error.type = "card_error";
    error.code = std::move(code);
    error.decline_code = std::move(decline_code);
    error.message = std::move(message);
    error.executed = true;
    return error;
}

ApiError rate_limited(std::string reason, std::string message) {
    ApiError error;
    error.status = 429;
    error.code = "rate_limit";
    error.message = std::move(message);
    error.rate_limited_reason = std::move(reason);
    return error;
}

}  // namespace stripe_simulator
