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

// Paid some days later, or not: nobody knows before.
CardBehaviour processing(std::int64_t seconds) {
    CardBehaviour card;
    card.does = CardBehaviour::Does::kProcess;
    card.seconds = seconds;
    card.name = "processing";
    return card;
}

constexpr std::int64_t kDay = 86400;

std::optional<CardBehaviour> bank_account_of_token(std::string_view name) {
    CardBehaviour bank = processing(4 * kDay);
    bank.type = "us_bank_account";
    bank.refunds = {"pending", "succeeded", 5 * kDay, {}};
    if (name == "processing") {
        bank.seconds = -1;
    } else if (name == "dispute") {
        bank.disputed_for = "bank_cannot_process";
    } else if (name != "success") {
        bank.fails_later = true;
        bank.decline_code.clear();
        if (name == "insufficientFunds") {
            bank.code = "insufficient_funds";
        } else if (name == "accountClosed") {
            bank.code = "account_closed";
        } else if (name == "noAccount") {
            bank.code = "no_account";
        } else if (name == "debitNotAuthorized") {
            bank.code = "debit_not_authorized";
        } else {
            return std::nullopt;
        }
    }
    return bank;
}

// Cards that pay, and whose payments come to grief afterwards.
CardBehaviour paying(std::string_view name) {
    CardBehaviour card;
    if (name == "pendingRefund") {
        card.refunds = {"pending", "succeeded", 60, {}};
    } else if (name == "refundFail") {
        card.refunds = {"succeeded", "failed", 60, "expired_or_canceled_card"};
    } else if (name == "createDispute") {
        card.disputed_for = "fraudulent";
    } else if (name == "createDisputeProductNotReceived") {
        card.disputed_for = "product_not_received";
    } else if (name == "createDisputeInquiry") {
        card.disputed_for = "fraudulent";
        card.inquiry = true;
    }
    return card;
}

// "processing", "processing:345600", "processing:345600:insufficient_funds"
std::optional<CardBehaviour> processing_of_word(std::string_view word) {
    CardBehaviour card = processing(-1);
    card.name = word;
    const std::size_t first = word.find(':');
    if (first == std::string_view::npos) {
        return card;
    }
    const std::size_t second = word.find(':', first + 1);
    const auto seconds = parse_integer(word.substr(first + 1, second - first - 1));
    if (!seconds || *seconds < 0) {
        return std::nullopt;
    }
    card.seconds = *seconds;
    if (second != std::string_view::npos) {
        card.fails_later = true;
        card.code = word.substr(second + 1);
        card.decline_code.clear();
    }
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
    if (code == "insufficient_funds" || code == "account_closed" || code == "no_account" ||
        code == "debit_not_authorized") {
        return "The customer's bank account could not be debited.";
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

}  // namespace

ChargeResult declined(std::string code, std::string decline_code) {
    ChargeResult result;
    result.message = message_of(code, decline_code);
    result.code = std::move(code);
    result.decline_code = std::move(decline_code);
    return result;
}

std::optional<CardBehaviour> card_of_token(std::string_view token) {
    constexpr std::string_view kPrefix = "pm_card_";
    constexpr std::string_view kBank = "pm_usBankAccount_";
    if (token.substr(0, kBank.size()) == kBank) {
        return bank_account_of_token(token.substr(kBank.size()));
    }
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
    return paying(name);
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
    if (word.substr(0, 10) == "processing" && (word.size() == 10 || word[10] == ':')) {
        return processing_of_word(word);
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
        case CardBehaviour::Does::kProcess:
            if (card.fails_later) {
                result = declined(card.code, card.decline_code);
            }
            result.processing = true;
            result.seconds = card.seconds;
            return result;
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

}  // namespace stripe_simulator
