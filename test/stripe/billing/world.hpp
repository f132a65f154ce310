// Everything that exists at the simulated Stripe, and what time does to it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "base/blob_store.hpp"
#include "base/clock.hpp"
#include "base/text.hpp"
#include "billing/objects.hpp"

namespace stripe_simulator {

// An account in one mode: test and live share nothing but the name.
struct Account {
    std::string id;
    bool livemode = false;
    std::string scope;  // "acct_one/test"

    Store<Customer> customers;
    Store<Product> products;
    Store<Price> prices;
    Store<PaymentMethod> payment_methods;
    Store<Subscription> subscriptions;
    Store<Invoice> invoices;
    Store<PaymentIntent> payment_intents;
    Store<Charge> charges;
    Store<Refund> refunds;
    Store<Dispute> disputes;
    std::deque<MoneyMove> money;  // in the order in which it moved
    std::unordered_map<std::string, Subscription*> item_owner;
    std::deque<Event> events;  // oldest first, bounded
};

struct Limits {
    bool enforce = true;  // Stripe's limits per subscription
    std::size_t invoices_per_minute = 10;
    std::size_t invoices_per_day = 20;
    std::size_t quantity_updates_per_hour = 200;
    std::size_t requests_per_second = 0;  // of an account; 0: no limit
};

using RenderAtVersion = std::function<Json(std::string_view version)>;

class World {
  public:
    struct Options {
        std::uint64_t seed = 1;
        std::string default_version = "2026-05-27.dahlia";
        bool require_version = false;  // of every request, though Stripe would take its default
        bool light = false;
        std::size_t answer_bytes = 0;  // 0: as short as they are
        std::size_t max_events = 100000;
    };
    // Called with each event, and with a way to render its object at another version.
    using EventListener =
        std::function<void(Account&, const Event&, const RenderAtVersion&, const Json& previous)>;

    World(Options options, Clock& clock, BlobStore& blobs);

    [[nodiscard]] const Options& options() const { return options_; }
    [[nodiscard]] Clock& clock() { return clock_; }
    BlobStore& blobs() { return blobs_; }
    IdMaker& ids() { return ids_; }
    Limits& limits() { return limits_; }

    Account& account(std::string_view id, bool livemode);
    [[nodiscard]] const std::map<std::string, std::unique_ptr<Account>>& accounts() const {
        return accounts_;
    }

    // The time at which things happen: while time is being caught up, that of each happening.
    [[nodiscard]] std::int64_t now() const { return happening_ ? *happening_ : clock_.now(); }
    // Lets everything happen that was due by now: renewals, expiries, cancellations.
    void catch_up();
    // To be called whenever a subscription's next happening may have moved.
    void reschedule(Account& account, Subscription& subscription);
    // Lets something happen later; whether it still makes sense then is its own business.
    void at(std::int64_t time, std::function<void()> what);
    void move_money(Account& account, MoneyMove move);

    // The request that causes the events to come; none when time does.
    void set_cause(std::string request_id, std::string key);
    void clear_cause();

    void emit(Account& account, std::string_view type, const RenderAtVersion& render,
              const Json& previous = Json());
    // For objects that look the same in every version; both texts are JSON.
    void emit_text(Account& account, std::string_view type, std::string_view object,
                   std::string_view previous);
    void listen(EventListener listener) { listener_ = std::move(listener); }
    // The whole event as JSON text.
    std::string event_text(const Account& account, const Event& event, std::string_view object,
                           std::string_view previous, std::string_view version,
                           std::int64_t pending_webhooks) const;
    std::string event_text(const Account& account, const Event& event) const;
    [[nodiscard]] std::uint64_t events_made() const { return events_made_; }

    void clear();

  private:
    void happen(std::int64_t time);

    using Due = std::pair<std::int64_t, std::pair<Account*, Subscription*>>;

    [[nodiscard]] bool keeps(std::string_view type) const;
    Event& add_event(Account& account, std::string_view type, BlobRef object, BlobRef previous);

    Options options_;
    Clock& clock_;
    BlobStore& blobs_;
    IdMaker ids_;
    Limits limits_;
    std::map<std::string, std::unique_ptr<Account>> accounts_;
    std::set<Due> schedule_;
    std::unordered_map<const Subscription*, std::int64_t> scheduled_at_;
    std::multimap<std::int64_t, std::function<void()>> later_;
    std::optional<std::int64_t> happening_;
    std::uint64_t moves_made_ = 0;
    std::string cause_request_;
    std::string cause_key_;
    EventListener listener_;
    std::uint64_t events_made_ = 0;
};

}  // namespace stripe_simulator
