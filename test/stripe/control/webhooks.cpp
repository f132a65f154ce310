#include "control/webhooks.hpp"

#include <openssl/hmac.h>

#include <algorithm>
#include <array>

#include "api/error.hpp"
#include "api/form.hpp"
#include "billing/render.hpp"

namespace stripe_simulator {

namespace {

constexpr std::size_t kMaxDeliveries = 5000;
constexpr std::int64_t kReorderPatienceMs = 500;

std::string hmac_hex(std::string_view key, std::string_view text) {
    static constexpr char kHex[] = "0123456789abcdef";
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned int size = 0;
    HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
         reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data(), &size);
    std::string out;
    for (unsigned int i = 0; i < size; ++i) {
        out.push_back(kHex[digest[i] >> 4U]);
        out.push_back(kHex[digest[i] & 15U]);
    }
    return out;
}

void read_strings(const json_t* value, std::vector<std::string>& out) {
    if (json_is_string(value)) {
        out.emplace_back(json_string_value(value));
    }
    std::size_t index = 0;
    json_t* element = nullptr;
    json_array_foreach(const_cast<json_t*>(value), index, element) {
        if (json_is_string(element)) {
            out.emplace_back(json_string_value(element));
        }
    }
}

}  // namespace

std::string sign(std::string_view body, const std::vector<std::string>& secrets, std::int64_t at) {
    const std::string time = std::to_string(at);
    std::string signed_text = time + ".";
    signed_text.append(body);
    std::string header = "t=" + time;
    for (const std::string& secret : secrets) {
        header += ",v1=" + hmac_hex(secret, signed_text);
    }
    return header;
}

Webhooks::Webhooks(EventLoop& loop, World& world, std::uint64_t seed)
    : loop_(loop), world_(world), client_(loop), chance_(seed + 7) {}

Json Webhooks::add(const Json& rule) {
    const json_t* raw = rule.node();
    Endpoint endpoint;
    endpoint.url_text = text_at(raw, "url");
    endpoint.url = Url::parse(endpoint.url_text);
    read_strings(json_object_get(raw, "secret"), endpoint.secrets);
    read_strings(json_object_get(raw, "secrets"), endpoint.secrets);
    if (endpoint.secrets.empty() || endpoint.secrets.front().empty()) {
        throw invalid_request("A webhook endpoint needs a secret.", "secret");
    }
    const char* types = has(raw, "events") ? "events" : "enabled_events";
    read_strings(json_object_get(raw, types), endpoint.types);
    if (endpoint.types.empty()) {
        endpoint.types.emplace_back("*");
    }
    endpoint.version = text_at(raw, "api_version", world_.options().default_version);
    endpoint.account = text_at(raw, "account");
    endpoint.delay_ms = integer_at(raw, "delay_ms");
    endpoint.jitter_ms = integer_at(raw, "jitter_ms");
    endpoint.timeout_ms = integer_at(raw, "timeout_ms", 10000);
    endpoint.reorder = static_cast<std::size_t>(integer_at(raw, "reorder"));
    endpoint.duplicate = flag_at(raw, "duplicate") ? 1.0 : number_at(raw, "duplicate");
    endpoint.lose = number_at(raw, "lose");
    endpoint.hold = flag_at(raw, "hold");
    endpoint.simulated_time = text_at(raw, "timestamp") == "simulated";
    if (json_is_array(json_object_get(raw, "retry_ms"))) {
        endpoint.retry_ms.clear();
        std::size_t index = 0;
        json_t* value = nullptr;
        json_array_foreach(json_object_get(raw, "retry_ms"), index, value) {
            endpoint.retry_ms.push_back(json_integer_value(value));
        }
    }
    endpoint.id = text_at(raw, "id", "we_" + std::to_string(++endpoint_count_));
    const std::string id = endpoint.id;
    endpoints_.insert_or_assign(id, std::move(endpoint));
    return Json::object().set("id", id);
}

bool Webhooks::remove(std::string_view id) {
    const auto found = endpoints_.find(id);
    if (found == endpoints_.end()) {
        return false;
    }
    endpoints_.erase(found);
    return true;
}

void Webhooks::clear() {
    endpoints_.clear();
    deliveries_.clear();
    collected_.clear();
}

void Webhooks::on_event(Account& account, const Event& event, const RenderAtVersion& render,
                        const Json& previous) {
    if (endpoints_.empty()) {
        return;
    }
    const std::string before = previous ? previous.dump() : std::string();
    for (const auto& [id, endpoint] : endpoints_) {
        const bool wanted =
            (endpoint.account.empty() || endpoint.account == account.id) &&
            std::any_of(endpoint.types.begin(), endpoint.types.end(),
                        [&](const std::string& type) { return glob_match(type, event.type); });
        if (wanted) {
            enqueue(endpoint, event.id, event.type,
                    indented(world_.event_text(account, event, render(endpoint.version).dump(),
                                               before, endpoint.version, 1)));
        }
    }
}

void Webhooks::enqueue(const Endpoint& endpoint, std::string event, std::string type,
                       std::string body) {
    forget_oldest();
    const int copies = endpoint.duplicate > 0 && chance_.happens(endpoint.duplicate) ? 2 : 1;
    for (int i = 0; i < copies; ++i) {
        Delivery delivery;
        delivery.number = ++delivery_count_;
        delivery.endpoint = endpoint.id;
        delivery.event = event;
        delivery.type = type;
        delivery.body = body;
        const std::uint64_t number = delivery.number;
        if (endpoint.lose > 0 && chance_.happens(endpoint.lose)) {
            delivery.state = "lost";
        } else if (endpoint.hold) {
            delivery.state = "held";
        }
        const bool waits = delivery.state == "waiting";
        deliveries_.emplace(number, std::move(delivery));
        if (!waits) {
            continue;
        }
        if (endpoint.reorder > 1) {
            auto& batch = collected_[endpoint.id];
            batch.push_back(number);
            if (batch.size() >= endpoint.reorder) {
                flush_reordered(endpoint.id);
            } else if (batch.size() == 1) {
                loop_.after_ms(kReorderPatienceMs,
                               [this, id = endpoint.id] { flush_reordered(id); });
            }
        } else {
            schedule(endpoint, number);
        }
    }
}

void Webhooks::flush_reordered(const std::string& id) {
    const auto found = endpoints_.find(id);
    std::vector<std::uint64_t> batch = std::move(collected_[id]);
    collected_.erase(id);
    std::int64_t gap = 0;
    for (auto number = batch.rbegin(); number != batch.rend() && found != endpoints_.end();
         ++number) {
        // A little apart, so that they also arrive backwards.
        loop_.after_ms(found->second.delay_ms + gap, [this, n = *number] { attempt(n); });
        gap += 5;
    }
}

void Webhooks::schedule(const Endpoint& endpoint, std::uint64_t delivery) {
    std::int64_t wait = endpoint.delay_ms;
    if (endpoint.jitter_ms > 0) {
        wait += static_cast<std::int64_t>(
            chance_.below(static_cast<std::uint64_t>(endpoint.jitter_ms)));
    }
    loop_.after_ms(wait, [this, delivery] { attempt(delivery); });
}

void Webhooks::attempt(std::uint64_t number) {
    const auto found = deliveries_.find(number);
    if (found == deliveries_.end()) {
        return;
    }
    Delivery& delivery = found->second;
    const auto endpoint = endpoints_.find(delivery.endpoint);
    if (endpoint == endpoints_.end()) {
        delivery.state = "failed";
        delivery.error = "the endpoint is gone";
        return;
    }
    ++delivery.attempts;
    delivery.state = "sending";
    // Each attempt is signed anew. The receiver compares with its own clock, so the wall's is
    // used unless the endpoint wants it otherwise.
    const std::int64_t at = endpoint->second.simulated_time ? world_.clock().now() : Clock::wall();
    const std::string headers =
        "Content-Type: application/json; charset=utf-8\r\nUser-Agent: Stripe/1.0 "
        "(+https://stripe.com/docs/webhooks)\r\nAccept: */*\r\nStripe-Signature: " +
        sign(delivery.body, endpoint->second.secrets, at) + "\r\n";
    client_.post(
        endpoint->second.url, headers, delivery.body, static_cast<int>(endpoint->second.timeout_ms),
        [this, number](int status, const std::string& error) { on_answer(number, status, error); });
}

void Webhooks::on_answer(std::uint64_t number, int status, const std::string& error) {
    const auto found = deliveries_.find(number);
    if (found == deliveries_.end()) {
        return;
    }
    Delivery& delivery = found->second;
    delivery.status = status;
    delivery.error = error;
    if (status >= 200 && status < 300) {
        delivery.state = "delivered";
        return;
    }
    const auto endpoint = endpoints_.find(delivery.endpoint);
    if (endpoint == endpoints_.end() || delivery.attempts > endpoint->second.retry_ms.size()) {
        delivery.state = "failed";
        return;
    }
    delivery.state = "retrying";
    loop_.after_ms(endpoint->second.retry_ms[delivery.attempts - 1],
                   [this, number] { attempt(number); });
}

std::size_t Webhooks::release(std::string_view endpoint) {
    std::size_t count = 0;
    for (auto& [number, delivery] : deliveries_) {
        if (delivery.state == "held" && (endpoint.empty() || delivery.endpoint == endpoint)) {
            delivery.state = "waiting";
            ++count;
            const std::uint64_t n = number;
            loop_.after_ms(0, [this, n] { attempt(n); });
        }
    }
    return count;
}

bool Webhooks::send_again(std::string_view event, std::string_view endpoint) {
    for (const auto& [scope, account] : world_.accounts()) {
        for (const Event& kept : account->events) {
            if (kept.id != event) {
                continue;
            }
            for (const auto& [id, one] : endpoints_) {
                if (endpoint.empty() || endpoint == id) {
                    enqueue(one, kept.id, kept.type, indented(world_.event_text(*account, kept)));
                }
            }
            return true;
        }
    }
    return false;
}

std::size_t Webhooks::send_body(const std::string& body, std::string_view endpoint) {
    std::size_t count = 0;
    for (const auto& [id, one] : endpoints_) {
        if (endpoint.empty() || endpoint == id) {
            enqueue(one, "", "", body);
            ++count;
        }
    }
    return count;
}

void Webhooks::forget_oldest() {
    while (deliveries_.size() >= kMaxDeliveries) {
        deliveries_.erase(deliveries_.begin());
    }
}

Json Webhooks::report(const Params& filters) const {
    Json endpoints = Json::array();
    for (const auto& [id, endpoint] : endpoints_) {
        Json types = Json::array();
        for (const std::string& type : endpoint.types) {
            types.push(type);
        }
        endpoints.push(Json::object()
                           .set("id", id)
                           .set("url", endpoint.url_text)
                           .set("api_version", endpoint.version)
                           .set("events", types)
                           .set("hold", endpoint.hold));
    }
    Json deliveries = Json::array();
    std::size_t open = 0;
    for (const auto& [number, delivery] : deliveries_) {
        open += delivery.state == "waiting" || delivery.state == "sending" ||
                        delivery.state == "retrying"
                    ? 1
                    : 0;
        const auto passes = [&](const char* name, std::string_view value) {
            return !filters.has(name) || glob_match(filters.text(name), value);
        };
        if (!passes("state", delivery.state) || !passes("type", delivery.type) ||
            !passes("event", delivery.event) || !passes("endpoint", delivery.endpoint)) {
            continue;
        }
        deliveries.push(Json::object()
                            .set("number", number)
                            .set("endpoint", delivery.endpoint)
                            .set_or_null("event", delivery.event)
                            .set_or_null("type", delivery.type)
                            .set("state", delivery.state)
                            .set("attempts", delivery.attempts)
                            .set("status", delivery.status)
                            .set_or_null("error", delivery.error));
    }
    return Json::object()
        .set("endpoints", endpoints)
        .set("open", open)
        .set("deliveries", deliveries);
}

}  // namespace stripe_simulator
