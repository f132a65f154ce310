#include "billing/invoicing.hpp"

#include "billing/intents.hpp"
#include "billing/money.hpp"
#include "billing/render.hpp"
#include "billing/subscription_change.hpp"

namespace stripe_simulator {

namespace {

void set_balance(World& world, Account& account, Customer& customer, std::int64_t balance) {
    if (customer.bill().balance == balance) {
        return;
    }
    const std::int64_t before = customer.bill().balance;
    customer.bill().balance = balance;
    world.emit_text(account, "customer.updated", customer_text(account, customer),
                    "{\"balance\":" + std::to_string(before) + "}");
}

void mark_paid(World& world, Account& account, Invoice& invoice) {
    invoice.status = "paid";
    invoice.paid_at = world.now();
    emit_invoice(world, account, invoice, "invoice.paid");
    emit_invoice(world, account, invoice, "invoice.payment_succeeded");
}

// The subscription is well again when its latest invoice is paid.
void mend_status(World& world, Account& account, Subscription& subscription,
                 const Invoice& invoice) {
    const bool unwell = subscription.status == "past_due" || subscription.status == "unpaid" ||
                        subscription.status == "incomplete";
    if (unwell && subscription.latest_invoice == invoice.id) {
        const Json before = render(account, subscription, world.options().default_version);
        subscription.status = "active";
        emit_updated(world, account, subscription, before);
        world.reschedule(account, subscription);
    }
}

}  // namespace

void emit_invoice(World& world, Account& account, const Invoice& invoice, std::string_view type) {
    world.emit(account, type,
               [&](std::string_view version) { return render(account, invoice, version); });
}

Invoice draft_invoice(World& world, const Subscription& subscription,
                      std::vector<InvoiceLine> lines, std::string_view billing_reason,
                      std::int64_t returning) {
    Invoice draft;
    draft.created = world.now();
    draft.customer = subscription.customer;
    draft.subscription = subscription.id;
    draft.subscription_metadata = subscription.metadata;
    draft.currency = subscription.currency;
    draft.billing_reason = billing_reason;
    draft.collection_method = subscription.collection_method;
    draft.lines = std::move(lines);
    for (const InvoiceLine& line : draft.lines) {
        draft.subtotal += line.amount;
    }
    draft.is_taxed = subscription.tax_percent != 0;
    draft.tax = percent_of(draft.subtotal, subscription.tax_percent);
    draft.total = draft.subtotal + draft.tax;
    draft.starting_balance = subscription.customer->bill().balance + returning;
    draft.period_start = world.now();
    draft.period_end = world.now();
    const std::int64_t due = draft.total + draft.starting_balance;
    // A credit stays on the balance, and so does an amount that is too small for a card.
    if (due <= 0 || (due < minimum_charge(draft.currency) && draft.total != 0)) {
        draft.ending_balance = due;
    } else {
        draft.amount_due = due;
    }
    if (draft.collection_method == "send_invoice") {
        draft.due_date = world.now() + subscription.days_until_due * 86400;
    }
    return draft;
}

Invoice& issue_invoice(World& world, Account& account, Subscription& subscription, Invoice draft) {
    draft.id = world.ids().make("in_1", 23);
    draft.finalized_at = world.now();
    Customer& customer = *draft.customer;
    draft.invoice_number = "SIM-" +
                           std::to_string(1000000 + static_cast<std::int64_t>(customer.number)) +
                           "-" + std::to_string(++customer.bill().invoice_count);
    if (customer.bill().currency.empty()) {
        customer.bill().currency = draft.currency;
    }
    for (InvoiceLine& line : draft.lines) {
        line.id = world.ids().make("il_1", 23);
    }
    Invoice& invoice = account.invoices.add(std::move(draft));
    subscription.latest_invoice = invoice.id;
    subscription.invoiced_at.push_back(world.now());
    emit_invoice(world, account, invoice, "invoice.created");
    set_balance(world, account, customer, invoice.ending_balance);
    emit_invoice(world, account, invoice, "invoice.finalized");
    if (invoice.amount_due > 0) {
        PaymentIntent& intent =
            make_intent(world, account, invoice.amount_due, invoice.currency, customer.id);
        intent.invoice = invoice.id;
        intent.description = "Subscription update";
        const PaymentMethod* method = method_for(account, customer, &subscription);
        if (method != nullptr) {
            intent.payment_method = method->id;
            intent.status = "requires_confirmation";
        }
        invoice.payment_intent = intent.id;
        emit_intent(world, account, intent, "payment_intent.created");
    } else {
        mark_paid(world, account, invoice);
    }
    return invoice;
}

ChargeResult attempt_payment(const Account& account, const Invoice& invoice) {
    const Subscription* subscription = account.subscriptions.find(invoice.subscription);
    const PaymentMethod* method = method_for(account, *invoice.customer, subscription);
    const PaymentIntent* intent = account.payment_intents.find(invoice.payment_intent);
    if (intent != nullptr && !intent->payment_method.empty()) {
        method = account.payment_methods.find(intent->payment_method);
    }
    return charge(invoice.customer, method, invoice.amount_due,
                  intent != nullptr && intent->action_done);
}

void invoice_paid(World& world, Account& account, Invoice& invoice) {
    ++invoice.attempt_count;
    invoice.amount_paid = invoice.amount_due;
    PaymentIntent* intent = account.payment_intents.find(invoice.payment_intent);
    if (intent != nullptr && intent->status != "succeeded") {
        intent_succeeded(world, account, *intent);
    }
    mark_paid(world, account, invoice);
    Subscription* subscription = account.subscriptions.find(invoice.subscription);
    if (subscription == nullptr) {
        return;
    }
    if (subscription->pending_update && subscription->pending_update->invoice == invoice.id) {
        apply_pending_update(world, account, *subscription);
    }
    mend_status(world, account, *subscription, invoice);
}

void invoice_failed(World& world, Account& account, Invoice& invoice, const ChargeResult& result) {
    ++invoice.attempt_count;
    if (PaymentIntent* intent = account.payment_intents.find(invoice.payment_intent)) {
        intent_failed(world, account, *intent, result);
    }
    emit_invoice(
        world, account, invoice,
        result.needs_action ? "invoice.payment_action_required" : "invoice.payment_failed");
}

void void_invoice(World& world, Account& account, Invoice& invoice) {
    invoice.status = "void";
    invoice.voided_at = world.now();
    if (PaymentIntent* intent = account.payment_intents.find(invoice.payment_intent)) {
        intent->status = "canceled";
        intent->canceled_at = world.now();
        intent->cancellation_reason = "void_invoice";
        emit_intent(world, account, *intent, "payment_intent.canceled");
    }
    // What the invoice took from the balance, or put there, is undone.
    Customer& customer = *invoice.customer;
    set_balance(world, account, customer,
                customer.bill().balance + invoice.starting_balance - invoice.ending_balance);
    emit_invoice(world, account, invoice, "invoice.voided");
    Subscription* subscription = account.subscriptions.find(invoice.subscription);
    if (subscription != nullptr && subscription->pending_update &&
        subscription->pending_update->invoice == invoice.id) {
        const Json before = render(account, *subscription, world.options().default_version);
        std::vector<InvoiceLine> lines = std::move(subscription->pending_update->carried);
        lines.insert(lines.end(), subscription->pending_lines.begin(),
                     subscription->pending_lines.end());
        subscription->pending_lines = std::move(lines);
        subscription->pending_update.reset();
        emit_updated(world, account, *subscription, before);
        world.reschedule(account, *subscription);
    }
}

}  // namespace stripe_simulator
