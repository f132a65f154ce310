#include "engine/send.hpp"

#include "core/identity.hpp"
#include "engine/request.hpp"
#include "engine/trace.hpp"
#include "kinds/kind.hpp"

#include "pg/debug_point.hpp"
#include "pg/settings.hpp"
#include "pg/time.hpp"

namespace pg_seats::engine {
namespace {

// Of a row the first request of all; to receivers nobody waits for one.
bool is_first(const Flight& flight) {
    return flight.leg.purpose == Purpose::send && flight.call.attempts == 1 &&
           destination_of(flight).is_stripe();
}

}  // namespace

void send_all(Engine& engine) {
    while (!engine.to_send.empty()) {
        send(engine, std::move(engine.to_send.front()));
        engine.to_send.pop_front();
    }
}

// (The flight is moved from at the very end, when nothing can raise any more: its place among those
// on the wire is made before.)
void send(Engine& engine, Flight&& flight) {
    Destination& destination = destination_of(flight);
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
    const kinds::Kind& kind = kinds::kind_of(flight.call);
    if (kind.dress != nullptr) {
        kind.dress(flight, destination, request);
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
    if (flight.leg.purpose != Purpose::probe && flight.leg.purpose != Purpose::list_events &&
        kind.dress == nullptr) {
        flight.key = core::idempotency_key(flight.call.installation, flight.call.uuid,
                                           flight.call.generation);
        if (request.method == "POST") {
            request.headers.push_back("Idempotency-Key: " + flight.key);
        }
    }
    request.ca_file = pg::settings.ca_file != nullptr ? pg::settings.ca_file : "";
    request.connect_timeout = core::Duration{pg::settings.connect_timeout_ms};
    trace_sent(flight, request.id);
    const auto place = engine.flights.try_emplace(request.id, std::make_unique<Flight>()).first;
    try {
        pg::stand_at("before_send");
        engine.client.submit(std::move(request));
    } catch (...) {
        engine.flights.erase(place);
        throw;
    }
    if (is_first(flight)) {
        pg::observe(engine.slot.histograms.enqueue_to_wire,
                    flight.sent_at - flight.call.created_at);
    }
    ++destination.in_flight;
    count(engine.slot.counters.sent);
    *place->second = std::move(flight);
}

}  // namespace pg_seats::engine
