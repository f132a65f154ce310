#include "engine/delivery.hpp"

#include "core/receiver.hpp"
#include "core/webhook_signature.hpp"

#include "pg/hmac.hpp"
#include "pg/log.hpp"
#include "pg/settings.hpp"

namespace pg_seats::engine {
namespace {

std::optional<std::string> sign(const pg::Secret& secret, std::string_view id,
                                std::int64_t timestamp, std::string_view body) {
    return core::sign_standard_webhook(secret.reveal(), id, timestamp, body, pg::hmac_sha256);
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
