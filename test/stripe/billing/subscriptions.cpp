#include <array>

#include "api/router.hpp"
#include "billing/invoicing.hpp"
#include "billing/lookup.hpp"
#include "billing/money.hpp"
#include "billing/render.hpp"
#include "billing/subscription_change.hpp"

namespace stripe_simulator {

namespace {

// Retrieving finds a cancelled subscription; changing it does not.
Subscription& need_open(Call& call) {
    Subscription& subscription = need(call, &Account::subscriptions, "subscription", call.ids[0]);
    if (subscription.is_over()) {
        throw no_such("subscription", subscription.id, "id", 404);
    }
    return subscription;
}

void read_default_method(Call& call, Subscription& subscription) {
    const std::string_view id = call.params.text("default_payment_method");
    if (!call.params.has("default_payment_method")) {
        return;
    }
    if (id.empty()) {
        subscription.default_payment_method.clear();
        return;
    }
    const PaymentMethod& method =
        need(call, &Account::payment_methods, "PaymentMethod", id, "default_payment_method", 400);
    if (method.customer != subscription.customer->id) {
        throw invalid_request("The customer does not have a payment method with the ID " +
                                  method.id +
                                  ". The payment method must be attached to the customer.",
                              "default_payment_method", "resource_missing");
    }
    subscription.default_payment_method = method.id;
}

void read_plain_fields(Call& call, Subscription& subscription) {
    const Params& params = call.params;
    read_default_method(call, subscription);
    if (params.has("description")) {
        subscription.description = params.text("description");
    }
    subscription.collection_method =
        params.choice("collection_method", {"charge_automatically", "send_invoice"},
                      subscription.collection_method);
    if (const auto days = params.integer("days_until_due")) {
        subscription.days_until_due = *days;
    }
    if (params.has("cancel_at_period_end")) {
        set_cancel_at_period_end(subscription, params.flag("cancel_at_period_end"),
                                 call.world.now());
    }
    if (params.has("cancel_at")) {
        subscription.cancel_at = params.integer("cancel_at").value_or(0);
    }
    if (params.has("pause_collection[behavior]")) {
        subscription.pause_collection =
            Json::object()
                .set("behavior", params.text("pause_collection[behavior]"))
                .set("resumes_at", nullptr);
    } else if (params.has("pause_collection")) {
        subscription.pause_collection = Json();
    }
}

void pay_first_invoice(Call& call, Subscription& subscription, Invoice draft,
                       const std::string& payment_behavior) {
    const bool collects = subscription.collection_method == "charge_automatically";
    const bool attempts =
        draft.amount_due > 0 && collects && payment_behavior != "default_incomplete";
    ChargeResult result;
    if (attempts) {
        result = attempt_payment(call.account, draft);
    }
    call.note.amount = draft.total;
    Invoice& invoice = issue_invoice(call.world, call.account, subscription, std::move(draft));
    if (attempts && result.paid) {
        invoice_paid(call.world, call.account, invoice);
    } else if (attempts) {
        invoice_failed(call.world, call.account, invoice, result);
        subscription.status = "incomplete";
    } else if (collects && invoice.status == "open") {
        subscription.status = "incomplete";
    }
}

// A refused creation must leave nothing behind, so the charge is tried on the draft alone.
void check_creation(Call& call, const Subscription& subscription, const Invoice& draft,
                    const std::string& payment_behavior) {
    if (draft.amount_due == 0 || subscription.collection_method != "charge_automatically" ||
        payment_behavior == "default_incomplete") {
        return;
    }
    const Customer& customer = *subscription.customer;
    if (!can_charge(call.account, customer, &subscription)) {
        throw no_payment_source();
    }
    if (payment_behavior == "error_if_incomplete") {
        const ChargeResult result = charge(
            &customer, method_for(call.account, customer, &subscription), draft.amount_due, false);
        if (!result.paid) {
            throw decline_error(result);
        }
    }
}

std::string create_subscription(Call& call) {
    const Params& params = call.params;
    Subscription fresh;
    fresh.customer =
        &need(call, &Account::customers, "customer", params.required("customer"), "customer", 400);
    if (params.elements("items").empty()) {
        throw missing_parameter("items");
    }
    const std::string payment_behavior = params.choice(
        "payment_behavior",
        {"allow_incomplete", "default_incomplete", "error_if_incomplete", "pending_if_incomplete"},
        "allow_incomplete");
    if (payment_behavior == "pending_if_incomplete") {
        throw invalid_request(
            "`payment_behavior` can only be set to `pending_if_incomplete` when "
            "updating a subscription.",
            "payment_behavior");
    }
    fresh.billing_mode = params.choice("billing_mode[type]", {"classic", "flexible"}, "flexible");
    ItemPlan plan = plan_items(call, fresh, "items");
    merge_metadata(fresh.metadata, params);
    fresh.created = call.world.now();
    fresh.currency = plan.target.front().price->currency;
    fresh.anchor = fresh.created;
    fresh.trial_end = params.integer("trial_end").value_or(0);
    if (const auto days = params.integer("trial_period_days")) {
        fresh.trial_end = fresh.created + *days * 86400;
    }
    const bool trial = fresh.trial_end > fresh.created;
    std::vector<InvoiceLine> lines;
    for (Item& item : plan.target) {
        if (!item.price->supports(fresh.currency)) {
            throw invalid_request("All prices of a subscription must have the same currency.",
                                  "items");
        }
        if (trial) {
            item.period_end = fresh.trial_end;
            item.anchor = fresh.trial_end;
        }
        InvoiceLine line;
        line.item = item.id;
        line.price = item.price;
        line.quantity = item.quantity;
        line.amount = trial || item.price->metered ? 0 : full_amount(*item.price, item.quantity);
        line.description = std::to_string(item.quantity) + " × " + item.price->id;
        line.period_start = item.period_start;
        line.period_end = item.period_end;
        lines.push_back(std::move(line));
    }
    if (trial) {
        fresh.status = "trialing";
        fresh.trial_start = fresh.created;
    }
    read_plain_fields(call, fresh);
    fresh.id = call.world.ids().make("sub_1", 23);
    Invoice draft = draft_invoice(call.world, fresh, std::move(lines), "subscription_create");
    call.note.currency = fresh.currency;
    check_creation(call, fresh, draft, payment_behavior);
    Subscription& subscription = call.account.subscriptions.add(std::move(fresh));
    set_items(call.world, call.account, subscription, std::move(plan.target));
    pay_first_invoice(call, subscription, std::move(draft), payment_behavior);
    call.world.reschedule(call.account, subscription);
    call.note.object = subscription.id;
    call.note.after = quantities_of(subscription.items);
    call.world.emit(call.account, "customer.subscription.created", [&](std::string_view version) {
        return render(call.account, subscription, version);
    });
    return answer(call, render(call.account, subscription, call.version));
}

// What may accompany pending_if_incomplete, by version.
void check_pending_parameters(Call& call, const Subscription& subscription) {
    static constexpr std::array<std::string_view, 8> kAllowed{
        "payment_behavior", "proration_behavior", "proration_date",    "billing_cycle_anchor",
        "trial_end",        "trial_from_plan",    "add_invoice_items", "expand"};
    for (const auto& [name, value] : call.params.fields()) {
        const std::string top = name.substr(0, name.find('['));
        bool allowed = false;
        for (const std::string_view known : kAllowed) {
            allowed = allowed || known == top;
        }
        std::string refused = top;
        if (top == "metadata") {
            allowed = call.at_least("2026-05-27");
        } else if (top == "discounts") {
            allowed = call.at_least("2026-05-27");
        } else if (top == "cancel_at_period_end") {
            allowed = call.at_least("2026-09-30");
        } else if (top == "items") {
            const std::size_t last = name.rfind('[');
            const std::string field = name.substr(last + 1, name.size() - last - 2);
            allowed = field == "id" || field == "price" || field == "quantity";
            refused = name;
        }
        if (!allowed) {
            throw invalid_request(
                "When `payment_behavior` is set to `pending_if_incomplete`, you can only pass "
                "supported params. `" +
                    refused +
                    "` is not supported. For a list of all supported params, see "
                    "https://stripe.com/docs/billing/subscriptions/"
                    "pending-updates-reference#supported-attributes.",
                refused);
        }
    }
    if (subscription.collection_method != "charge_automatically") {
        throw invalid_request(
            "`payment_behavior` can only be set to `pending_if_incomplete` for "
            "subscriptions with `collection_method=charge_automatically`.",
            "payment_behavior");
    }
}

// It became an object with 2026-09-30. To begin a new cycle now is not simulated, and not passed
// over in silence either.
void check_cycle_anchor(Call& call) {
    const char* name = "billing_cycle_anchor";
    const char* type = "billing_cycle_anchor[type]";
    const bool is_object = call.at_least("2026-09-30");
    if (is_object && call.params.has(name)) {
        throw invalid_request("Invalid object", name);
    }
    if (!is_object && call.params.has(type)) {
        throw unknown_parameter(type);
    }
    if (call.params.choice(is_object ? type : name, {"now", "unchanged"}, "unchanged") == "now") {
        throw invalid_request("The simulator does not begin a new billing cycle.", name);
    }
}

std::string update_subscription(Call& call) {
    Subscription& subscription = need_open(call);
    const ChangeOptions options = read_change_options(call, subscription);
    check_cycle_anchor(call);
    if (options.payment_behavior == "pending_if_incomplete") {
        check_pending_parameters(call, subscription);
    }
    const ItemPlan plan = plan_items(call, subscription, "items");
    if (subscription.status == "incomplete" && !plan.changed.empty()) {
        throw invalid_request(
            "You cannot update a subscription in `incomplete` status. Only "
            "default_source and metadata may be updated.",
            "items");
    }
    if (!subscription.schedule.empty() && !plan.changed.empty()) {
        throw invalid_request("The subscription is managed by the subscription schedule `" +
                              subscription.schedule +
                              "`, and updating any items directly is not allowed.");
    }
    const Json before = render(call.account, subscription, call.world.options().default_version);
    const Subscription untouched = subscription;
    try {
        read_plain_fields(call, subscription);
        change_subscription(call, subscription, plan, options, before);
    } catch (const ApiError&) {
        // A refused request leaves nothing behind, but its try counts for Stripe's limits.
        auto invoiced = std::move(subscription.invoiced_at);
        auto changed = std::move(subscription.quantity_changed_at);
        subscription = untouched;
        subscription.invoiced_at = std::move(invoiced);
        subscription.quantity_changed_at = std::move(changed);
        throw;
    }
    call.world.reschedule(call.account, subscription);
    return answer(call, render(call.account, subscription, call.version));
}

std::string cancel_subscription(Call& call) {
    Subscription& subscription = need_open(call);
    const Params& params = call.params;
    call.note.object = subscription.id;
    call.note.before = quantities_of(subscription.items);
    call.note.currency = subscription.currency;
    if (params.flag("prorate")) {
        ItemPlan none;
        for (const Item& item : subscription.items) {
            none.changed.push_back(item.id);
        }
        auto lines = proration_lines(call.world, subscription, none, call.world.now());
        auto& pending = subscription.pending_lines;
        pending.insert(pending.end(), lines.begin(), lines.end());
    }
    discard_pending_update(call.world, call.account, subscription);
    if (params.flag("invoice_now") && !subscription.pending_lines.empty()) {
        Invoice& invoice = issue_invoice(
            call.world, call.account, subscription,
            draft_invoice(call.world, subscription, std::move(subscription.pending_lines),
                          "subscription_update"));
        subscription.pending_lines.clear();
        call.note.amount = invoice.total;
    }
    subscription.status = "canceled";
    subscription.canceled_at = call.world.now();
    subscription.ended_at = call.world.now();
    call.world.reschedule(call.account, subscription);
    call.world.emit(call.account, "customer.subscription.deleted", [&](std::string_view version) {
        return render(call.account, subscription, version);
    });
    return answer(call, render(call.account, subscription, call.version));
}

std::string retrieve_subscription(Call& call) {
    call.world.catch_up();
    return answer(
        call, render(call.account, need(call, &Account::subscriptions, "subscription", call.ids[0]),
                     call.version));
}

std::string list_subscriptions(Call& call) {
    const Params& params = call.params;
    const std::string_view status = params.text("status");
    const std::string_view customer = params.text("customer");
    const auto wanted = [&](const Subscription& subscription) {
        if (!customer.empty() && subscription.customer->id != customer) {
            return false;
        }
        if (params.has("price")) {
            bool found = false;
            for (const Item& item : subscription.items) {
                found = found || item.price->id == params.text("price");
            }
            if (!found) {
                return false;
            }
        }
        if (status == "all") {
            return true;
        }
        if (status == "ended") {
            return subscription.is_over();
        }
        return status.empty() ? subscription.status != "canceled" : subscription.status == status;
    };
    return answer(call, list_objects<Subscription>(
                            call, call.account.subscriptions, "subscription", "/v1/subscriptions",
                            wanted, [&](Subscription& subscription) {
                                return render(call.account, subscription, call.version);
                            }));
}

}  // namespace

void add_subscription_operations(Router& router) {
    const std::string fields =
        "items[][price] items[][quantity] items[][metadata][*] metadata[*] description "
        "collection_method days_until_due default_payment_method cancel_at cancel_at_period_end "
        "payment_behavior proration_behavior off_session trial_end automatic_tax[enabled] "
        "payment_settings[save_default_payment_method] billing_cycle_anchor "
        "payment_settings[payment_method_types][]";
    const std::string page(kPageParameters);
    router.add("POST", "/v1/subscriptions", create_subscription,
               fields + " customer currency trial_period_days billing_mode[type]");
    router.add("POST", "/v1/subscriptions/{id}", update_subscription,
               fields +
                   " billing_cycle_anchor[type] items[][id] items[][deleted] items[][clear_usage] "
                   "proration_date "
                   "pause_collection pause_collection[behavior] "
                   "cancellation_details[comment] cancellation_details[feedback]");
    router.add("GET", "/v1/subscriptions/{id}", retrieve_subscription, "");
    router.add("DELETE", "/v1/subscriptions/{id}", cancel_subscription,
               "prorate invoice_now cancellation_details[comment] cancellation_details[feedback]");
    router.add("GET", "/v1/subscriptions", list_subscriptions,
               "customer status price collection_method" + page);
}

}  // namespace stripe_simulator
