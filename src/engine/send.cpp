#include <array>

#include "engine/send.hpp"

#include "core/call_rules.hpp"
#include "core/form.hpp"
#include "core/identity.hpp"
#include "engine/delivery.hpp"

#include "pg/log.hpp"
#include "pg/settings.hpp"

namespace pg_seats::engine {
namespace {

constexpr std::string_view events_path = "/v1/events";
constexpr std::string_view with_invoice = "expand[0]=latest_invoice";
constexpr std::string_view subscriptions_path = "/v1/subscriptions/";
constexpr std::string_view items_path = "/v1/subscription_items";

// As in seats_internal.known_event_types(); Stripe takes 20 at once.
constexpr std::array known_event_types{
    std::string_view("customer.subscription.created"),
    std::string_view("customer.subscription.updated"),
    std::string_view("customer.subscription.deleted"),
    std::string_view("customer.subscription.paused"),
    std::string_view("customer.subscription.resumed"),
    std::string_view("customer.subscription.pending_update_applied"),
    std::string_view("customer.subscription.pending_update_expired"),
    std::string_view("customer.subscription.trial_will_end"),
    std::string_view("invoice.paid"),
    std::string_view("invoice.payment_failed"),
    std::string_view("invoice.payment_action_required"),
    std::string_view("price.updated"),
    std::string_view("price.deleted")};

std::string unix_time(TimestampTz moment, int seconds_before) {
    return std::to_string(moment / USECS_PER_SEC +
                          static_cast<TimestampTz>(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) *
                              SECS_PER_DAY -
                          seconds_before);
}

// Where the object is read that a path is about; the path itself if it names none.
std::string read_path(const std::string& path) {
    const std::string_view object = core::object_path(path);
    return object.empty() ? path : std::string(object);
}

std::string list_query(const Flight& flight, int seconds_before) {
    std::string query = "limit=" + std::to_string(flight.page_size);
    // What a POST to a subscription does has an event of this type, whatever else has one.
    if (flight.purpose == Purpose::search_events &&
        flight.call.path.starts_with(subscriptions_path)) {
        core::append_form_field(query, "type", "customer.subscription.updated");
    }
    const TimestampTz since =
        flight.call.first_sent_at != 0 ? flight.call.first_sent_at : flight.call.created_at;
    // Our clock and Stripe's may differ; a margin costs a page at most.
    core::append_form_field(query, "created[gte]", unix_time(since, seconds_before));
    if (!flight.cursor.empty()) {
        core::append_form_field(query, "starting_after", flight.cursor);
    }
    return query;
}

std::string items_query(const Flight& flight) {
    std::string query = "limit=" + std::to_string(flight.page_size);
    core::append_form_field(query, "subscription", flight.subscription->id);
    if (!flight.cursor.empty()) {
        core::append_form_field(query, "starting_after", flight.cursor);
    }
    return query;
}

std::string events_query(const Flight& flight) {
    std::string query = "limit=" + std::to_string(flight.destination->events_per_page);
    if (flight.all_events) {
        int number = 0;
        for (const std::string_view type : known_event_types) {
            core::append_form_field(query, "types[" + std::to_string(number++) + "]", type);
        }
    } else {
        core::append_form_field(query, "type", "customer.subscription.updated");
    }
    core::append_form_field(query, "created[gte]", std::to_string(flight.since));
    if (!flight.cursor.empty()) {
        core::append_form_field(query, "starting_after", flight.cursor);
    }
    return query;
}

struct Target {
    std::string method, path, query, body;
};

Target target_of(const Flight& flight) {
    const Call& call = flight.call;
    switch (flight.purpose) {
        case Purpose::send: {
            if (call.method != "POST") {
                return {call.method, call.path, call.body, {}};
            }
            std::string body = call.body;
            if (!call.marker.empty()) {
                core::append_form_field(body, "metadata[pg_seats]", call.marker);
            }
            return {call.method, call.path, {}, std::move(body)};
        }
        case Purpose::read_object:
        case Purpose::read_missing:
        case Purpose::read_base:
            // With the invoice, which tells whether seats are paid for, and where they can be.
            return {"GET",
                    read_path(call.path),
                    call.is_change() ? std::string(with_invoice) : std::string(),
                    {}};
        case Purpose::read_items:
            return {"GET", std::string(items_path), items_query(flight), {}};
        case Purpose::list_events:
            return {"GET", std::string(events_path), events_query(flight), {}};
        case Purpose::search_list:
            return {"GET", call.path, list_query(flight, 600), {}};
        case Purpose::search_events:
            return {"GET", std::string(events_path), list_query(flight, 600), {}};
        case Purpose::probe:
            break;
    }
    return {"GET", call.path, {}, {}};
}

}  // namespace

std::string_view to_string(Purpose purpose) {
    switch (purpose) {
        case Purpose::send:
            return "send";
        case Purpose::read_object:
            return "read object";
        case Purpose::search_list:
            return "search list";
        case Purpose::search_events:
            return "search events";
        case Purpose::read_missing:
            return "read missing object";
        case Purpose::read_base:
            return "read base";
        case Purpose::read_items:
            return "read items";
        case Purpose::list_events:
            return "list events";
        case Purpose::probe:
            break;
    }
    return "probe";
}

void send_all(Engine& engine) {
    while (!engine.to_send.empty()) {
        send(engine, std::move(engine.to_send.front()));
        engine.to_send.pop_front();
    }
}

// (The flight is moved from at the very end, when nothing can raise any more.)
void send(Engine& engine, Flight&& flight) {
    Destination& destination = *flight.destination;
    flight.sent_at = pg::now();
    Target target = target_of(flight);
    http::Request request;
    request.id = engine.next_request++;
    request.method = std::move(target.method);
    request.url = destination.base_url + target.path;
    if (!target.query.empty()) {
        request.url += '?' + target.query;
    }
    request.body = std::move(target.body);
    request.total_timeout = core::Duration{pg::settings.request_timeout_ms};
    request.response_limit = static_cast<std::size_t>(pg::settings.response_limit_kb) * 1024;
    if (flight.call.is_delivery()) {
        dress_delivery(flight, request);
    }
    if (destination.is_stripe()) {
        // At once in its full size: what a string outgrows stays behind in memory.
        constexpr std::string_view bearer = "Authorization: Bearer ";
        std::string& header = request.headers.emplace_back();
        header.reserve(bearer.size() + destination.key.reveal().size());
        header.append(bearer).append(destination.key.reveal());
    }
    if (!flight.call.api_version.empty()) {
        request.headers.push_back("Stripe-Version: " + flight.call.api_version);
    }
    if (flight.purpose != Purpose::probe && flight.purpose != Purpose::list_events &&
        !flight.call.is_delivery()) {
        flight.key = core::idempotency_key(flight.call.installation, flight.call.uuid,
                                           flight.call.generation);
        if (request.method == "POST") {
            request.headers.push_back("Idempotency-Key: " + flight.key);
        }
    }
    request.ca_file = pg::settings.ca_file != nullptr ? pg::settings.ca_file : "";
    request.connect_timeout = core::Duration{pg::settings.connect_timeout_ms};
    ++destination.in_flight;
    count(engine.slot.counters.sent);
    const std::uint64_t id = request.id;
    engine.client.submit(std::move(request));
    engine.flights.emplace(id, std::move(flight));
}

}  // namespace pg_seats::engine
