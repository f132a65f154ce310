#include "billing/world.hpp"

#include <algorithm>

#include "billing/happenings.hpp"

namespace stripe_simulator {

World::World(Options options, Clock& clock, BlobStore& blobs)
    : options_(std::move(options)), clock_(clock), blobs_(blobs), ids_(options_.seed) {}

Account& World::account(std::string_view id, bool livemode) {
    std::string scope(id);
    scope += livemode ? "/live" : "/test";
    auto& slot = accounts_[scope];
    if (!slot) {
        slot = std::make_unique<Account>();
        slot->id = id;
        slot->livemode = livemode;
        slot->scope = scope;
    }
    return *slot;
}

void World::catch_up() {
    const std::int64_t now = clock_.now();
    while (!happening_) {
        std::int64_t next = schedule_.empty() ? now + 1 : schedule_.begin()->first;
        if (!later_.empty()) {
            next = std::min(next, later_.begin()->first);
        }
        if (next > now) {
            return;
        }
        happen(next);
    }
}

// One thing that is due at that time.
void World::happen(std::int64_t time) {
    happening_ = time;
    if (!later_.empty() && later_.begin()->first == time) {
        const auto what = std::move(later_.begin()->second);
        later_.erase(later_.begin());
        what();
        happening_.reset();
        return;
    }
    const Due due = *schedule_.begin();
    schedule_.erase(schedule_.begin());
    auto& [account, subscription] = due.second;
    scheduled_at_.erase(subscription);
    let_happen(*this, *account, *subscription);
    happening_.reset();
    reschedule(*account, *subscription);
}

void World::at(std::int64_t time, std::function<void()> what) {
    later_.emplace(time, std::move(what));
}

void World::move_money(Account& account, MoneyMove move) {
    move.sequence = ++moves_made_;
    move.at = now();
    if (const auto* intent = account.payment_intents.find(move.payment_intent)) {
        move.of_invoice = !intent->invoice.empty();
    }
    account.money.push_back(std::move(move));
}

void World::reschedule(Account& account, Subscription& subscription) {
    const std::int64_t due = next_happening(subscription);
    const auto known = scheduled_at_.find(&subscription);
    if (known != scheduled_at_.end()) {
        if (known->second == due) {
            return;
        }
        schedule_.erase({known->second, {&account, &subscription}});
        scheduled_at_.erase(known);
    }
    if (due > 0) {
        schedule_.insert({due, {&account, &subscription}});
        scheduled_at_[&subscription] = due;
    }
}

void World::set_cause(std::string request_id, std::string key) {
    cause_request_ = std::move(request_id);
    cause_key_ = std::move(key);
}

void World::clear_cause() {
    cause_request_.clear();
    cause_key_.clear();
}

Event& World::add_event(Account& account, std::string_view type, BlobRef object, BlobRef previous) {
    Event event;
    event.id = ids_.make("evt_1", 23);
    event.type = type;
    event.created = now();
    event.request_id = cause_request_;
    event.key = cause_key_;
    event.object = object;
    event.previous = previous;
    if (account.events.size() >= options_.max_events) {
        account.events.pop_front();
    }
    ++events_made_;
    return account.events.emplace_back(std::move(event));
}

// To write the events of a change's invoice and payment, or of a customer, takes as long as all the
// rest of it: a benchmark would measure that.
bool World::keeps(std::string_view type) const {
    return !options_.light || type.starts_with("customer.subscription.");
}

void World::emit(Account& account, std::string_view type, const RenderAtVersion& render,
                 const Json& previous) {
    if (!keeps(type)) {
        return;
    }
    const BlobRef object = blobs_.put(render(options_.default_version).dump());
    const BlobRef before = previous ? blobs_.put(previous.dump()) : BlobRef();
    const Event& event = add_event(account, type, object, before);
    if (listener_) {
        listener_(account, event, render, previous);
    }
}

void World::emit_text(Account& account, std::string_view type, std::string_view object,
                      std::string_view previous) {
    if (!keeps(type)) {
        return;
    }
    const BlobRef kept = blobs_.put(object);
    const BlobRef before = previous.empty() ? BlobRef() : blobs_.put(previous);
    const Event& event = add_event(account, type, kept, before);
    if (listener_) {
        listener_(
            account, event, [&](std::string_view) { return Json::parse(object); },
            previous.empty() ? Json() : Json::parse(previous));
    }
}

std::string World::event_text(const Account& account, const Event& event, std::string_view object,
                              std::string_view previous, std::string_view version,
                              std::int64_t pending_webhooks) const {
    std::string out = "{\"id\":";
    append_json_string(out, event.id);
    out += ",\"object\":\"event\",\"api_version\":";
    append_json_string(out, version);
    out += ",\"created\":" + std::to_string(event.created) + ",\"data\":{\"object\":";
    out += object;
    if (!previous.empty()) {
        out.append(",\"previous_attributes\":").append(previous);
    }
    out += account.livemode ? "},\"livemode\":true" : "},\"livemode\":false";
    out += ",\"pending_webhooks\":" + std::to_string(pending_webhooks) + ",\"request\":{\"id\":";
    if (event.request_id.empty()) {
        out += "null,\"idempotency_key\":null},\"type\":";
    } else {
        append_json_string(out, event.request_id);
        out += ",\"idempotency_key\":";
        if (event.key.empty()) {
            out += "null";
        } else {
            append_json_string(out, event.key);
        }
        out += "},\"type\":";
    }
    append_json_string(out, event.type);
    out += "}";
    return out;
}

std::string World::event_text(const Account& account, const Event& event) const {
    return event_text(account, event, blobs_.get(event.object), blobs_.get(event.previous),
                      options_.default_version, 0);
}

void World::clear() {
    accounts_.clear();
    schedule_.clear();
    scheduled_at_.clear();
    later_.clear();
    moves_made_ = 0;
    events_made_ = 0;
    limits_ = Limits();
}

}  // namespace stripe_simulator
