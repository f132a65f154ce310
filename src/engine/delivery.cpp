#include "engine/delivery.hpp"

#include <algorithm>

#include "core/receiver.hpp"
#include "core/webhook_signature.hpp"

#include "pg/hmac.hpp"
#include "pg/log.hpp"
#include "pg/settings.hpp"
#include "pg/time.hpp"

namespace pg_seats::engine {
namespace {

constexpr core::Duration longest_delivery{30'000};
constexpr std::size_t largest_answer = 65'536;  // nobody reads it

std::optional<std::string> sign(const pg::Secret& secret, std::string_view id,
                                std::int64_t timestamp, std::string_view body) {
    return core::sign_standard_webhook(secret.reveal(), id, timestamp, body, pg::hmac_sha256);
}

// By itself no request goes out like this: curl takes none without a method.
void refuse(http::Request& request) {
    request.method.clear();
}

void dress_standard_webhook(const Flight& flight, http::Request& request) {
    const std::string id = "msg_" + flight.call.uuid;  // the same at every try
    const std::int64_t timestamp = pg::unix_seconds(pg::now());
    const auto signature = sign(flight.destination->key, id, timestamp, request.body);
    if (!signature) {
        refuse(request);
        return;
    }
    request.headers.emplace_back("Content-Type: application/json");
    request.headers.push_back("webhook-id: " + id);
    request.headers.push_back("webhook-timestamp: " + std::to_string(timestamp));
    request.headers.push_back("webhook-signature: " + *signature);
}

void dress_slack(const Flight& flight, http::Request& request) {
    request.headers.emplace_back("Content-Type: application/json");
    if (!flight.destination->key.empty()) {
        request.url = flight.destination->key.reveal();
    }
}

void dress_sentry(const Flight& flight, http::Request& request) {
    const auto target =
        core::sentry_target(flight.destination->key.reveal(), flight.destination->base_url);
    if (!target) {
        refuse(request);
        return;
    }
    request.url = target->url;
    request.headers.emplace_back("Content-Type: application/x-sentry-envelope");
    request.headers.push_back(
        "X-Sentry-Auth: Sentry sentry_version=7, sentry_client=pg_seats/" PG_SEATS_VERSION
        ", sentry_key=" +
        target->key);
}

Decision give_up(const Flight& flight, std::string_view reason, const std::string& error) {
    const std::string& name = flight.destination->name;
    Decision decision = finish(flight, "refused", reason);
    decision.answer.clear();
    decision.error = error;
    pg::log_warning("delivery " + std::to_string(flight.call.id) + " to receiver " + name +
                        " is given up (" + std::string(reason) + "): " + error,
                    "What it was to be told stands in seats.alerts and seats.journal.");
    decision.alert =
        Alert{"receiver:" + name, "warning", "receiver_fails",
              "receiver " + name + " does not take what it is told: " + error,
              "Look at seats.receivers, and at the receiver. The alert is resolved with "
              "the next delivery that it takes."};
    return decision;
}

}  // namespace

std::string problem_of_secret(const Destination& destination, const pg::Secret& secret) {
    const std::string file = "what file " + destination.secret_name + " holds is no ";
    if (destination.format == "standard_webhook" && !sign(secret, "msg_0", 0, "")) {
        return file + "secret for standard webhooks (whsec_ and the base64 of 24 to 64 bytes)";
    }
    if (destination.format == "slack" && !core::is_url_of(secret.reveal(), destination.base_url)) {
        return file + "URL that begins with " + destination.base_url + "/";
    }
    if (destination.format == "sentry" &&
        !core::sentry_target(secret.reveal(), destination.base_url)) {
        return file + "DSN of " + destination.base_url;
    }
    return {};
}

void dress_delivery(const Flight& flight, http::Request& request) {
    const std::string& format = flight.destination->format;
    request.total_timeout = std::min(request.total_timeout, longest_delivery);
    request.response_limit = std::min(request.response_limit, largest_answer);
    request.headers.emplace_back("User-Agent: pg_seats/" PG_SEATS_VERSION);
    if (format == "standard_webhook") {
        dress_standard_webhook(flight, request);
    } else if (format == "slack") {
        dress_slack(flight, request);
    } else if (format == "sentry") {
        dress_sentry(flight, request);
    } else {
        refuse(request);  // dropped in this moment
    }
}

// A receiver that has answered with a 2xx has it, also if the rest of its answer was lost. What it
// refuses it would refuse again.
Decision decide_delivery(Engine& engine, const Flight& flight, const core::Judgement& judgement) {
    const int status = flight.answer.response.status;
    const std::string error = flight.answer.response.error.empty() || status >= 300
                                  ? "HTTP status " + std::to_string(status)
                                  : judgement.message;
    Decision decision;
    if (status >= 200 && status < 300) {
        decision = finish(flight, "done", {});
        decision.answer.clear();
        count(engine.slot.counters.done);
    } else if (judgement.verdict == core::Verdict::refused ||
               judgement.verdict == core::Verdict::halted) {
        decision = give_up(flight, judgement.reason, error);
        count(engine.slot.counters.refused);
    } else if (older_than(flight.call.created_at, pg::settings.delivery_lifetime_s)) {
        decision = give_up(flight, "given_up", error);
        count(engine.slot.counters.refused);
    } else {
        decision = keep(flight, "waiting");
        decision.doubt = false;
        decision.reason = judgement.reason;
        decision.error = error;
        decision.due_in = backoff(engine, flight.call, judgement);
        count(engine.slot.counters.again);
    }
    decision.verdict = core::to_string(judgement.verdict);
    return decision;
}

}  // namespace pg_seats::engine
