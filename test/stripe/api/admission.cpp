// The part of the gateway that knows Stripe's rules: who may ask, what a key means, what is kept.

#include "api/gateway.hpp"

namespace stripe_simulator {

namespace {

ApiError key_in_use(const std::string& key) {
    ApiError error = invalid_request(
        "There is currently another in-progress request using this Idempotent Key (that probably "
        "means you submitted twice, and the other request is still going through): " +
            key + ". Please try again later.",
        {}, "idempotency_key_in_use");
    error.status = 409;
    error.type = "idempotency_error";
    return error;
}

ApiError key_mismatch(const std::string& key) {
    ApiError error = invalid_request(
        "Keys for idempotent requests can only be used with the same parameters they were first "
        "used with. Try using a key other than '" +
        key + "' if you meant to execute a different request.");
    error.type = "idempotency_error";
    return error;
}

ApiError other_endpoint(const std::string& key, const std::string& first, const std::string& now) {
    ApiError error = invalid_request(
        "Keys for idempotent requests can only be used for the same endpoint they were first used "
        "for ('" +
        first + "' vs '" + now + "'). Try using a key other than '" + key +
        "' if you meant to execute a different request.");
    error.type = "idempotency_error";
    return error;
}

ApiError unrecognized(const Request& request) {
    ApiError error = invalid_request(
        "Unrecognized request URL (" + request.method + ": " + request.path +
        "). If you are trying to list objects, remove the trailing slash. If you are trying to "
        "retrieve an object, make sure you passed a valid (non-empty) identifier in your code. "
        "Please see https://stripe.com/docs.");
    error.status = 404;
    return error;
}

void check_parameters(const Params& params, const Operation& operation) {
    for (const auto& [name, value] : params.fields()) {
        if (!is_known_parameter(name, operation.parameters)) {
            throw unknown_parameter(name);
        }
    }
}

}  // namespace

bool Gateway::admit(Exchange& exchange) {
    try {
        identify(exchange);
        return check_key(exchange);
    } catch (const ApiError& error) {
        refuse(exchange, error);
        return false;
    }
}

void Gateway::identify(Exchange& exchange) {
    const Request& request = exchange.request;
    const AccessKey access = parts_.access.authenticate(request.header("authorization"));
    std::string_view account = access.account;
    const std::string_view version = request.header("stripe-version");
    exchange.version =
        version.empty() ? parts_.world.options().default_version : std::string(version);
    const std::string_view on_behalf = request.header("stripe-account");
    if (!on_behalf.empty() && on_behalf != account) {
        if (!parts_.access.knows_account(on_behalf)) {
            ApiError error = invalid_request(
                "The provided key does not have access to account '" + std::string(on_behalf) +
                    "' (or that account does not exist). Application access may have been "
                    "revoked.",
                {}, "account_invalid");
            error.status = 403;
            throw error;
        }
        account = on_behalf;
    }
    exchange.account = &parts_.world.account(account, access.livemode);
    if (RequestRecord* record = log_.find_open(exchange.number); record && !parts_.light) {
        record->account = exchange.account->id;
        record->version = exchange.version;
    }
    if (access.state == "forbidden") {
        ApiError error = invalid_request(
            "The provided key does not have the required permissions for this endpoint on "
            "account '" +
            access.account + "'.");
        error.status = 403;
        throw error;
    }
    if (version.empty() && parts_.world.options().require_version) {
        throw invalid_request("This simulator wants every request to name its Stripe-Version.");
    }
    if (!is_valid_version(exchange.version)) {
        throw invalid_request("Invalid Stripe API version: " + exchange.version);
    }
    if (parts_.world.limits().requests_per_second > 0) {
        auto& [second, count] = rate_[exchange.account->scope];
        if (second != Clock::wall()) {
            second = Clock::wall();
            count = 0;
        }
        if (++count > parts_.world.limits().requests_per_second) {
            throw rate_limited("global-rate",
                               "Request rate limit exceeded. Learn more about rate limits here "
                               "https://stripe.com/docs/rate-limits.");
        }
    }
    exchange.operation = router_.find(request.method, request.path, exchange.ids);
    if (exchange.operation == nullptr) {
        throw unrecognized(request);
    }
    exchange.by_payer = access.publishable;
    if (access.publishable && !exchange.operation->for_payers) {
        ApiError error = invalid_request(
            "This API call cannot be made with a publishable API key. Please use a secret API key.",
            {}, "secret_key_required");
        error.status = 401;
        throw error;
    }
    const bool has_body = request.method == "POST";
    exchange.params = Params::decode(has_body ? request.body : request.query);
}

bool Gateway::check_key(Exchange& exchange) {
    if (!exchange.uses_key()) {
        return true;
    }
    if (exchange.key.size() > IdempotencyStore::kMaxKeyLength) {
        throw invalid_request("Idempotency keys can be at most 255 characters long.");
    }
    exchange.fingerprint = exchange.params.hash();
    const IdempotencyStore::Entry* entry = nullptr;
    switch (keys_.look_up(exchange.account->scope, exchange.key, exchange.request.path,
                          exchange.fingerprint, parts_.world.clock().now(), &entry)) {
        case IdempotencyStore::Finding::kNew:
            return true;
        case IdempotencyStore::Finding::kInUse:
            ++counters_.key_conflicts;
            throw key_in_use(exchange.key);
        case IdempotencyStore::Finding::kOtherEndpoint:
            ++counters_.key_mismatches;
            throw other_endpoint(exchange.key, entry->endpoint, exchange.request.path);
        case IdempotencyStore::Finding::kMismatch:
            ++counters_.key_mismatches;
            throw key_mismatch(exchange.key);
        case IdempotencyStore::Finding::kReplay:
            break;
    }
    exchange.outcome = Outcome();
    exchange.outcome.status = entry->status;
    exchange.outcome.body = parts_.blobs.get(entry->body);
    exchange.outcome.replayed = true;
    exchange.outcome.headers = "Idempotent-Replayed: true\r\n";
    add_headers(exchange, true, entry->original_request());
    return false;
}

void Gateway::lock_key(Exchange& exchange) {
    if (exchange.uses_key()) {
        keys_.begin(exchange.account->scope, exchange.key, exchange.request.path,
                    exchange.fingerprint, exchange.request_id, parts_.world.clock().now());
    }
}

void Gateway::free_key(Exchange& exchange) {
    if (exchange.uses_key() && exchange.phase != Exchange::Phase::kUnadmitted) {
        keys_.abandon(exchange.account->scope, exchange.key);
    }
}

void Gateway::execute(Exchange& exchange, bool as_500) {
    World& world = parts_.world;
    world.catch_up();
    world.set_cause(exchange.request_id, exchange.key);
    Call call{world, *exchange.account, exchange.params, exchange.version, exchange.ids,
              {},    exchange.by_payer};
    Outcome& outcome = exchange.outcome;
    outcome = Outcome();
    ++counters_.by_operation[exchange.operation->name];
    bool refused = false;
    ApiError refusal;
    try {
        check_parameters(exchange.params, *exchange.operation);
        outcome.body = exchange.operation->handler(call);
        outcome.executed = true;
    } catch (const ApiError& error) {
        refused = true;
        refusal = error;
        outcome.executed = error.executed;
        call.note.outcome = "refused";
    }
    world.clear_cause();
    if (refused) {
        refuse(exchange, refusal);
        outcome.executed = refusal.executed;
    }
    // What was turned away before execution stays a refusal: there is no 500 to store.
    as_500 = as_500 && outcome.executed;
    if (as_500) {
        ApiError error;
        error.status = 500;
        error.type = "api_error";
        error.message = "An unknown error occurred";
        outcome.status = 500;
        outcome.body = error.body();
        outcome.headers.clear();
    }
    // A handler that changed nothing by design (a preview) says so by an empty outcome.
    if (exchange.operation->changes && outcome.executed && !call.note.outcome.empty()) {
        ++counters_.executed;
        LedgerEntry entry;
        entry.at = world.now();
        entry.account = exchange.account->id;
        entry.operation = exchange.operation->name;
        entry.path = exchange.request.path;
        entry.key = exchange.key;
        entry.request_id = exchange.request_id;
        entry.parameters =
            exchange.request.method == "POST" ? exchange.request.body : exchange.request.query;
        entry.status = outcome.status;
        entry.delayed = exchange.delayed;
        ledger_.record(entry, call.note);
        if (RequestRecord* record = log_.find_open(exchange.number)) {
            record->executed = true;
        }
    }
    if (!refused || as_500) {
        add_headers(exchange, outcome.executed, exchange.request_id);
    }
    if (exchange.uses_key() && outcome.executed) {
        exchange.stored = parts_.blobs.put(outcome.body);
    }
}

void Gateway::complete_key(Exchange& exchange) {
    if (!exchange.uses_key()) {
        return;
    }
    const auto& scope = exchange.account->scope;
    if (exchange.stored.size > 0) {
        keys_.complete(scope, exchange.key, exchange.outcome.status, exchange.stored);
    } else {
        // Turned away before execution: nothing is kept, and the key may be used again.
        keys_.abandon(scope, exchange.key);
    }
}

void Gateway::refuse(Exchange& exchange, const ApiError& error) {
    Outcome& outcome = exchange.outcome;
    outcome = Outcome();
    outcome.status = error.status;
    outcome.body = error.body();
    outcome.executed = error.executed;
    if (!error.rate_limited_reason.empty()) {
        outcome.headers += "Stripe-Rate-Limited-Reason: " + error.rate_limited_reason + "\r\n";
    }
    if (error.status != 401) {  // Stripe does not say who it is to a stranger
        add_headers(exchange, error.executed, exchange.request_id);
    }
}

void Gateway::add_headers(Exchange& exchange, bool stored, std::string_view original) const {
    std::string& headers = exchange.outcome.headers;
    if (!exchange.key.empty()) {
        headers.append("Idempotency-Key: ").append(exchange.key).append("\r\nOriginal-Request: ");
        headers.append(original).append("\r\n");
        if (stored && exchange.uses_key()) {
            headers.append("Stripe-Should-Retry: false\r\n");
        }
    }
    headers.append("Request-Id: ").append(exchange.request_id).append("\r\nStripe-Version: ");
    headers.append(exchange.version).append("\r\n");
    const std::string_view account = exchange.request.header("stripe-account");
    if (!account.empty()) {
        headers.append("Stripe-Account: ").append(account).append("\r\n");
    }
}

}  // namespace stripe_simulator
