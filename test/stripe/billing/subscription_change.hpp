// A change of a subscription's items: what is asked for, what it costs, and what becomes of it
// under each payment behaviour.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/call.hpp"
#include "billing/world.hpp"

namespace stripe_simulator {

struct ItemPlan {
    std::vector<Item> target;
    std::vector<std::string> changed;
    bool changes_quantity = false;
};

struct ChangeOptions {
    std::string proration_behavior = "create_prorations";
    std::string payment_behavior = "allow_incomplete";
    std::int64_t proration_date = 0;      // 0: now
    std::vector<Params::Field> metadata;  // what the request names; an empty value deletes
    bool has_metadata = false;
    bool clears_metadata = false;
};

// Reads items[…] (or subscription_details[items][…]) against what the subscription has.
ItemPlan plan_items(Call& call, const Subscription& subscription, const std::string& name);
ItemPlan unchanged_plan(const Subscription& subscription);
// Refuses too many items, and none.
void check_plan(const ItemPlan& plan, const Subscription& subscription, const std::string& name);
// The period that a new item begins with.
void start_period(Item& item, const Subscription& subscription, std::int64_t now);
ChangeOptions read_change_options(Call& call, const Subscription& subscription,
                                  const std::string& prefix = {});
// Credit and charge for each item that differs.
std::vector<InvoiceLine> proration_lines(World& world, const Subscription& subscription,
                                         const ItemPlan& plan, std::int64_t at);
// Does it all: limits, invoice, payment, pending update, events. Fills the call's note. `before`
// is the subscription as it was rendered before this request touched it.
void change_subscription(Call& call, Subscription& subscription, const ItemPlan& plan,
                         const ChangeOptions& options, const Json& before);

void set_items(World& world, Account& account, Subscription& subscription, std::vector<Item> items);
void apply_pending_update(World& world, Account& account, Subscription& subscription);
void set_cancel_at_period_end(Subscription& subscription, bool cancel, std::int64_t now);
// Voids its invoice, which discards it.
void discard_pending_update(World& world, Account& account, Subscription& subscription);
// An event of the subscription; customer.subscription.updated tells what it was before. Answers
// show ten items, so a change of the eleventh must be told by `items_changed`.
void emit_updated(World& world, Account& account, const Subscription& subscription,
                  const Json& before, std::string_view type = "customer.subscription.updated",
                  bool items_changed = false);
LedgerNote::Quantities quantities_of(const std::vector<Item>& items);
// Stripe's limit of invoices per subscription.
void check_invoice_limit(World& world, Subscription& subscription);

}  // namespace stripe_simulator
