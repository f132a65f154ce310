#include "control/control.hpp"

#include <sys/resource.h>

#include "api/delivery.hpp"
#include "billing/lookup.hpp"

namespace stripe_simulator {

namespace {

ApiError no_such_control(const std::string& what) {
    ApiError error = invalid_request("There is no control endpoint or object " + what);
    error.status = 404;
    return error;
}

}  // namespace

void Control::on_request(ConnectionId connection, Request&& request) {
    Exchange exchange;
    exchange.request = std::move(request);
    Outcome outcome;
    if (exchange.request.path.rfind("/_control/", 0) == 0) {
        outcome = handle(exchange.request, 0);
    } else {
        outcome.status = 404;
        outcome.body = no_such_control(exchange.request.path).body();
    }
    own_->transmit(connection, shape(exchange, outcome, http_date(Clock::wall())));
}

Outcome Control::handle(const Request& request, ConnectionId asking) {
    Outcome outcome;
    outcome.is_literal = true;
    try {
        Asked asked;
        asked.method = request.method;
        asked.asking = asking;
        asked.query = Params::decode(request.query);
        std::string_view rest = std::string_view(request.path).substr(10);
        while (!rest.empty()) {
            const std::size_t slash = rest.find('/');
            if (slash != 0) {
                asked.path.push_back(percent_decode(rest.substr(0, slash), false));
            }
            rest = slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1);
        }
        asked.body = request.body.empty() ? Json::object() : Json::parse(request.body);
        if (!asked.body) {
            throw invalid_request("The body is not JSON.");
        }
        outcome.body = dispatch(asked).dump();
    } catch (const ApiError& error) {
        outcome.status = error.status;
        outcome.body = error.body();
    }
    return outcome;
}

Json Control::dispatch(const Asked& asked) {
    const std::string what = asked.path.empty() ? "" : asked.path[0];
    Gateway& gateway = parts_.gateway;
    if (asked.is("GET", "ledger")) {
        return gateway.ledger().report(asked.query);
    }
    if (asked.is("GET", "requests")) {
        return gateway.log().report(asked.query);
    }
    if (asked.is("GET", "counters")) {
        return counters();
    }
    if (asked.is("GET", "health")) {
        return Json::object().set("ok", true);
    }
    if (asked.is("POST", "release")) {
        return release(asked);
    }
    if (asked.is("POST", "reset")) {
        return reset(asked);
    }
    if (what == "faults") {
        return faults(asked);
    }
    if (what == "clock") {
        return clock(asked);
    }
    if (what == "keys") {
        return keys(asked);
    }
    if (asked.is("POST", "idempotency_keys")) {
        const std::size_t forgotten = gateway.keys().forget(text_at(asked.raw(), "forget"));
        return Json::object().set("forgotten", static_cast<std::int64_t>(forgotten));
    }
    if (what == "outage") {
        return outage(asked);
    }
    if (what == "limits") {
        return limits(asked);
    }
    if (what == "webhooks") {
        return webhooks(asked);
    }
    if (asked.method == "POST" && what == "customers" && asked.path.size() == 2) {
        return customer(asked);
    }
    if (what == "payment_intents") {
        return asked.path.size() == 2 ? payment_intent(asked) : list_payment_intents(asked);
    }
    if (what == "refunds" && asked.path.size() == 2) {
        return refund(asked);
    }
    if (asked.is("GET", "money")) {
        return money(asked);
    }
    if (asked.method == "POST" && what == "subscriptions") {
        return asked.path.size() == 2 ? subscription(asked) : seed_subscriptions(asked);
    }
    throw no_such_control(asked.method + " /_control/" + what);
}

Json Control::faults(const Asked& asked) {
    Faults& faults = parts_.gateway.faults();
    if (asked.method == "POST") {
        return Json::object().set("id", faults.add(asked.body)->id);
    }
    if (asked.path.size() < 2) {
        if (asked.method == "DELETE") {
            faults.clear();
        }
        return faults.report();
    }
    const std::string& id = asked.path[1];
    Json one = faults.report_one(id);
    if (!one) {
        throw no_such_control(id);
    }
    if (asked.method == "DELETE") {
        faults.remove(id);
        return Json::object().set("id", id).set("deleted", true);
    }
    return one;
}

Json Control::release(const Asked& asked) {
    Gateway::ReleaseFilter filter;
    filter.number = static_cast<std::uint64_t>(integer_at(asked.raw(), "request"));
    filter.key = text_at(asked.raw(), "key", "*");
    filter.method = text_at(asked.raw(), "method", "*");
    filter.path = text_at(asked.raw(), "path", "*");
    filter.fault = text_at(asked.raw(), "fault", "*");
    const bool drop = text_at(asked.raw(), "action", "proceed") == "drop";
    return Json::object().set("released", parts_.gateway.release(filter, drop));
}

Json Control::clock(const Asked& asked) {
    Clock& clock = parts_.world.clock();
    if (asked.method == "POST") {
        if (json_is_boolean(json_object_get(asked.raw(), "freeze"))) {
            clock.freeze(flag_at(asked.raw(), "freeze"));
        }
        if (has(asked.raw(), "set")) {
            clock.set(integer_at(asked.raw(), "set"));
        }
        if (has(asked.raw(), "advance")) {
            clock.set(clock.now() + integer_at(asked.raw(), "advance"));
        }
        if (has(asked.raw(), "date_offset")) {
            clock.set_date_offset(integer_at(asked.raw(), "date_offset"));
        }
        parts_.gateway.on_clock_moved();
    }
    return Json::object()
        .set("now", clock.now())
        .set("frozen", clock.frozen())
        .set("wall", Clock::wall());
}

Json Control::keys(const Asked& asked) {
    if (asked.method == "POST") {
        const std::string key(text_at(asked.raw(), "key"));
        if (key.empty()) {
            throw missing_parameter("key");
        }
        if (has(asked.raw(), "account")) {
            parts_.access.add(key, std::string(text_at(asked.raw(), "account")));
        }
        if (has(asked.raw(), "state") &&
            !parts_.access.set_state(key, text_at(asked.raw(), "state"))) {
            throw no_such_control(key);
        }
        if (flag_at(asked.raw(), "revoke")) {
            parts_.access.set_state(key, "revoked");
        }
    }
    return parts_.access.report();
}

Json Control::outage(const Asked& asked) {
    if (asked.method == "POST") {
        const std::string mode(text_at(asked.raw(), "mode", "none"));
        if (mode != "none" && mode != "refuse" && mode != "hang") {
            throw invalid_request("mode must be none, refuse or hang", "mode");
        }
        outage_ = mode;
        // All of it before the answer: who reads that may rely on it at once. Only the connection
        // that carries the answer lives until it is written.
        if (mode == "refuse") {
            api_->stop_listening();
            api_->close_all_but(asked.asking);
            if (asked.asking != 0) {
                parts_.loop.defer([this] {
                    if (outage_ == "refuse") {
                        api_->close_all_but(0);
                    }
                });
            }
        } else {
            api_->listen_again();
        }
        api_->set_deaf(mode == "hang");
    }
    return Json::object()
        .set("mode", outage_)
        .set("connections", api_->open_connections())
        .set("port", api_->port());
}

Json Control::limits(const Asked& asked) {
    Limits& limits = parts_.world.limits();
    if (asked.method == "POST") {
        const json_t* raw = asked.raw();
        const auto read = [&](const char* name, std::size_t& value) {
            value =
                static_cast<std::size_t>(integer_at(raw, name, static_cast<std::int64_t>(value)));
        };
        limits.enforce = flag_at(raw, "subscriptions", limits.enforce);
        read("invoices_per_minute", limits.invoices_per_minute);
        read("invoices_per_day", limits.invoices_per_day);
        read("quantity_updates_per_hour", limits.quantity_updates_per_hour);
        read("requests_per_second", limits.requests_per_second);
    }
    return Json::object()
        .set("subscriptions", limits.enforce)
        .set("invoices_per_minute", limits.invoices_per_minute)
        .set("invoices_per_day", limits.invoices_per_day)
        .set("quantity_updates_per_hour", limits.quantity_updates_per_hour)
        .set("requests_per_second", limits.requests_per_second);
}

Json Control::webhooks(const Asked& asked) {
    Webhooks& webhooks = parts_.webhooks;
    if (asked.method == "GET") {
        return webhooks.report(asked.query);
    }
    const std::string what = asked.path.size() > 1 ? asked.path[1] : "";
    if (asked.method == "DELETE") {
        if (what.empty()) {
            webhooks.clear();
        } else if (!webhooks.remove(what)) {
            throw no_such_control(what);
        }
        return webhooks.report(asked.query);
    }
    const std::string_view endpoint = text_at(asked.raw(), "endpoint");
    if (what == "release") {
        return Json::object().set("released", webhooks.release(endpoint));
    }
    if (what == "send") {
        if (has(asked.raw(), "event")) {
            const bool found = webhooks.send_again(text_at(asked.raw(), "event"), endpoint);
            if (!found) {
                throw no_such_control(std::string(text_at(asked.raw(), "event")));
            }
            return Json::object().set("sent", true);
        }
        const json_t* body = json_object_get(asked.raw(), "body");
        const std::string text = json_is_string(body)
                                     ? std::string(text_at(asked.raw(), "body"))
                                     : Json::share(const_cast<json_t*>(body)).dump();
        return Json::object().set("sent", webhooks.send_body(text, endpoint) > 0);
    }
    return webhooks.add(asked.body);
}

Json Control::counters() const {
    const Counters& counters = parts_.gateway.counters();
    Json by_status = Json::object();
    for (const auto& [status, count] : counters.by_status) {
        by_status.set(std::to_string(status).c_str(), count);
    }
    Json by_operation = Json::object();
    for (const auto& [operation, count] : counters.by_operation) {
        by_operation.set(std::string(operation).c_str(), count);
    }
    Json by_fault = Json::object();
    for (const auto& [fault, count] : counters.by_fault) {
        by_fault.set(fault.c_str(), count);
    }
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return Json::object()
        .set("received", counters.received)
        .set("executed", counters.executed)
        .set("replayed", counters.replayed)
        .set("delivered", counters.delivered)
        .set("undelivered", counters.undelivered)
        .set("held", parts_.gateway.held())
        .set("key_conflicts", counters.key_conflicts)
        .set("key_mismatches", counters.key_mismatches)
        .set("keys", parts_.gateway.keys().size())
        .set("keys_pruned", parts_.gateway.keys().pruned())
        .set("ledger", parts_.gateway.ledger().size())
        .set("events", parts_.world.events_made())
        .set("connections", api_->open_connections())
        .set("max_memory_kb", usage.ru_maxrss)
        .set("by_status", by_status)
        .set("by_operation", by_operation)
        .set("by_fault", by_fault);
}

Json Control::reset(const Asked& asked) {
    // The order matters: what is held refers to accounts, the ledger to their names.
    parts_.gateway.reset();
    parts_.webhooks.clear();
    outage_ = "none";
    api_->listen_again();
    api_->set_deaf(false);
    if (!flag_at(asked.raw(), "keep_objects")) {
        parts_.world.clear();
        parts_.world.blobs().clear();
        parts_.world.clock().freeze(false);
        parts_.world.clock().set(Clock::wall());
    }
    return Json::object().set("reset", true);
}

}  // namespace stripe_simulator
