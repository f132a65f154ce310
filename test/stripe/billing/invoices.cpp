#include "api/router.hpp"
#include "billing/invoicing.hpp"
#include "billing/lookup.hpp"
#include "billing/money.hpp"
#include "billing/render.hpp"
#include "billing/subscription_change.hpp"

namespace stripe_simulator {

namespace {

Invoice& need_invoice(Call& call) {
    return need(call, &Account::invoices, "invoice", call.ids[0], "invoice");
}

void note_invoice(Call& call, const Invoice& invoice) {
    call.note.object = invoice.id;
    call.note.amount = invoice.amount_due;
    call.note.currency = invoice.currency;
    if (const Subscription* subscription = call.account.subscriptions.find(invoice.subscription)) {
        call.note.after = quantities_of(subscription->items);
    }
}

std::string pay_invoice(Call& call) {
    Invoice& invoice = need_invoice(call);
    if (invoice.status == "paid") {
        throw invalid_request("Invoice is already paid", {}, "invoice_already_paid");
    }
    if (invoice.status != "open") {
        throw invalid_request("This invoice can no longer be paid.", {}, "invoice_not_editable");
    }
    note_invoice(call, invoice);
    call.note.before = call.note.after;
    if (call.params.flag("paid_out_of_band")) {
        invoice.paid_out_of_band = true;
        invoice_paid(call.world, call.account, invoice);
        note_invoice(call, invoice);
        return answer(call, render(call.account, invoice, call.version));
    }
    PaymentIntent* intent = call.account.payment_intents.find(invoice.payment_intent);
    const std::string_view wanted = call.params.text("payment_method");
    if (!wanted.empty() && intent != nullptr) {
        PaymentMethod* method = call.account.payment_methods.find(wanted);
        if (method == nullptr && card_of_token(wanted)) {
            method = &make_payment_method(call.world, call.account, wanted, nullptr);
        }
        if (method == nullptr) {
            throw not_found(call, &Account::payment_methods, "PaymentMethod", wanted,
                            "payment_method", 400);
        }
        intent->payment_method = method->id;
    }
    const Subscription* subscription = call.account.subscriptions.find(invoice.subscription);
    if ((intent == nullptr || intent->payment_method.empty()) &&
        !can_charge(call.account, *invoice.customer, subscription)) {
        throw no_payment_source();
    }
    const ChargeResult result = attempt_payment(call.account, invoice);
    if (!result.paid) {
        invoice_failed(call.world, call.account, invoice, result);
        ApiError error = result.needs_action
                             ? card_error("invoice_payment_intent_requires_action", "",
                                          "This payment requires additional user action before "
                                          "it can be completed successfully.")
                             : decline_error(result);
        throw error;
    }
    invoice_paid(call.world, call.account, invoice);
    note_invoice(call, invoice);
    return answer(call, render(call.account, invoice, call.version));
}

std::string void_one(Call& call) {
    Invoice& invoice = need_invoice(call);
    if (invoice.status != "open" && invoice.status != "uncollectible") {
        throw invalid_request("You can only pass in open invoices. This invoice isn't open.", {},
                              "invoice_not_editable");
    }
    void_invoice(call.world, call.account, invoice);
    note_invoice(call, invoice);
    call.note.before = call.note.after;
    return answer(call, render(call.account, invoice, call.version));
}

std::string update_invoice(Call& call) {
    Invoice& invoice = need_invoice(call);
    const Json before = render(call.account, invoice, call.version);
    merge_metadata(invoice.metadata, call.params);
    call.note.object = invoice.id;
    const Json after = render(call.account, invoice, call.version);
    call.world.emit(
        call.account, "invoice.updated",
        [&](std::string_view version) { return render(call.account, invoice, version); },
        difference(before.node(), after.node()));
    return answer(call, after);
}

std::string retrieve_invoice(Call& call) {
    call.world.catch_up();
    return answer(call, render(call.account, need_invoice(call), call.version));
}

std::string list_invoices(Call& call) {
    const Params& params = call.params;
    const auto passes = [&](std::string_view name, std::string_view value) {
        return !params.has(name) || params.text(name) == value;
    };
    return answer(
        call, list_objects<Invoice>(
                  call, call.account.invoices, "invoice", "/v1/invoices",
                  [&](const Invoice& invoice) {
                      return passes("subscription", invoice.subscription) &&
                             passes("customer", invoice.customer->id) &&
                             passes("status", invoice.status) &&
                             passes("collection_method", invoice.collection_method);
                  },
                  [&](Invoice& invoice) { return render(call.account, invoice, call.version); }));
}

std::string list_invoice_payments(Call& call) {
    const Invoice& invoice =
        need(call, &Account::invoices, "invoice", call.params.required("invoice"), "invoice", 400);
    return answer(call, render_invoice_payments(call.account, invoice));
}

std::string list_lines(Call& call) {
    const Invoice& invoice = need_invoice(call);
    Json data = Json::array();
    for (const InvoiceLine& line : invoice.lines) {
        data.push(render(call.account, line, invoice));
    }
    return answer(call, make_list("/v1/invoices/" + invoice.id + "/lines", data, false));
}

// A period of an item: the one that runs, or the one after it.
InvoiceLine period_line(const Item& item, bool is_next) {
    InvoiceLine line;
    line.item = item.id;
    line.price = item.price;
    line.quantity = item.quantity;
    line.amount = item.price->metered ? 0 : full_amount(*item.price, item.quantity);
    line.description = std::to_string(item.quantity) + " × " + item.price->id;
    line.period_start = is_next ? item.period_end : item.period_start;
    line.period_end =
        is_next ? add_interval(item.period_end, item.price->interval, item.price->interval_count)
                : item.period_end;
    return line;
}

ApiError no_upcoming(const Subscription& subscription) {
    ApiError error =
        invalid_request("No upcoming invoices for customer: " + subscription.customer->id, {},
                        "invoice_upcoming_none");
    error.status = 404;
    return error;
}

void check_proration_date(const Params& params, const ChangeOptions& options) {
    const std::string date("subscription_details[proration_date]");
    if (!params.has(date)) {
        return;
    }
    if (options.proration_behavior == "none") {
        throw invalid_request(
            "You cannot specify a proration date when proration_behavior is none.", date);
    }
    if (params.elements("subscription_details[items]").empty()) {
        throw invalid_request("You can only specify a proration date together with items.", date);
    }
}

// The next invoice: what a change is charged with at once, or the next regular one with all that
// waits for it.
std::vector<InvoiceLine> lines_of_next(Call& call, const Subscription& subscription,
                                       const ItemPlan& plan, const ChangeOptions& options) {
    const std::int64_t at = options.proration_date != 0 ? options.proration_date : call.world.now();
    std::vector<InvoiceLine> lines = subscription.pending_lines;
    if (options.proration_behavior != "none" && subscription.status != "trialing") {
        const auto prorations = proration_lines(call.world, subscription, plan, at);
        lines.insert(lines.end(), prorations.begin(), prorations.end());
    }
    if (options.proration_behavior != "always_invoice" && !subscription.cancel_at_period_end) {
        for (const Item& item : plan.target) {
            lines.push_back(period_line(item, true));
        }
    }
    return lines;
}

// What a change would cost; nothing is kept. `recurring` is a regular invoice at the new
// quantities, by the period that runs: no prorations, and nothing that waits.
std::string preview_invoice(Call& call) {
    call.note.outcome.clear();
    const Params& params = call.params;
    const Subscription& subscription = need(call, &Account::subscriptions, "subscription",
                                            params.required("subscription"), "subscription", 404);
    if (subscription.is_over()) {
        throw no_such("subscription", subscription.id, "subscription", 404);
    }
    if (params.has("customer") && params.text("customer") != subscription.customer->id) {
        throw invalid_request("The subscription does not belong to this customer.", "customer");
    }
    const std::string mode(params.choice("preview_mode", {"next", "recurring"}, "next"));
    const ItemPlan plan = plan_items(call, subscription, "subscription_details[items]");
    const ChangeOptions options = read_change_options(call, subscription, "subscription_details");
    check_proration_date(params, options);
    std::vector<InvoiceLine> lines;
    if (mode == "next") {
        lines = lines_of_next(call, subscription, plan, options);
    } else if (!subscription.cancel_at_period_end) {
        for (const Item& item : plan.target) {
            lines.push_back(period_line(item, false));
        }
    }
    if (lines.empty() && subscription.cancel_at_period_end) {
        throw no_upcoming(subscription);
    }
    for (InvoiceLine& line : lines) {
        line.id = call.world.ids().make("il_tmp_", 14);
    }
    Invoice preview = draft_invoice(call.world, subscription, std::move(lines), "upcoming");
    preview.id = call.world.ids().make("upcoming_in_1", 23);
    preview.status = "draft";
    return answer(call, render(call.account, preview, call.version));
}

}  // namespace

void add_invoice_operations(Router& router) {
    const std::string page(kPageParameters);
    router.add("POST", "/v1/invoices/create_preview", preview_invoice,
               "customer subscription preview_mode currency "
               "subscription_details[items][][id] subscription_details[items][][price] "
               "subscription_details[items][][quantity] subscription_details[items][][deleted] "
               "subscription_details[proration_behavior] subscription_details[proration_date] "
               "subscription_details[billing_cycle_anchor]");
    router.add("GET", "/v1/invoices", list_invoices,
               "subscription customer status collection_method" + page);
    router.add("GET", "/v1/invoices/{id}", retrieve_invoice, "");
    router.add("GET", "/v1/invoices/{id}/lines", list_lines, page);
    router.add("GET", "/v1/invoice_payments", list_invoice_payments, "invoice status" + page);
    router.add("POST", "/v1/invoices/{id}", update_invoice, "metadata[*] description");
    router.add("POST", "/v1/invoices/{id}/pay", pay_invoice,
               "payment_method paid_out_of_band off_session forgive mandate source");
    router.add("POST", "/v1/invoices/{id}/void", void_one, "");
}

}  // namespace stripe_simulator
