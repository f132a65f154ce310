#include "api/delivery.hpp"

#include <algorithm>

#include "api/error.hpp"

namespace stripe_simulator {

namespace {

Outcome from_error(const ApiError& error) {
    Outcome outcome;
    outcome.status = error.status;
    outcome.body = error.body();
    if (!error.rate_limited_reason.empty()) {
        outcome.headers += "Stripe-Rate-Limited-Reason: " + error.rate_limited_reason + "\r\n";
    }
    if (!error.retry_after.empty()) {
        outcome.headers += "Retry-After: " + error.retry_after + "\r\n";
    }
    return outcome;
}

ApiError api_error(int status, std::string message) {
    ApiError error;
    error.status = status;
    error.type = "api_error";
    error.message = std::move(message);
    return error;
}

Outcome html(int status, std::string body) {
    Outcome outcome;
    outcome.status = status;
    outcome.content_type = "text/html; charset=utf-8";
    outcome.body = std::move(body);
    return outcome;
}

Outcome literal(const json_t* rule) {
    Outcome outcome;
    outcome.status = static_cast<int>(integer_at(rule, "status", 200));
    json_t* body = json_object_get(rule, "body");
    outcome.is_literal = json_is_string(body);
    outcome.body = json_is_string(body) ? std::string(text_at(rule, "body"))
                   : body != nullptr    ? Json::share(body).dump()
                                        : std::string();
    const char* name = nullptr;
    json_t* value = nullptr;
    json_object_foreach(json_object_get(rule, "headers"), name, value) {
        if (iequals(name, "content-type")) {
            outcome.content_type = json_string_value(value) ? json_string_value(value) : "";
        } else if (json_is_string(value)) {
            outcome.headers += std::string(name) + ": " + json_string_value(value) + "\r\n";
        }
    }
    return outcome;
}

ApiError error_of_fault(const FaultRule& rule, const Exchange& exchange) {
    const json_t* raw = rule.raw();
    switch (rule.kind) {
        case FaultKind::kError424:
            return api_error(424, "An external dependency has failed.");
        case FaultKind::kConflict409: {
            ApiError error = invalid_request(
                "There is currently another in-progress request using this Idempotent Key (that "
                "probably means you submitted twice, and the other request is still going "
                "through): " +
                    exchange.key + ". Please try again later.",
                {}, "idempotency_key_in_use");
            error.status = 409;
            error.type = "idempotency_error";
            return error;
        }
        case FaultKind::kRateLimit429: {
            ApiError error = rate_limited(std::string(text_at(raw, "reason")),
                                          "Request rate limit exceeded. Learn more about rate "
                                          "limits here https://stripe.com/docs/rate-limits.");
            if (has(raw, "retry_after")) {
                error.retry_after = std::to_string(integer_at(raw, "retry_after"));
            }
            return error;
        }
        case FaultKind::kLockTimeout: {
            ApiError error = invalid_request(
                "This object cannot be accessed right now because another API request or Stripe "
                "process is currently accessing it. If you see this error intermittently, retry "
                "the request.",
                {}, "lock_timeout");
            error.status = 429;
            return error;
        }
        case FaultKind::kUnauthorized401: {
            const bool expired = text_at(raw, "code") == "api_key_expired";
            ApiError error = invalid_request(
                expired ? "Expired API Key provided: sk_****" : "Invalid API Key provided: sk_****",
                {}, std::string(text_at(raw, "code")));
            error.status = 401;
            return error;
        }
        case FaultKind::kForbidden403: {
            ApiError error = invalid_request(
                "The provided key does not have the required permissions for this endpoint on "
                "account '(unknown)'.");
            error.status = 403;
            return error;
        }
        case FaultKind::kUnknownParameter:
            return unknown_parameter(text_at(raw, "param", "simulated_parameter"));
        case FaultKind::kDeclined402:
            return card_error(std::string(text_at(raw, "code", "card_declined")),
                              std::string(text_at(raw, "decline_code", "generic_decline")),
                              "Your card was declined.");
        default:
            return api_error(static_cast<int>(integer_at(raw, "status", 500)),
                             "An unknown error occurred");
    }
}

}  // namespace

bool replaces_outcome(FaultKind kind) {
    switch (kind) {
        case FaultKind::kError500:
        case FaultKind::kError424:
        case FaultKind::kConflict409:
        case FaultKind::kRateLimit429:
        case FaultKind::kLockTimeout:
        case FaultKind::kUnauthorized401:
        case FaultKind::kForbidden403:
        case FaultKind::kUnknownParameter:
        case FaultKind::kShouldRetryTrue:
        case FaultKind::kDeclined402:
        case FaultKind::kRedirect:
        case FaultKind::kHtml200:
        case FaultKind::kHtml502:
        case FaultKind::kAnswer:
            return true;
        default:
            return false;
    }
}

Outcome outcome_of_fault(const FaultRule& rule, const Exchange& exchange) {
    const json_t* raw = rule.raw();
    switch (rule.kind) {
        case FaultKind::kAnswer:
            return literal(raw);
        case FaultKind::kHtml200:
            return html(static_cast<int>(integer_at(raw, "status", 200)),
                        "<!DOCTYPE html><html><head><title>Sign in</title></head><body><h1>Sign "
                        "in to use this network</h1></body></html>");
        case FaultKind::kHtml502:
            return html(static_cast<int>(integer_at(raw, "status", 502)),
                        "<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 "
                        "Bad Gateway</h1></center><hr><center>nginx</center></body></html>");
        case FaultKind::kRedirect: {
            Outcome outcome = html(static_cast<int>(integer_at(raw, "status", 302)), "");
            outcome.headers =
                "Location: " +
                std::string(text_at(raw, "location", "http://127.0.0.1:9/elsewhere")) + "\r\n";
            return outcome;
        }
        default:
            break;
    }
    Outcome outcome = from_error(error_of_fault(rule, exchange));
    if (rule.kind == FaultKind::kShouldRetryTrue) {
        outcome.headers += "Stripe-Should-Retry: true\r\n";
    } else if (has(raw, "should_retry")) {
        outcome.headers += flag_at(raw, "should_retry") ? "Stripe-Should-Retry: true\r\n"
                                                        : "Stripe-Should-Retry: false\r\n";
    }
    if (rule.kind != FaultKind::kUnauthorized401) {
        outcome.headers += "Request-Id: " + exchange.request_id + "\r\n";
    }
    return outcome;
}

Transmission shape(const Exchange& exchange, const Outcome& outcome, const std::string& date) {
    using Then = Transmission::Then;
    Transmission out;
    out.request_number = exchange.number;
    bool keep = exchange.request.keep_alive;
    const FaultRule* rule = exchange.fault.get();
    const json_t* raw = rule != nullptr ? rule->raw() : nullptr;
    const std::string body = outcome.is_literal || outcome.content_type != "application/json"
                                 ? outcome.body
                                 : indented(outcome.body);
    std::size_t announced = body.size();
    std::size_t sent = body.size();
    if (rule != nullptr && rule->kind == FaultKind::kShortContentLength) {
        // The client takes a part for the whole; what follows would look like the next answer.
        announced = std::min(static_cast<std::size_t>(integer_at(
                                 raw, "bytes", static_cast<std::int64_t>(announced / 2))),
                             announced);
        sent = announced;
    }
    if (rule != nullptr && rule->kind == FaultKind::kCutBody) {
        sent = std::min(static_cast<std::size_t>(
                            integer_at(raw, "bytes", static_cast<std::int64_t>(announced / 2))),
                        announced);
        keep = false;
    }
    std::string headers = "Date: " + date + "\r\n";
    if (!outcome.content_type.empty()) {
        headers += "Content-Type: " + outcome.content_type + "\r\n";
    }
    headers += outcome.headers;
    const std::string head = make_head(outcome.status, headers, announced, keep);
    out.bytes.reserve(head.size() + sent);
    out.bytes = head;
    out.bytes.append(body, 0, sent);
    out.then = keep ? Then::kKeep : Then::kClose;
    if (rule == nullptr) {
        return out;
    }
    const Then cut = flag_at(raw, "reset") ? Then::kReset : Then::kClose;
    switch (rule->kind) {
        case FaultKind::kCutBody:
            out.then = cut;
            break;
        case FaultKind::kCutHead: {
            // By default after the status line, which libcurl takes for a whole answer.
            const std::size_t line = head.find("\r\n") + 2;
            const auto bytes =
                static_cast<std::size_t>(integer_at(raw, "bytes", static_cast<std::int64_t>(line)));
            out.bytes.resize(std::min(bytes, head.size() - 1));
            out.then = cut;
            break;
        }
        case FaultKind::kSlowBody:
            out.first = head.size();
            out.piece =
                static_cast<std::size_t>(std::max<std::int64_t>(integer_at(raw, "bytes", 16), 1));
            out.interval_ms = static_cast<int>(integer_at(raw, "interval_ms", 50));
            break;
        case FaultKind::kGarbage:
            out.bytes = "\x16\x03\x01 this is not HTTP \xff\xfe\r\n\r\n";
            out.then = cut;
            break;
        default:
            break;
    }
    return out;
}

}  // namespace stripe_simulator
