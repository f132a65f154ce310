// The objects that the simulator keeps. They are plain state; how they look in an answer is
// decided by billing/render.*, what may happen to them by the files of each resource.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/blob_store.hpp"
#include "base/json.hpp"

namespace stripe_simulator {

// Sorted by key, as Stripe answers it.
using Metadata = std::vector<std::pair<std::string, std::string>>;

// How a refund begins, and what becomes of it later.
struct RefundPlan {
    std::string status = "succeeded";
    std::string then;           // succeeded, failed or canceled; empty: it stays
    std::int64_t seconds = 60;  // until then
    std::string failure_reason = "unknown";
};

// What a card, or another way to pay, does when it is charged.
struct CardBehaviour {
    enum class Does : std::uint8_t { kPay, kDecline, kNeedAction, kDeclineOver, kProcess };

    Does does = Does::kPay;
    bool refuses_attach = false;
    bool declines_after_action = false;
    std::int64_t limit = 0;  // kDeclineOver: larger amounts are declined
    std::string code = "card_declined";
    std::string decline_code = "generic_decline";
    std::string name = "ok";
    std::string type = "card";
    // kProcess: how long until it is paid, or fails with the code; -1: it never ends by itself.
    std::int64_t seconds = -1;
    bool fails_later = false;
    RefundPlan refunds;
    std::string disputed_for;  // the reason why each payment is disputed at once
    bool inquiry = false;      // and that takes no money yet
};

// What few customers have; apart, so that a million plain ones stay small.
struct CustomerBilling {
    std::string default_payment_method;
    std::optional<CardBehaviour> card_override;  // set by control: rules over any card
    std::int64_t balance = 0;
    std::string currency;
    std::int64_t invoice_count = 0;
    bool delinquent = false;
};

struct Customer {
    std::string id;
    std::size_t number = 0;
    std::int64_t created = 0;
    std::string email;
    std::string name;
    std::string description;
    Metadata metadata;
    std::unique_ptr<CustomerBilling> billing;
    bool deleted = false;

    [[nodiscard]] Customer draft() const {
        Customer copy;
        copy.id = id;
        copy.number = number;
        copy.created = created;
        copy.email = email;
        copy.name = name;
        copy.description = description;
        copy.metadata = metadata;
        copy.billing = billing ? std::make_unique<CustomerBilling>(*billing) : nullptr;
        copy.deleted = deleted;
        return copy;
    }

    CustomerBilling& bill() {
        if (!billing) {
            billing = std::make_unique<CustomerBilling>();
        }
        return *billing;
    }
};

struct Product {
    std::string id;
    std::size_t number = 0;
    std::int64_t created = 0;
    std::string name;
    std::string description;
    Metadata metadata;
    bool active = true;
};

struct Price {
    std::string id;
    std::size_t number = 0;
    std::int64_t created = 0;
    std::string product;
    std::string currency;
    std::string nickname;
    std::string lookup_key;
    std::string interval;  // empty: a one-time price
    std::int64_t interval_count = 1;
    bool metered = false;
    bool active = true;
    std::vector<std::string> other_currencies;  // set by control; the same number of minor units
    std::string unit_decimal;                   // as given, in minor units
    __int128 unit_pico = 0;  // minor units times 10^12: what money is computed with
    Metadata metadata;

    [[nodiscard]] bool supports(std::string_view wanted) const {
        return currency == wanted || std::find(other_currencies.begin(), other_currencies.end(),
                                               wanted) != other_currencies.end();
    }
};

struct PaymentMethod {
    std::string id;
    std::size_t number = 0;
    std::int64_t created = 0;
    std::string customer;
    std::string brand = "visa";
    std::string last4 = "4242";
    CardBehaviour card;
    Metadata metadata;
};

struct Item {
    std::string id;
    const Price* price = nullptr;
    std::int64_t quantity = 1;
    std::int64_t created = 0;
    std::int64_t anchor = 0;  // its periods are counted from here
    std::int64_t period_start = 0;
    std::int64_t period_end = 0;
    Metadata metadata;
};

struct InvoiceLine {
    std::string id;
    std::string invoice_item;  // ii_…, for prorations
    std::string item;
    const Price* price = nullptr;
    std::int64_t amount = 0;
    std::int64_t quantity = 0;
    std::string description;
    bool proration = false;
    std::int64_t period_start = 0;
    std::int64_t period_end = 0;
};

struct PendingUpdate {
    std::vector<Item> items;  // all items as they will be
    std::vector<std::string> changed;
    Metadata metadata;  // merged into the subscription's when it is applied
    bool has_metadata = false;
    std::string invoice;
    std::vector<InvoiceLine> carried;  // earlier prorations on its invoice; they come back
    std::int64_t expires_at = 0;
};

struct Subscription {
    std::string id;
    std::size_t number = 0;
    std::int64_t created = 0;
    Customer* customer = nullptr;
    std::string status = "active";
    std::string currency;
    std::string billing_mode = "flexible";
    std::string collection_method = "charge_automatically";
    std::string default_payment_method;
    std::string description;
    std::string latest_invoice;
    std::string schedule;  // set by control
    std::vector<Item> items;
    std::vector<InvoiceLine> pending_lines;  // prorations that wait for the next invoice
    std::optional<PendingUpdate> pending_update;
    Metadata metadata;
    std::int64_t anchor = 0;
    std::int64_t trial_start = 0;
    std::int64_t trial_end = 0;
    std::int64_t days_until_due = 0;
    std::int64_t tax_percent = 0;  // set by control: of every invoice, on top of it
    std::int64_t cancel_at = 0;
    std::int64_t canceled_at = 0;
    std::int64_t ended_at = 0;
    bool cancel_at_period_end = false;
    Json pause_collection;
    // For Stripe's limits per subscription.
    std::deque<std::int64_t> invoiced_at;
    std::deque<std::int64_t> quantity_changed_at;

    [[nodiscard]] bool is_over() const {
        return status == "canceled" || status == "incomplete_expired";
    }
    [[nodiscard]] std::int64_t period_start() const;
    [[nodiscard]] std::int64_t period_end() const;
};

struct Invoice {
    std::string id;
    std::size_t number = 0;
    std::int64_t created = 0;
    Customer* customer = nullptr;
    std::string subscription;
    Metadata subscription_metadata;
    std::string status = "open";
    std::string currency;
    std::string billing_reason;
    std::string collection_method = "charge_automatically";
    std::string payment_intent;
    std::string invoice_number;
    std::vector<InvoiceLine> lines;
    Metadata metadata;
    std::int64_t subtotal = 0;
    std::int64_t tax = 0;
    bool is_taxed = false;
    std::int64_t total = 0;
    std::int64_t starting_balance = 0;
    std::int64_t ending_balance = 0;
    std::int64_t amount_due = 0;
    std::int64_t amount_paid = 0;
    std::int64_t attempt_count = 0;
    std::int64_t finalized_at = 0;
    std::int64_t paid_at = 0;
    std::int64_t voided_at = 0;
    std::int64_t due_date = 0;
    std::int64_t period_start = 0;
    std::int64_t period_end = 0;
    bool auto_advance = true;
    bool paid_out_of_band = false;
};

struct PaymentIntent {
    std::string id;
    std::size_t number = 0;
    std::int64_t created = 0;
    std::string customer;
    std::string payment_method;
    std::string status = "requires_payment_method";
    std::string currency;
    std::string capture_method = "automatic_async";
    std::string confirmation_method = "automatic";
    std::string description;
    std::string client_secret;
    std::string latest_charge;
    std::string cancellation_reason;
    std::string invoice;
    std::string setup_future_usage;
    std::string receipt_email;
    std::string statement_descriptor;
    std::string statement_descriptor_suffix;
    std::string transfer_group;
    std::string transfer_destination;
    std::string on_behalf_of;
    std::string return_url;
    std::int64_t transfer_amount = 0;
    std::int64_t application_fee_amount = 0;
    std::int64_t amount = 0;
    std::int64_t amount_received = 0;
    std::int64_t amount_capturable = 0;
    std::int64_t canceled_at = 0;
    bool action_done = false;
    bool cancelable = false;            // though it is processing; set by control
    std::optional<RefundPlan> refunds;  // set by control: rules over the method's
    Metadata metadata;
    Json last_payment_error;
};

struct Charge {
    std::string id;
    std::size_t number = 0;
    std::int64_t created = 0;
    std::string payment_intent;
    std::string customer;
    std::string payment_method;
    std::string currency;
    std::string status = "succeeded";
    std::string failure_code;
    std::string failure_message;
    std::int64_t amount = 0;
    std::int64_t amount_captured = 0;
    std::int64_t amount_refunded = 0;
    std::int64_t application_fee_amount = 0;
    bool has_transfer = false;
    bool captured = true;
    bool disputed = false;
    RefundPlan refunds;
    Metadata metadata;
};

struct Refund {
    std::string id;
    std::size_t number = 0;
    std::int64_t created = 0;
    std::string charge;
    std::string payment_intent;
    std::string currency;
    std::string reason;
    std::string failure_reason;
    std::string status = "succeeded";
    std::string transfer_reversal;
    std::int64_t amount = 0;
    Metadata metadata;
};

struct Dispute {
    std::string id;
    std::size_t number = 0;
    std::int64_t created = 0;
    std::string charge;
    std::string payment_intent;
    std::string currency;
    std::string reason;
    std::string status = "needs_response";
    std::int64_t amount = 0;
    Metadata metadata;

    // An inquiry takes no money; it ends as warning_closed.
    [[nodiscard]] bool is_inquiry() const { return status.rfind("warning_", 0) == 0; }
    [[nodiscard]] bool is_over() const {
        return status == "won" || status == "lost" || status == "warning_closed";
    }
};

// Money that came or went, whoever caused it.
struct MoneyMove {
    std::uint64_t sequence = 0;
    std::int64_t at = 0;
    std::string_view kind;  // paid, refunded, refund_failed, disputed, dispute_won
    std::string object;     // of the charge, refund or dispute
    std::string payment_intent;
    std::string currency;
    std::int64_t amount = 0;  // below zero: it went
    bool of_invoice = false;  // of its intent
};

struct Event {
    std::string id;
    std::string type;
    std::int64_t created = 0;
    std::string request_id;
    std::string key;
    BlobRef object;
    BlobRef previous;
};

// Objects of one kind, found by id and listed in the order in which they were made.
template <typename T>
class Store {
  public:
    T& add(T object) {
        auto owned = std::make_unique<T>(std::move(object));
        owned->number = in_order_.size();
        T& kept = *owned;
        in_order_.push_back(std::move(owned));
        by_id_.emplace(std::string_view(kept.id), &kept);
        return kept;
    }
    [[nodiscard]] T* find(std::string_view id) const {
        const auto found = by_id_.find(id);
        return found == by_id_.end() ? nullptr : found->second;
    }
    [[nodiscard]] const std::vector<std::unique_ptr<T>>& in_order() const { return in_order_; }
    [[nodiscard]] std::size_t size() const { return in_order_.size(); }

  private:
    std::vector<std::unique_ptr<T>> in_order_;
    std::unordered_map<std::string_view, T*> by_id_;
};

}  // namespace stripe_simulator
