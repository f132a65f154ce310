#include "billing/subscription_change.hpp"

#include <algorithm>

#include "billing/invoicing.hpp"
#include "billing/lookup.hpp"
#include "billing/money.hpp"
#include "billing/render.hpp"

namespace stripe_simulator {

namespace {

constexpr std::int64_t kPendingLifetime = 23 * 3600;

void forget_before(std::deque<std::int64_t>& times, std::int64_t before) {
    while (!times.empty() && times.front() <= before) {
        times.pop_front();
    }
}

void check_quantity_limit(World& world, Subscription& subscription) {
    forget_before(subscription.quantity_changed_at, world.now() - 3600);
    const Limits& limits = world.limits();
    if (limits.enforce &&
        subscription.quantity_changed_at.size() >= limits.quantity_updates_per_hour) {
        throw rate_limited("resource-specific",
                           "This subscription's quantity has been updated too many times within "
                           "the last hour (limit: 200).");
    }
}

std::int64_t pending_expiry(const World& world, const Subscription& subscription) {
    std::int64_t expiry = world.now() + kPendingLifetime;
    for (const Item& item : subscription.items) {
        expiry = std::min(expiry, item.period_end);
    }
    if (subscription.trial_end > world.now()) {
        expiry = std::min(expiry, subscription.trial_end);
    }
    return expiry;
}

ApiError needs_action_error() {
    return card_error("subscription_payment_intent_requires_action", "",
                      "Payment for this subscription requires additional user action before it "
                      "can be completed successfully. Payment can be completed using the "
                      "PaymentIntent associated with `subscription.latest_invoice`.");
}

InvoiceLine line_of(World& world, const Item& item, std::int64_t amount, std::int64_t at,
                    std::string_view what) {
    InvoiceLine line;
    line.invoice_item = world.ids().make("ii_1", 23);
    line.item = item.id;
    line.price = item.price;
    line.amount = amount;
    line.quantity = item.quantity;
    line.proration = true;
    line.period_start = at;
    line.period_end = item.period_end;
    line.description =
        std::string(what) + " time on " + std::to_string(item.quantity) + " × " + item.price->id;
    return line;
}

const Item* find_item(const std::vector<Item>& items, std::string_view id) {
    const auto found =
        std::find_if(items.begin(), items.end(), [&](const Item& item) { return item.id == id; });
    return found == items.end() ? nullptr : &*found;
}

void apply_metadata(Subscription& subscription, const ChangeOptions& options) {
    if (options.clears_metadata) {
        subscription.metadata.clear();
    }
    for (const auto& [key, value] : options.metadata) {
        put_metadata(subscription.metadata, key, value);
    }
}

}  // namespace

void check_invoice_limit(World& world, Subscription& subscription) {
    forget_before(subscription.invoiced_at, world.now() - 86400);
    const Limits& limits = world.limits();
    if (!limits.enforce) {
        return;
    }
    const auto recent =
        std::count_if(subscription.invoiced_at.begin(), subscription.invoiced_at.end(),
                      [&](std::int64_t at) { return at > world.now() - 60; });
    if (subscription.invoiced_at.size() >= limits.invoices_per_day ||
        static_cast<std::size_t>(recent) >= limits.invoices_per_minute) {
        throw rate_limited("resource-specific",
                           "Too many invoices have been created for this subscription recently "
                           "(limits: 10 a minute, 20 a day).");
    }
}

LedgerNote::Quantities quantities_of(const std::vector<Item>& items) {
    LedgerNote::Quantities out;
    for (const Item& item : items) {
        out.emplace_back(item.id, item.quantity);
    }
    return out;
}

void emit_updated(World& world, Account& account, const Subscription& subscription,
                  const Json& before, std::string_view type, bool items_changed) {
    const Json after = render(account, subscription, world.options().default_version);
    Json previous = difference(before.node(), after.node());
    if (items_changed && !has(previous.node(), "items")) {
        json_t* data = json_object_get(json_object_get(before.node(), "items"), "data");
        previous.set("items", Json::object().set("data", Json::share(data)));
    }
    const bool is_update = type == "customer.subscription.updated";
    if (is_update && json_object_size(previous.node()) == 0) {
        return;
    }
    world.emit(
        account, type,
        [&](std::string_view version) { return render(account, subscription, version); },
        is_update ? previous : Json());
}

std::vector<InvoiceLine> proration_lines(World& world, const Subscription& subscription,
                                         const ItemPlan& plan, std::int64_t at) {
    std::vector<InvoiceLine> lines;
    for (const std::string& id : plan.changed) {
        const Item* before = find_item(subscription.items, id);
        const Item* after = find_item(plan.target, id);
        if (before != nullptr && before->quantity > 0 && !before->price->metered) {
            const std::int64_t unused = prorated_amount(
                *before->price, before->quantity, before->period_start, before->period_end, at);
            lines.push_back(line_of(world, *before, -unused, at, "Unused"));
        }
        if (after != nullptr && after->quantity > 0 && !after->price->metered) {
            // An item that is new has no time before its own period.
            const std::int64_t from = std::max(at, after->period_start);
            const std::int64_t remaining = prorated_amount(
                *after->price, after->quantity, after->period_start, after->period_end, from);
            lines.push_back(line_of(world, *after, remaining, from, "Remaining"));
        }
    }
    return lines;
}

void set_items(World& world, Account& account, Subscription& subscription,
               std::vector<Item> items) {
    for (const Item& item : subscription.items) {
        account.item_owner.erase(item.id);
    }
    subscription.items = std::move(items);
    for (const Item& item : subscription.items) {
        account.item_owner[item.id] = &subscription;
    }
    world.reschedule(account, subscription);
}

void set_cancel_at_period_end(Subscription& subscription, bool cancel, std::int64_t now) {
    subscription.cancel_at_period_end = cancel;
    subscription.canceled_at = cancel ? now : 0;
    subscription.cancel_at = cancel ? subscription.period_end() : 0;
}

void apply_pending_update(World& world, Account& account, Subscription& subscription) {
    const Json before = render(account, subscription, world.options().default_version);
    PendingUpdate pending = std::move(*subscription.pending_update);
    subscription.pending_update.reset();
    if (pending.has_metadata) {
        for (const auto& [key, value] : pending.metadata) {
            put_metadata(subscription.metadata, key, value);
        }
    }
    const bool items_changed = quantities_of(subscription.items) != quantities_of(pending.items);
    set_items(world, account, subscription, std::move(pending.items));
    emit_updated(world, account, subscription, before, "customer.subscription.updated",
                 items_changed);
    emit_updated(world, account, subscription, before,
                 "customer.subscription.pending_update_applied");
}

void discard_pending_update(World& world, Account& account, Subscription& subscription) {
    if (!subscription.pending_update) {
        return;
    }
    if (Invoice* invoice = account.invoices.find(subscription.pending_update->invoice)) {
        void_invoice(world, account, *invoice);
    }
    subscription.pending_update.reset();
}

void change_subscription(Call& call, Subscription& subscription, const ItemPlan& plan,
                         const ChangeOptions& options, const Json& before) {
    World& world = call.world;
    Account& account = call.account;
    const std::int64_t at = options.proration_date != 0 ? options.proration_date : world.now();
    call.note.object = subscription.id;
    call.note.before = quantities_of(subscription.items);
    call.note.after = call.note.before;
    call.note.currency = subscription.currency;
    if (plan.changes_quantity) {
        check_quantity_limit(world, subscription);
    }
    std::vector<InvoiceLine> lines;
    if (options.proration_behavior != "none" && subscription.status != "trialing") {
        lines = proration_lines(world, subscription, plan, at);
    }
    const auto apply = [&] {
        if (!plan.changed.empty()) {
            discard_pending_update(world, account, subscription);
            set_items(world, account, subscription, plan.target);
        }
        if (plan.changes_quantity) {
            subscription.quantity_changed_at.push_back(world.now());
        }
        apply_metadata(subscription, options);
        call.note.after = quantities_of(subscription.items);
    };
    if (options.proration_behavior != "always_invoice" || lines.empty()) {
        apply();
        subscription.pending_lines.insert(subscription.pending_lines.end(), lines.begin(),
                                          lines.end());
        emit_updated(world, account, subscription, before, "customer.subscription.updated",
                     !plan.changed.empty());
        return;
    }

    check_invoice_limit(world, subscription);
    std::vector<InvoiceLine> carried = subscription.pending_lines;
    std::int64_t returning = 0;
    if (subscription.pending_update && !plan.changed.empty()) {
        const auto& earlier = subscription.pending_update->carried;
        carried.insert(carried.begin(), earlier.begin(), earlier.end());
        if (const Invoice* replaced = account.invoices.find(subscription.pending_update->invoice)) {
            returning = replaced->starting_balance - replaced->ending_balance;
        }
    }
    lines.insert(lines.begin(), carried.begin(), carried.end());
    Invoice draft = draft_invoice(world, subscription, lines, "subscription_update", returning);
    call.note.amount = draft.total;
    const bool collects = subscription.collection_method == "charge_automatically";
    const bool attempts =
        draft.amount_due > 0 && collects && options.payment_behavior != "default_incomplete";
    ChargeResult result;
    if (attempts) {
        if (!can_charge(account, *subscription.customer, &subscription)) {
            throw no_payment_source();
        }
        result = attempt_payment(account, draft);
        if (!result.paid && options.payment_behavior == "error_if_incomplete") {
            // Everything is rolled back; the try still counts for Stripe's limits.
            subscription.invoiced_at.push_back(world.now());
            if (plan.changes_quantity) {
                subscription.quantity_changed_at.push_back(world.now());
            }
            throw result.needs_action ? needs_action_error() : decline_error(result);
        }
    }
    if (attempts && !result.paid && options.payment_behavior == "pending_if_incomplete") {
        discard_pending_update(world, account, subscription);
        if (plan.changes_quantity) {
            subscription.quantity_changed_at.push_back(world.now());
        }
        Invoice& invoice = issue_invoice(world, account, subscription, std::move(draft));
        PendingUpdate pending;
        pending.items = plan.target;
        pending.changed = plan.changed;
        pending.metadata = options.metadata;
        pending.has_metadata = options.has_metadata;
        pending.invoice = invoice.id;
        pending.carried = carried;
        pending.expires_at = pending_expiry(world, subscription);
        subscription.pending_lines.clear();
        subscription.pending_update = std::move(pending);
        invoice_failed(world, account, invoice, result);
        world.reschedule(account, subscription);
        call.note.outcome = "pending";
        emit_updated(world, account, subscription, before);
        return;
    }
    apply();
    subscription.pending_lines.clear();
    Invoice& invoice = issue_invoice(world, account, subscription, std::move(draft));
    if (attempts && result.paid) {
        invoice_paid(world, account, invoice);
    } else if (attempts) {
        invoice_failed(world, account, invoice, result);
        subscription.status = "past_due";
    } else if (invoice.status == "open" && collects) {
        invoice.auto_advance = false;
        subscription.status = "past_due";
    }
    emit_updated(world, account, subscription, before, "customer.subscription.updated",
                 !plan.changed.empty());
}

}  // namespace stripe_simulator
