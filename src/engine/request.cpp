#include "engine/request.hpp"

#include <algorithm>

#include "core/call_rules.hpp"
#include "core/form.hpp"
#include "kinds/kind.hpp"

#include "pg/time.hpp"

namespace pg_seats::engine {
namespace {

constexpr std::string_view events_path = "/v1/events";
constexpr std::string_view subscriptions_path = "/v1/subscriptions/";
constexpr std::string_view items_path = "/v1/subscription_items";

// Where the object is read that a path is about; the path itself if it names none.
std::string read_path(const std::string& path) {
    const std::string_view object = core::object_path(path);
    return object.empty() ? path : std::string(object);
}

void append_since(std::string& query, const Flight& flight, int seconds_before) {
    const TimestampTz since =
        flight.call.first_sent_at != 0 ? flight.call.first_sent_at : flight.call.created_at;
    // Our clock and Stripe's may differ; a margin costs a page at most.
    core::append_form_field(query, "created[gte]",
                            std::to_string(pg::unix_seconds(since) - seconds_before));
}

std::string list_query(const Flight& flight, int seconds_before) {
    std::string query = "limit=" + std::to_string(flight.leg.page_size);
    // What a POST to a subscription does has an event of this type, whatever else has one.
    if (flight.leg.purpose == Purpose::search_events &&
        flight.call.path.starts_with(subscriptions_path)) {
        core::append_form_field(query, "type", "customer.subscription.updated");
    }
    const kinds::Kind& kind = kinds::kind_of(flight.call);
    if (flight.leg.purpose == Purpose::search_list && kind.narrow_list != nullptr) {
        kind.narrow_list(flight.call, query);
    } else {
        append_since(query, flight, seconds_before);
    }
    if (!flight.leg.cursor.empty()) {
        core::append_form_field(query, "starting_after", flight.leg.cursor);
    }
    return query;
}

std::string items_query(const Flight& flight) {
    std::string query = "limit=" + std::to_string(flight.leg.page_size);
    core::append_form_field(query, "subscription", flight.leg.subscription->id);
    if (!flight.leg.cursor.empty()) {
        core::append_form_field(query, "starting_after", flight.leg.cursor);
    }
    return query;
}

std::string events_query(const Flight& flight) {
    std::string query = "limit=" + std::to_string(destination_of(flight).events_per_page);
    const std::string_view types = flight.event_types;
    if (types.find(' ') == std::string_view::npos) {
        core::append_form_field(query, "type", types);
    } else {
        int number = 0;
        for (std::size_t from = 0; from < types.size();) {
            const std::size_t end = std::min(types.find(' ', from), types.size());
            core::append_form_field(query, "types[" + std::to_string(number++) + "]",
                                    types.substr(from, end - from));
            from = end + 1;
        }
    }
    core::append_form_field(query, "created[gte]", std::to_string(flight.since));
    if (!flight.leg.cursor.empty()) {
        core::append_form_field(query, "starting_after", flight.leg.cursor);
    }
    return query;
}

// A read's own query; of a list whose answer was too large, in smaller pages.
std::string own_query(const Flight& flight) {
    std::string query = flight.call.body;
    const auto limit = core::form_value(query, "limit");
    if (limit && flight.leg.page_size < core::Leg{}.page_size) {
        query.replace(static_cast<std::size_t>(limit->data() - query.data()), limit->size(),
                      std::to_string(flight.leg.page_size));
    }
    return query;
}

}  // namespace

Target target_of(const Flight& flight) {
    const Call& call = flight.call;
    switch (flight.leg.purpose) {
        case Purpose::send: {
            if (call.method != "POST") {
                return {call.method, call.path, own_query(flight), {}};
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
            return {"GET", read_path(call.path), std::string(kinds::kind_of(call).read_query), {}};
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

}  // namespace pg_seats::engine
