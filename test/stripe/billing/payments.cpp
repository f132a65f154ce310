#include "billing/payments.hpp"

#include <array>

#include "billing/render.hpp"

namespace stripe_simulator {

namespace {

struct Decline {
    std::string_view suffix;
    std::string_view code;
    std::string_view decline_code;
};

// What may follow "chargeDeclined" in a token.
constexpr std::array<Decline, 9> kDeclines{{
    {"InsufficientFunds", "card_declined", "insufficient_funds"},
    {"LostCard", "card_declined", "lost_card"},
    {"StolenCard", "card_declined", "stolen_card"},
    {"FraudulentCard", "card_declined", "fraudulent"},
    {"VelocityLimitExceeded", "card_declined", "card_velocity_exceeded"},
    {"ExpiredCard", "expired_card", ""},
    {"IncorrectCvc", "incorrect_cvc", ""},
    {"ProcessingError", "processing_error", ""},
    {"", "card_declined", "generic_decline"},
}};

CardBehaviour declining(std::string_view code, std::string_view decline_code) {
    CardBehaviour card;
    card.does = CardBehaviour::Does::kDecline;
    card.code = code;
    card.decline_code = decline_code;
    card.name = decline_code.empty() ? code : decline_code;
    return card;
}

CardBehaviour needing_action() {
    CardBehaviour card;
    card.does = CardBehaviour::Does::kNeedAction;
    card.name = "requires_action";
    return card;
}

std::string message_of(std::string_view code, std::string_view decline_code) {
    if (decline_code == "insufficient_funds") {
        return "Your card has insufficient funds.";
    }
    if (code == "expired_card") {
        return "Your card has expired.";
    }
    if (code == "incorrect_cvc") {
        return "Your card's security code is incorrect.";
    }
    if (code == "processing_error") {
        return "An error occurred while processing your card. Try again in a little bit.";
    }
    return "Your card was declined.";
}

ChargeResult declined(std::string code, std::string decline_code) {
    ChargeResult result;
    result.message = message_of(code, decline_code);
    result.code = std::move(code);
    result.decline_code = std::move(decline_code);
    return result;
}

}  // namespace

std::optional<CardBehaviour> card_of_token(std::string_view token) {
    constexpr std::string_view kPrefix = "pm_card_";
    if (token.substr(0, kPrefix.size()) != kPrefix) {
        return std::nullopt;
    }
    const std::string_view name = token.substr(kPrefix.size());
    if (name == "chargeCustomerFail") {
        return declining("card_declined", "generic_decline");
    }
    if (name == "authenticationRequiredChargeDeclinedInsufficientFunds" ||
        name == "threeDSecureRequiredChargeDeclined") {
        CardBehaviour card = needing_action();
        card.declines_after_action = true;
        return card;
    }
    if (name.substr(0, 22) == "authenticationRequired" ||
        name.substr(0, 20) == "threeDSecureRequired" || name == "threeDSecure2Required") {
        return needing_action();
    }
    if (name == "radarBlock") {
        CardBehaviour card = declining("card_declined", "fraudulent");
        card.refuses_attach = true;
        return card;
    }
    const std::size_t at = name.find("chargeDeclined");
    if (at != std::string_view::npos) {
        const std::string_view suffix = name.substr(at + 14);
        for (const Decline& decline : kDeclines) {
            if (decline.suffix == suffix) {
                CardBehaviour card = declining(decline.code, decline.decline_code);
                card.refuses_attach = true;
                return card;
            }
        }
        return std::nullopt;
    }
    return CardBehaviour();
}

std::optional<CardBehaviour> card_of_word(std::string_view word) {
    constexpr std::string_view kOver = "insufficient_over:";
    if (word == "ok") {
        return CardBehaviour();
    }
    if (word == "declined") {
        return declining("card_declined", "generic_decline");
    }
    if (word == "requires_action") {
        return needing_action();
    }
    if (word.substr(0, kOver.size()) == kOver) {
        const auto limit = parse_integer(word.substr(kOver.size()));
        if (!limit) {
            return std::nullopt;
        }
        CardBehaviour card = declining("card_declined", "insufficient_funds");
        card.does = CardBehaviour::Does::kDeclineOver;
        card.limit = *limit;
        card.name = word;
        return card;
    }
    for (const Decline& decline : kDeclines) {
        if (word == (decline.decline_code.empty() ? decline.code : decline.decline_code)) {
            return declining(decline.code, decline.decline_code);
        }
    }
    return std::nullopt;
}

PaymentMethod& make_payment_method(World& world, Account& account, std::string_view token,
                                   Customer* attach_to) {
    const auto card = card_of_token(token);
    if (!card) {
        throw no_such("PaymentMethod", token, "payment_method", 400);
    }
    if (attach_to != nullptr && card->refuses_attach) {
        throw decline_error(declined(card->code, card->decline_code));
    }
    PaymentMethod method;
    method.id = world.ids().make("pm_1", 23);
    method.created = world.now();
    method.card = *card;
    method.brand = token.find("mastercard") != std::string_view::npos ? "mastercard"
                   : token.find("amex") != std::string_view::npos     ? "amex"
                                                                      : "visa";
    if (attach_to != nullptr) {
        method.customer = attach_to->id;
    }
    PaymentMethod& kept = account.payment_methods.add(std::move(method));
    if (attach_to != nullptr) {
        world.emit(account, "payment_method.attached",
                   [&](std::string_view) { return render(account, kept); });
    }
    return kept;
}

const PaymentMethod* method_for(const Account& account, const Customer& customer,
                                const Subscription* subscription) {
    if (subscription != nullptr && !subscription->default_payment_method.empty()) {
        return account.payment_methods.find(subscription->default_payment_method);
    }
    if (customer.billing && !customer.billing->default_payment_method.empty()) {
        return account.payment_methods.find(customer.billing->default_payment_method);
    }
    return nullptr;
}

bool can_charge(const Account& account, const Customer& customer,
                const Subscription* subscription) {
    return (customer.billing && customer.billing->card_override) ||
           method_for(account, customer, subscription) != nullptr;
}

ChargeResult charge(const Customer* customer, const PaymentMethod* method, std::int64_t amount,
                    bool action_done) {
    CardBehaviour card = method != nullptr ? method->card : CardBehaviour();
    if (customer != nullptr && customer->billing && customer->billing->card_override) {
        card = *customer->billing->card_override;
    }
    ChargeResult result;
    switch (card.does) {
        case CardBehaviour::Does::kPay:
            result.paid = true;
            return result;
        case CardBehaviour::Does::kDecline:
            return declined(card.code, card.decline_code);
        case CardBehaviour::Does::kDeclineOver:
            result.paid = amount <= card.limit;
            return result.paid ? result : declined(card.code, card.decline_code);
        case CardBehaviour::Does::kNeedAction:
            break;
    }
    if (action_done) {
        result.paid = !card.declines_after_action;
        return result.paid ? result : declined("card_declined", "insufficient_funds");
    }
    result.needs_action = true;
    result.code = "authentication_required";
    result.decline_code = "authentication_required";
    result.message = "Your card was declined. This transaction requires authentication.";
    return result;
}

ApiError decline_error(const ChargeResult& result) {
    return card_error(result.code, result.decline_code, result.message);
}

ApiError no_payment_source() {
    ApiError error = invalid_request(
        "This customer has no attached payment source or default payment method. Please consider "
        "adding a default payment method. For more information, visit "
        "https://stripe.com/docs/billing/subscriptions/payment-methods-setting#payment-method-"
        "priority.",
        {}, "resource_missing");
    error.executed = true;
    return error;
}

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

namespace {

Charge& make_charge(World& world, Account& account, PaymentIntent& intent) {
    Charge charge;
    charge.id = world.ids().make("ch_3", 23);
    charge.created = world.now();
    charge.payment_intent = intent.id;
    charge.customer = intent.customer;
    charge.payment_method = intent.payment_method;
    charge.currency = intent.currency;
    charge.amount = intent.amount;
    charge.metadata = intent.metadata;
    intent.latest_charge = charge.id;
    return account.charges.add(std::move(charge));
}

}  // namespace

void intent_succeeded(World& world, Account& account, PaymentIntent& intent) {
    Charge& charge = make_charge(world, account, intent);
    intent.last_payment_error = Json();
    if (intent.capture_method == "manual") {
        charge.captured = false;
        intent.status = "requires_capture";
        intent.amount_capturable = intent.amount;
        emit_intent(world, account, intent, "payment_intent.amount_capturable_updated");
        return;
    }
    charge.amount_captured = intent.amount;
    intent.status = "succeeded";
    intent.amount_received = intent.amount;
    world.emit(account, "charge.succeeded",
               [&](std::string_view) { return render(account, charge); });
    emit_intent(world, account, intent, "payment_intent.succeeded");
}

void intent_failed(World& world, Account& account, PaymentIntent& intent,
                   const ChargeResult& result) {
    if (result.needs_action) {
        intent.status = "requires_action";
        emit_intent(world, account, intent, "payment_intent.requires_action");
        return;
    }
    Charge& charge = make_charge(world, account, intent);
    charge.status = "failed";
    charge.captured = false;
    charge.failure_code = result.code;
    charge.failure_message = result.message;
    Json error = Json::object();
    error.set("charge", charge.id).set("code", result.code);
    error.set_or_null("decline_code", result.decline_code).set("message", result.message);
    intent.last_payment_error = error.set("type", "card_error");
    intent.status = "requires_payment_method";
    intent.payment_method.clear();
    world.emit(account, "charge.failed", [&](std::string_view) { return render(account, charge); });
    emit_intent(world, account, intent, "payment_intent.payment_failed");
}

}  // namespace stripe_simulator
