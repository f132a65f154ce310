#include "billing/intents.hpp"

#include "billing/disputes.hpp"
#include "billing/invoicing.hpp"
#include "billing/render.hpp"

namespace stripe_simulator {

namespace {

// What is authorised and not captured is released by then.
constexpr std::int64_t kAuthorizationLifetime = 7 * 86400;

void emit_charge(World& world, Account& account, const Charge& charge, std::string_view type) {
    world.emit(account, type, [&](std::string_view) { return render(account, charge); });
}

// The charge that waits for a bank, or a new one.
Charge& current_charge(World& world, Account& account, PaymentIntent& intent) {
    if (Charge* waiting = account.charges.find(intent.latest_charge);
        waiting != nullptr && waiting->status == "pending") {
        return *waiting;
    }
    Charge charge;
    charge.id = world.ids().make("ch_3", 23);
    charge.created = world.now();
    charge.payment_intent = intent.id;
    charge.customer = intent.customer;
    charge.payment_method = intent.payment_method;
    charge.currency = intent.currency;
    charge.amount = intent.amount;
    charge.application_fee_amount = intent.application_fee_amount;
    charge.has_transfer = !intent.transfer_destination.empty();
    charge.metadata = intent.metadata;
    if (const auto* method = account.payment_methods.find(intent.payment_method)) {
        charge.refunds = method->card.refunds;
    }
    intent.latest_charge = charge.id;
    return account.charges.add(std::move(charge));
}

void receive(World& world, Account& account, const PaymentIntent& intent) {
    MoneyMove move;
    move.kind = "paid";
    move.object = intent.latest_charge;
    move.payment_intent = intent.id;
    move.currency = intent.currency;
    move.amount = intent.amount_received;
    world.move_money(account, std::move(move));
}

void dispute_at_once(World& world, Account& account, const PaymentIntent& intent, Charge& charge) {
    const auto* method = account.payment_methods.find(intent.payment_method);
    if (method != nullptr && !method->card.disputed_for.empty()) {
        open_dispute(world, account, charge, charge.amount, method->card.disputed_for,
                     method->card.inquiry);
    }
}

// A bank is asked; what it says comes at its time, unless somebody has decided before.
void intent_processing(World& world, Account& account, PaymentIntent& intent,
                       const ChargeResult& result) {
    Charge& charge = current_charge(world, account, intent);
    charge.status = "pending";
    intent.status = "processing";
    intent.last_payment_error = Json();
    emit_charge(world, account, charge, "charge.pending");
    emit_intent(world, account, intent, "payment_intent.processing");
    if (result.seconds < 0) {
        return;
    }
    ChargeResult known = result;
    known.processing = false;
    known.paid = known.code.empty();
    world.at(world.now() + result.seconds, [&world, &account, &intent, id = charge.id, known] {
        if (intent.status == "processing" && intent.latest_charge == id) {
            conclude(world, account, intent, known);
        }
    });
}

void forget_method(const Account& account, PaymentIntent& intent, Json& error) {
    if (const auto* method = account.payment_methods.find(intent.payment_method)) {
        error.set("payment_method", render(account, *method));
    }
    intent.payment_method.clear();
    intent.status = "requires_payment_method";
    intent.action_done = false;
}

}  // namespace

PaymentIntent& make_intent(World& world, Account& account, std::int64_t amount,
                           std::string_view currency, std::string_view customer) {
    PaymentIntent intent;
    intent.id = world.ids().make("pi_3", 23);
    intent.client_secret = world.ids().make(intent.id + "_secret_", 25);
    intent.created = world.now();
    intent.amount = amount;
    intent.currency = currency;
    intent.customer = customer;
    return account.payment_intents.add(std::move(intent));
}

void emit_intent(World& world, Account& account, const PaymentIntent& intent,
                 std::string_view type) {
    world.emit(account, type, [&](std::string_view) { return render(account, intent); });
}

bool is_unconfirmed(const PaymentIntent& intent) {
    return intent.status == "requires_payment_method" || intent.status == "requires_confirmation" ||
           intent.status == "requires_action";
}

void intent_succeeded(World& world, Account& account, PaymentIntent& intent) {
    Charge& charge = current_charge(world, account, intent);
    charge.status = "succeeded";
    intent.last_payment_error = Json();
    if (intent.capture_method == "manual") {
        charge.captured = false;
        intent.status = "requires_capture";
        intent.amount_capturable = intent.amount;
        emit_intent(world, account, intent, "payment_intent.amount_capturable_updated");
        world.at(world.now() + kAuthorizationLifetime, [&world, &account, &intent, &charge] {
            if (intent.status == "requires_capture") {
                emit_charge(world, account, charge, "charge.expired");
                cancel_intent(world, account, intent, "automatic");
            }
        });
        return;
    }
    charge.amount_captured = intent.amount;
    intent.status = "succeeded";
    intent.amount_received = intent.amount;
    receive(world, account, intent);
    emit_charge(world, account, charge, "charge.succeeded");
    emit_intent(world, account, intent, "payment_intent.succeeded");
    dispute_at_once(world, account, intent, charge);
}

void intent_failed(World& world, Account& account, PaymentIntent& intent,
                   const ChargeResult& result) {
    if (result.needs_action) {
        intent.status = "requires_action";
        emit_intent(world, account, intent, "payment_intent.requires_action");
        return;
    }
    Charge& charge = current_charge(world, account, intent);
    charge.status = "failed";
    charge.captured = false;
    charge.failure_code = result.code;
    charge.failure_message = result.message;
    Json error = Json::object();
    error.set("charge", charge.id).set("code", result.code);
    error.set_or_null("decline_code", result.decline_code).set("message", result.message);
    forget_method(account, intent, error);
    intent.last_payment_error = error.set("type", "card_error");
    emit_charge(world, account, charge, "charge.failed");
    emit_intent(world, account, intent, "payment_intent.payment_failed");
}

void intent_not_authenticated(World& world, Account& account, PaymentIntent& intent) {
    Json error = Json::object();
    error.set("code", "payment_intent_authentication_failure");
    error.set("message",
              "The provided PaymentMethod has failed authentication. You can provide "
              "payment_method_data or a new PaymentMethod to attempt to fulfill this "
              "PaymentIntent again.");
    forget_method(account, intent, error);
    intent.last_payment_error = error.set("type", "invalid_request_error");
    emit_intent(world, account, intent, "payment_intent.payment_failed");
}

void intent_captured(World& world, Account& account, PaymentIntent& intent, std::int64_t amount) {
    intent.status = "succeeded";
    intent.amount_received = amount;
    intent.amount_capturable = 0;
    receive(world, account, intent);
    if (Charge* charge = account.charges.find(intent.latest_charge)) {
        charge->captured = true;
        charge->amount_captured = amount;
        emit_charge(world, account, *charge, "charge.captured");
    }
    emit_intent(world, account, intent, "payment_intent.succeeded");
}

void cancel_intent(World& world, Account& account, PaymentIntent& intent, std::string_view reason) {
    if (Charge* waiting = account.charges.find(intent.latest_charge);
        waiting != nullptr && waiting->status == "pending") {
        waiting->status = "failed";
        waiting->captured = false;
        emit_charge(world, account, *waiting, "charge.failed");
    }
    intent.cancellation_reason = reason;
    intent.status = "canceled";
    intent.canceled_at = world.now();
    intent.amount_capturable = 0;
    emit_intent(world, account, intent, "payment_intent.canceled");
}

void expire_intent_at(World& world, Account& account, PaymentIntent& intent, std::int64_t time) {
    world.at(time, [&world, &account, &intent] {
        if (is_unconfirmed(intent)) {
            cancel_intent(world, account, intent, "expired");
        }
    });
}

void conclude(World& world, Account& account, PaymentIntent& intent, const ChargeResult& result) {
    Invoice* invoice = account.invoices.find(intent.invoice);
    if (invoice != nullptr && invoice->status != "open") {
        invoice = nullptr;
    }
    if (result.processing && invoice == nullptr) {
        intent_processing(world, account, intent, result);
    } else if (result.paid || result.processing) {
        invoice != nullptr ? invoice_paid(world, account, *invoice)
                           : intent_succeeded(world, account, intent);
    } else if (invoice != nullptr) {
        invoice_failed(world, account, *invoice, result);
    } else {
        intent_failed(world, account, intent, result);
    }
}

}  // namespace stripe_simulator
