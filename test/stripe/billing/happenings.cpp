#include "billing/happenings.hpp"

#include <algorithm>

#include "billing/invoicing.hpp"
#include "billing/money.hpp"
#include "billing/render.hpp"
#include "billing/subscription_change.hpp"

namespace stripe_simulator {

namespace {

constexpr std::int64_t kIncompleteLifetime = 23 * 3600;

void end_subscription(World& world, Account& account, Subscription& subscription,
                      std::string_view status) {
    discard_pending_update(world, account, subscription);
    const Json before = render(account, subscription, world.options().default_version);
    subscription.status = status;
    subscription.ended_at = world.now();
    if (subscription.canceled_at == 0) {
        subscription.canceled_at = world.now();
    }
    emit_updated(
        world, account, subscription, before,
        status == "canceled" ? "customer.subscription.deleted" : "customer.subscription.updated");
}

void expire_pending_update(World& world, Account& account, Subscription& subscription) {
    const Json before = render(account, subscription, world.options().default_version);
    discard_pending_update(world, account, subscription);
    emit_updated(world, account, subscription, before,
                 "customer.subscription.pending_update_expired");
}

// The renewed items' next period, and the line for it.
std::vector<InvoiceLine> renew_items(World& world, Subscription& subscription) {
    std::vector<InvoiceLine> lines = std::move(subscription.pending_lines);
    subscription.pending_lines.clear();
    for (Item& item : subscription.items) {
        if (item.period_end > world.now()) {
            continue;
        }
        // Counted from the anchor, so that a 31st does not become a 28th for good.
        std::int64_t count = 0;
        std::int64_t end = item.period_end;
        while (end <= world.now()) {
            item.period_start = end;
            count += item.price->interval_count;
            end = add_interval(item.anchor, item.price->interval, count);
        }
        item.period_end = end;
        InvoiceLine line;
        line.item = item.id;
        line.price = item.price;
        line.quantity = item.quantity;
        line.amount = item.price->metered ? 0 : full_amount(*item.price, item.quantity);
        line.description = std::to_string(item.quantity) + " × " + item.price->id;
        line.period_start = item.period_start;
        line.period_end = item.period_end;
        lines.push_back(std::move(line));
    }
    return lines;
}

void renew(World& world, Account& account, Subscription& subscription) {
    const Json before = render(account, subscription, world.options().default_version);
    if (subscription.status == "trialing") {
        subscription.anchor = world.now();
        subscription.status = "active";
    }
    Invoice draft =
        draft_invoice(world, subscription, renew_items(world, subscription), "subscription_cycle");
    if (!json_is_object(subscription.pause_collection.node()) && subscription.status != "unpaid") {
        Invoice& invoice = issue_invoice(world, account, subscription, std::move(draft));
        if (invoice.status == "open" && subscription.collection_method == "charge_automatically") {
            const bool chargeable = can_charge(account, *subscription.customer, &subscription);
            ChargeResult result;
            if (chargeable) {
                result = attempt_payment(account, invoice);
            }
            if (result.paid) {
                invoice_paid(world, account, invoice);
            } else {
                invoice_failed(world, account, invoice, result);
                subscription.status = "past_due";
            }
        }
    }
    emit_updated(world, account, subscription, before);
}

}  // namespace

std::int64_t next_happening(const Subscription& subscription) {
    if (subscription.is_over() || subscription.status == "paused") {
        return 0;
    }
    if (subscription.status == "incomplete") {
        return subscription.created + kIncompleteLifetime;
    }
    std::int64_t due = subscription.period_end();
    if (subscription.pending_update) {
        due = std::min(due, subscription.pending_update->expires_at);
    }
    if (subscription.cancel_at != 0) {
        due = std::min(due, subscription.cancel_at);
    }
    return due;
}

void let_happen(World& world, Account& account, Subscription& subscription) {
    if (subscription.status == "incomplete") {
        if (Invoice* invoice = account.invoices.find(subscription.latest_invoice)) {
            void_invoice(world, account, *invoice);
        }
        end_subscription(world, account, subscription, "incomplete_expired");
        return;
    }
    if (subscription.pending_update && subscription.pending_update->expires_at <= world.now()) {
        expire_pending_update(world, account, subscription);
    }
    if (subscription.cancel_at != 0 && subscription.cancel_at <= world.now()) {
        end_subscription(world, account, subscription, "canceled");
    } else if (subscription.period_end() <= world.now()) {
        if (subscription.cancel_at_period_end) {
            end_subscription(world, account, subscription, "canceled");
        } else {
            renew(world, account, subscription);
        }
    }
}

}  // namespace stripe_simulator
