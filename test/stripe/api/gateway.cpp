#include "api/gateway.hpp"

#include <vector>

#include "api/delivery.hpp"

namespace stripe_simulator {

Gateway::Gateway(Parts parts)
    : parts_(parts),
      faults_(parts.seed),
      ledger_(parts.blobs, parts.light),
      log_(parts.request_log),
      request_ids_(parts.seed + 1) {}

void Gateway::attach(Server& server, ControlSide& control) {
    server_ = &server;
    control_ = &control;
}

const std::string& Gateway::date() {
    const std::int64_t now = parts_.world.clock().date();
    if (now != date_at_) {
        date_at_ = now;
        date_ = http_date(now);
    }
    return date_;
}

void Gateway::on_request(ConnectionId connection, Request&& request) {
    if (request.path.rfind("/_control/", 0) == 0) {
        Exchange exchange;
        exchange.request = std::move(request);
        const Outcome outcome = control_->handle(exchange.request, connection);
        server_->transmit(connection, shape(exchange, outcome, date()));
        return;
    }
    ++counters_.received;
    auto exchange = std::make_unique<Exchange>();
    exchange->number = ++count_;
    exchange->connection = connection;
    exchange->request = std::move(request);
    exchange->request_id = request_ids_.make("req_", 14);
    exchange->key = exchange->request.header("idempotency-key");

    RequestRecord record;
    record.number = exchange->number;
    record.at = parts_.world.clock().now();
    record.wall_ms = wall_milliseconds();
    record.method = exchange->request.method;
    record.path = exchange->request.path;
    record.key = exchange->key;
    if (!parts_.light) {
        record.query = exchange->request.query;
        record.body = exchange->request.body.substr(0, 8192);
        record.request_id = exchange->request_id;
    }
    log_.open(std::move(record));

    if (!faults_.empty()) {
        std::string account;
        try {
            account = parts_.access.authenticate(exchange->request.header("authorization")).account;
        } catch (const ApiError&) {
            account.clear();  // its refusal is admission's business
        }
        exchange->fault =
            faults_.pick({exchange->request.method, exchange->request.path, exchange->request.query,
                          exchange->key, account, exchange->request.body});
    }
    if (exchange->fault) {
        ++counters_.by_fault[exchange->fault->name];
        log_.find_open(exchange->number)->fault = exchange->fault->name;
        begin_fault(std::move(exchange));
    } else {
        proceed(std::move(exchange));
    }
}

void Gateway::proceed(Held exchange) {
    if (admit(*exchange)) {
        lock_key(*exchange);
        run_and_answer(std::move(exchange));
    } else {
        finish(*exchange, exchange->outcome);
    }
}

void Gateway::begin_fault(Held exchange) {
    const FaultRule& rule = *exchange->fault;
    const json_t* raw = rule.raw();
    if (rule.kind == FaultKind::kCloseBefore) {
        lose(*exchange, "dropped");
        return;
    }
    if (replaces_outcome(rule.kind)) {
        Outcome outcome = outcome_of_fault(rule, *exchange);
        const bool execute_too = flag_at(raw, "execute");
        const bool store = flag_at(raw, "store", rule.kind == FaultKind::kDeclined402);
        if ((execute_too || store) && admit(*exchange)) {
            lock_key(*exchange);
            if (execute_too) {
                execute(*exchange, false);
                outcome.executed = exchange->outcome.executed;
            }
            if (store) {
                // What the fault answers is what the key will replay.
                exchange->outcome = outcome;
                exchange->stored = parts_.blobs.put(outcome.body);
                add_headers(*exchange, true, exchange->request_id);
                outcome.headers = exchange->outcome.headers;
            }
            complete_key(*exchange);
        }
        finish(*exchange, outcome);
        return;
    }
    const bool waits_first = rule.kind == FaultKind::kHang || rule.kind == FaultKind::kDelay ||
                             rule.kind == FaultKind::kExecuteLater;
    if (!waits_first) {
        proceed(std::move(exchange));
        return;
    }
    // Holding the key is what Stripe does with a request that it has begun; without it, the
    // request is still on its way to Stripe and a retry overtakes it.
    exchange->keeps_key = flag_at(raw, "holds_key", true);
    if (exchange->keeps_key) {
        if (!admit(*exchange)) {
            finish(*exchange, exchange->outcome);
            return;
        }
        lock_key(*exchange);
        exchange->phase = Exchange::Phase::kAdmitted;
    } else {
        exchange->phase = Exchange::Phase::kUnadmitted;
    }
    const char* state = rule.kind == FaultKind::kHang    ? "hanging"
                        : rule.kind == FaultKind::kDelay ? "delayed"
                                                         : "later";
    hold(std::move(exchange), state);
}

void Gateway::hold(Held exchange, const char* state) {
    const FaultRule& rule = *exchange->fault;
    const json_t* raw = rule.raw();
    RequestRecord* record = log_.find_open(exchange->number);
    record->state = state;
    record->phase = exchange->phase == Exchange::Phase::kExecuted ? "after" : "before";
    const std::uint64_t number = exchange->number;
    std::int64_t wait = -1;
    if (has(raw, "seconds")) {
        wait = static_cast<std::int64_t>(number_at(raw, "seconds") * 1000);
    } else if (has(raw, "ms")) {
        wait = integer_at(raw, "ms");
    } else if (rule.kind == FaultKind::kDelay) {
        wait = 1000;
    }
    if (wait >= 0) {
        exchange->timer = parts_.loop.after_ms(wait, [this, number] { resume(number, false); });
    }
    const ConnectionId connection = exchange->connection;
    const bool later = rule.kind == FaultKind::kExecuteLater;
    if (later) {
        exchange->delayed = true;
    }
    held_by_connection_[connection] = number;
    held_[number] = std::move(exchange);
    if (later && text_at(raw, "connection", "close") == "close") {
        server_->drop(connection, flag_at(raw, "reset"));
    }
}

void Gateway::resume(std::uint64_t number, bool drop) {
    const auto found = held_.find(number);
    if (found == held_.end()) {
        return;
    }
    Held exchange = std::move(found->second);
    held_.erase(found);
    held_by_connection_.erase(exchange->connection);
    parts_.loop.cancel(exchange->timer);
    if (exchange->phase == Exchange::Phase::kExecuted) {
        complete_key(*exchange);
        if (drop) {
            lose(*exchange, "dropped");
        } else {
            finish(*exchange, exchange->outcome);
        }
        return;
    }
    if (drop) {
        free_key(*exchange);
        lose(*exchange, "dropped");
        return;
    }
    if (exchange->phase == Exchange::Phase::kUnadmitted) {
        proceed(std::move(exchange));
    } else {
        run_and_answer(std::move(exchange));
    }
}

void Gateway::run_and_answer(Held exchange) {
    const FaultRule* rule = exchange->fault.get();
    execute(*exchange, rule != nullptr && rule->kind == FaultKind::kExecuteAnd500);
    if (rule != nullptr && rule->kind == FaultKind::kHangAfter) {
        exchange->phase = Exchange::Phase::kExecuted;
        hold(std::move(exchange), "hanging");
        return;
    }
    complete_key(*exchange);
    if (rule != nullptr && rule->kind == FaultKind::kExecuteAndDrop) {
        lose(*exchange, "dropped");
        return;
    }
    finish(*exchange, exchange->outcome);
}

void Gateway::finish(Exchange& exchange, const Outcome& outcome) {
    ++counters_.by_status[outcome.status];
    if (outcome.replayed) {
        ++counters_.replayed;
    }
    RequestRecord* record = log_.find_open(exchange.number);
    if (record != nullptr) {
        record->status = outcome.status;
        record->executed = record->executed || outcome.executed;
        record->replayed = outcome.replayed;
        record->state = exchange.gone ? "gone" : "answered";
    }
    if (exchange.gone) {
        ++counters_.undelivered;
        log_.finish(exchange.number);
        return;
    }
    server_->transmit(exchange.connection, shape(exchange, outcome, date()));
}

void Gateway::lose(Exchange& exchange, const char* state) {
    ++counters_.undelivered;
    if (RequestRecord* record = log_.find_open(exchange.number)) {
        record->state = state;
        record->status = 0;
    }
    log_.finish(exchange.number);
    if (!exchange.gone) {
        server_->drop(exchange.connection,
                      exchange.fault && flag_at(exchange.fault->raw(), "reset"));
    }
}

void Gateway::on_gone(ConnectionId connection) {
    const auto found = held_by_connection_.find(connection);
    if (found == held_by_connection_.end()) {
        return;
    }
    const std::uint64_t number = found->second;
    Exchange& exchange = *held_.at(number);
    exchange.gone = true;
    if (exchange.phase == Exchange::Phase::kExecuted) {
        resume(number, false);  // the answer is stored; nobody takes it
        return;
    }
    exchange.delayed = true;
    // Stripe goes on with what it has begun, whoever has left; a hang stands for a request that
    // never got that far, unless the rule says otherwise.
    const bool is_hang = exchange.fault->kind == FaultKind::kHang;
    const std::string_view what =
        text_at(exchange.fault->raw(), "on_gone", is_hang ? "drop" : "execute");
    if (is_hang && what == "execute") {
        resume(number, false);
    } else if (what == "drop") {
        parts_.loop.cancel(exchange.timer);
        free_key(exchange);
        if (RequestRecord* record = log_.find_open(number)) {
            record->state = "gone";
        }
        ++counters_.undelivered;
        log_.finish(number);
        held_by_connection_.erase(connection);
        held_.erase(number);
    } else {
        held_by_connection_.erase(connection);
    }
}

void Gateway::on_transmitted(std::uint64_t request_number, bool whole) {
    if (request_number == 0) {
        return;
    }
    ++(whole ? counters_.delivered : counters_.undelivered);
    if (RequestRecord* record = log_.find_open(request_number)) {
        record->delivered = whole && record->fault != "cut_head" && record->fault != "cut_body" &&
                            record->fault != "garbage" && record->fault != "short_content_length";
        if (!whole) {
            record->state = "gone";
        }
    }
    log_.finish(request_number);
}

std::size_t Gateway::release(const ReleaseFilter& filter, bool drop) {
    std::vector<std::uint64_t> chosen;
    for (const auto& [number, exchange] : held_) {
        if ((filter.number == 0 || filter.number == number) &&
            glob_match(filter.key, exchange->key) &&
            glob_match(filter.method, exchange->request.method) &&
            glob_match(filter.path, exchange->request.path) &&
            (glob_match(filter.fault, exchange->fault->name) ||
             glob_match(filter.fault, exchange->fault->id))) {
            chosen.push_back(number);
        }
    }
    for (const std::uint64_t number : chosen) {
        resume(number, drop);
    }
    return chosen.size();
}

void Gateway::on_clock_moved() {
    parts_.world.catch_up();
    keys_.prune(parts_.world.clock().now());
    std::vector<std::uint64_t> due;
    for (const auto& [number, exchange] : held_) {
        if (exchange->fault->kind == FaultKind::kExecuteLater && exchange->timer == 0 &&
            text_at(exchange->fault->raw(), "until", "clock") == "clock") {
            due.push_back(number);
        }
    }
    for (const std::uint64_t number : due) {
        resume(number, false);
    }
}

void Gateway::reset() {
    release(ReleaseFilter(), true);
    faults_.clear();
    keys_.clear();
    ledger_.clear();
    log_.clear_finished();
    counters_ = Counters();
    rate_.clear();
}

}  // namespace stripe_simulator
