// What a receiver of alerts and of the journal is told.
#include <algorithm>

#include "core/receiver.hpp"
#include "core/webhook_signature.hpp"
#include "http/client.hpp"
#include "kinds/kind.hpp"

#include "pg/hmac.hpp"
#include "pg/time.hpp"

namespace pg_seats::kinds {
namespace {

constexpr core::Duration longest_delivery{30'000};
constexpr std::size_t largest_answer = 65'536;  // nobody reads it

pg::Statement resolve_statement{"SELECT seats_internal.resolve_alert($1, $2)"};

std::optional<std::string> sign(const pg::Secret& secret, std::string_view id,
                                std::int64_t timestamp, std::string_view body) {
    return core::sign_standard_webhook(secret.reveal(), id, timestamp, body, pg::hmac_sha256);
}

// By itself no request goes out like this: curl takes none without a method.
void refuse(http::Request& request) {
    request.method.clear();
}

void dress_standard_webhook(const Flight& flight, const Address& address, http::Request& request) {
    const std::string id = "msg_" + flight.call.uuid;  // the same at every try
    const std::int64_t timestamp = pg::unix_seconds(pg::now());
    const auto signature = sign(address.key, id, timestamp, request.body);
    if (!signature) {
        refuse(request);
        return;
    }
    request.headers.emplace_back("Content-Type: application/json");
    request.headers.push_back("webhook-id: " + id);
    request.headers.push_back("webhook-timestamp: " + std::to_string(timestamp));
    request.headers.push_back("webhook-signature: " + *signature);
}

void dress_slack(const Address& address, http::Request& request) {
    request.headers.emplace_back("Content-Type: application/json");
    if (!address.key.empty()) {
        request.url = address.key.reveal();
    }
}

void dress_sentry(const Address& address, http::Request& request) {
    const auto target = core::sentry_target(address.key.reveal(), address.base_url);
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

void dress(const Flight& flight, const Address& address, http::Request& request) {
    const std::string& format = address.format;
    request.total_timeout = std::min(request.total_timeout, longest_delivery);
    request.response_limit = std::min(request.response_limit, largest_answer);
    request.headers.emplace_back("User-Agent: pg_seats/" PG_SEATS_VERSION);
    if (format == "standard_webhook") {
        dress_standard_webhook(flight, address, request);
    } else if (format == "slack") {
        dress_slack(address, request);
    } else if (format == "sentry") {
        dress_sentry(address, request);
    } else {
        refuse(request);  // dropped in this moment
    }
}

void store(Storing& storing, Settlements items) {
    for (const Settlement* item : items) {
        if (!item->is_over() || storing.is_left(*item)) {
            continue;
        }
        storing.follow.receivers = true;  // there is room in its lane for more
        if (item->decision.result == Result::done) {
            resolve_statement.run({pg::text("receiver:" + item->flight.call.destination),
                                   pg::text("a delivery was taken")});
        }
    }
}

}  // namespace

const Kind delivery_kind{.name = "delivery",
                         .rules = core::rules::delivery,
                         .may_be_suspect = false,
                         .dress = dress,
                         .store = store};

}  // namespace pg_seats::kinds
