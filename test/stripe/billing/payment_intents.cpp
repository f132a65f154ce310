#include <cctype>

#include "api/router.hpp"
#include "billing/intents.hpp"
#include "billing/lookup.hpp"
#include "billing/money.hpp"
#include "billing/payments.hpp"
#include "billing/render.hpp"

namespace stripe_simulator {

namespace {

PaymentIntent& need_intent(Call& call) {
    PaymentIntent& intent =
        need(call, &Account::payment_intents, "payment_intent", call.ids[0], "intent");
    const bool said = call.by_payer || call.params.has("client_secret");
    if (said && call.params.required("client_secret") != intent.client_secret) {
        throw invalid_request(
            "The client_secret provided does not match the client_secret associated with the "
            "PaymentIntent.",
            "client_secret", "payment_intent_invalid_parameter");
    }
    return intent;
}

// A browser sees less than the account does: not whose customer it is, no metadata, no charge.
Json render_for(const Call& call, const PaymentIntent& intent) {
    Json whole = render(call.account, intent);
    if (!call.by_payer) {
        return whole;
    }
    Json out = Json::object();
    for (const char* name : {"id",
                             "object",
                             "amount",
                             "automatic_payment_methods",
                             "canceled_at",
                             "cancellation_reason",
                             "capture_method",
                             "client_secret",
                             "confirmation_method",
                             "created",
                             "currency",
                             "description",
                             "last_payment_error",
                             "livemode",
                             "next_action",
                             "payment_method",
                             "payment_method_types",
                             "receipt_email",
                             "setup_future_usage",
                             "status"}) {
        out.set(name, Json::share(json_object_get(whole.node(), name)));
    }
    return out;
}

ApiError unexpected_state(Call& call, const PaymentIntent& intent, std::string_view verb,
                          std::string_view allowed) {
    ApiError error = invalid_request(
        "You cannot " + std::string(verb) + " this PaymentIntent because it has a status of " +
            intent.status + ". Only a PaymentIntent with one of the following statuses may be " +
            std::string(verb) + (verb.back() == 'e' ? "d: " : "ed: ") + std::string(allowed) + ".",
        {}, "payment_intent_unexpected_state");
    error.payment_intent = render_for(call, intent);
    return error;
}

std::int64_t read_amount(const Params& params, const char* name, std::string_view currency) {
    if (!params.has(name)) {
        throw missing_parameter(name);
    }
    const std::int64_t amount = params.integer(name).value_or(0);
    const auto refuse = [&](const std::string& message, const char* code) {
        throw invalid_request(message, name, code);
    };
    if (amount < minimum_charge(currency)) {
        // As observed: not amount_too_small, and before execution.
        refuse(amount < 1 ? "This value must be greater than or equal to 1."
                          : "Amount must be at least " + std::to_string(minimum_charge(currency)) +
                                " " + std::string(currency),
               "parameter_invalid_integer");
    }
    if (amount > maximum_charge(currency)) {
        refuse("Amount must be no more than " + std::to_string(maximum_charge(currency)) + " " +
                   std::string(currency),
               "amount_too_large");
    }
    if (amount % charge_step(currency) != 0) {
        refuse("Invalid integer: " + std::to_string(amount) + ". Amounts in " +
                   std::string(currency) + " must be multiples of " +
                   std::to_string(charge_step(currency)) + ".",
               "parameter_invalid_integer");
    }
    return amount;
}

std::string read_currency(const Params& params) {
    std::string currency(params.required("currency"));
    if (!is_currency(currency)) {
        throw invalid_request("Invalid currency: " + currency, "currency");
    }
    for (char& c : currency) {
        c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    return currency;
}

void read_method(Call& call, PaymentIntent& intent) {
    const std::string_view wanted = call.params.text("payment_method");
    if (wanted.empty()) {
        return;
    }
    PaymentMethod* method = call.account.payment_methods.find(wanted);
    if (method == nullptr && card_of_token(wanted)) {
        method = &make_payment_method(call.world, call.account, wanted, nullptr);
    }
    if (method == nullptr) {
        throw not_found(call, &Account::payment_methods, "PaymentMethod", wanted, "payment_method",
                        400);
    }
    intent.payment_method = method->id;
    if (intent.status == "requires_payment_method") {
        intent.status = "requires_confirmation";
    }
}

bool is_off_session(const Params& params) {
    const bool errors = params.flag("error_on_requires_action");
    return params.flag("off_session") || errors;
}

// What confirming refuses before anything is charged.
void check_confirmable(Call& call, const PaymentIntent& intent) {
    const Customer* customer = call.account.customers.find(intent.customer);
    const bool overridden =
        customer != nullptr && customer->billing && customer->billing->card_override.has_value();
    if (call.account.payment_methods.find(intent.payment_method) == nullptr && !overridden) {
        throw invalid_request(
            "You cannot confirm this PaymentIntent because it's missing a "
            "payment method.",
            {}, "payment_intent_unexpected_state");
    }
}

// A decline is an answer of 402 that carries the intent, which stays.
void confirm(Call& call, PaymentIntent& intent, bool off_session) {
    const PaymentMethod* method = call.account.payment_methods.find(intent.payment_method);
    const Customer* customer = call.account.customers.find(intent.customer);
    const ChargeResult result = charge(customer, method, intent.amount, intent.action_done);
    ChargeResult said = result;
    said.needs_action = result.needs_action && !(off_session && intent.invoice.empty());
    conclude(call.world, call.account, intent, said);
    if (!result.paid && !result.processing && (!result.needs_action || off_session)) {
        ApiError error = decline_error(result);
        error.payment_intent = render_for(call, intent);
        throw error;
    }
}

// Accounts that were never seen may be there: only what cannot be one is refused.
void read_account(const Params& params, const char* name, std::string& field) {
    if (!params.has(name)) {
        return;
    }
    field = params.text(name);
    if (field.rfind("acct_", 0) != 0 && !field.empty()) {
        throw no_such("destination", field, name, 400);
    }
}

void read_share(const Params& params, const char* name, std::int64_t& field, std::int64_t amount) {
    if (const auto share = params.integer(name)) {
        if (*share < 0 || *share > amount) {
            throw invalid_request("It must be between 0 and the amount of the PaymentIntent.", name,
                                  "parameter_invalid_integer");
        }
        field = *share;
    }
}

void read_fields(Call& call, PaymentIntent& intent) {
    const Params& params = call.params;
    const auto copy = [&](const char* name, std::string& field) {
        if (params.has(name)) {
            field = params.text(name);
        }
    };
    merge_metadata(intent.metadata, params);
    copy("description", intent.description);
    copy("receipt_email", intent.receipt_email);
    copy("statement_descriptor", intent.statement_descriptor);
    copy("statement_descriptor_suffix", intent.statement_descriptor_suffix);
    intent.setup_future_usage = params.choice(
        "setup_future_usage", {"off_session", "on_session", ""}, intent.setup_future_usage);
    copy("transfer_group", intent.transfer_group);
    read_account(params, "on_behalf_of", intent.on_behalf_of);
    read_account(params, "transfer_data[destination]", intent.transfer_destination);
    read_share(params, "transfer_data[amount]", intent.transfer_amount, intent.amount);
    read_share(params, "application_fee_amount", intent.application_fee_amount, intent.amount);
    if (!intent.receipt_email.empty() && intent.receipt_email.find('@') == std::string::npos) {
        throw invalid_request("Invalid email address: " + intent.receipt_email, "receipt_email",
                              "email_invalid");
    }
    if (params.has("customer")) {
        const Customer& customer =
            need(call, &Account::customers, "customer", params.text("customer"), "customer", 400);
        if (customer.deleted) {
            throw no_such("customer", customer.id, "customer", 400);
        }
        intent.customer = customer.id;
    }
}

void note_intent(Call& call, const PaymentIntent& intent) {
    call.note.object = intent.id;
    call.note.amount = intent.amount;
    call.note.currency = intent.currency;
}

std::string create_intent(Call& call) {
    const Params& params = call.params;
    if (call.at_least("2026-09-30") && params.has_below("payment_method_types")) {
        throw invalid_request("`payment_method_types` is no longer supported.",
                              "payment_method_types", "payment_method_types_no_longer_supported");
    }
    const std::string currency = read_currency(params);
    const std::int64_t amount = read_amount(params, "amount", currency);
    PaymentIntent draft;
    draft.amount = amount;
    draft.capture_method = params.choice(
        "capture_method", {"automatic", "automatic_async", "manual"}, "automatic_async");
    const bool confirms = params.flag("confirm");
    if (!confirms && (params.has("off_session") || params.has("error_on_requires_action"))) {
        throw invalid_request("The parameter off_session can only be passed when confirm=true.",
                              "off_session");
    }
    const bool off_session = is_off_session(params);
    read_fields(call, draft);
    draft.return_url = params.text("return_url");
    read_method(call, draft);
    if (confirms) {
        check_confirmable(call, draft);
    }
    PaymentIntent& intent = make_intent(call.world, call.account, amount, currency, draft.customer);
    draft.id = intent.id;
    draft.number = intent.number;
    draft.client_secret = intent.client_secret;
    draft.created = intent.created;
    draft.currency = intent.currency;
    intent = draft;
    note_intent(call, intent);
    emit_intent(call.world, call.account, intent, "payment_intent.created");
    if (confirms) {
        confirm(call, intent, off_session);
    }
    return answer(call, render(call.account, intent));
}

std::string update_intent(Call& call) {
    PaymentIntent& intent = need_intent(call);
    const bool other_money = call.params.has("amount") || call.params.has("currency");
    if (!is_unconfirmed(intent) && other_money) {
        throw unexpected_state(call, intent, "update",
                               "requires_payment_method, requires_confirmation, requires_action");
    }
    // A refused request changes nothing; the method comes last, as a token makes one.
    PaymentIntent draft = intent;
    if (call.params.has("currency")) {
        draft.currency = read_currency(call.params);
    }
    if (call.params.has("amount") || draft.currency != intent.currency) {
        draft.amount = read_amount(call.params, "amount", draft.currency);
    }
    read_fields(call, draft);
    read_method(call, draft);
    intent = draft;  // not moved: the store knows it by the very text of its id
    note_intent(call, intent);
    return answer(call, render(call.account, intent));
}

std::string confirm_intent(Call& call) {
    PaymentIntent& intent = need_intent(call);
    note_intent(call, intent);
    if (!is_unconfirmed(intent)) {
        throw unexpected_state(call, intent, "confirm",
                               "requires_payment_method, requires_confirmation, requires_action");
    }
    const bool off_session = is_off_session(call.params);
    PaymentIntent draft = intent;
    read_method(call, draft);
    check_confirmable(call, draft);
    if (call.params.has("return_url")) {
        draft.return_url = call.params.text("return_url");
    }
    draft.action_done = false;
    intent = draft;  // not moved: the store knows it by the very text of its id
    confirm(call, intent, off_session);
    return answer(call, render_for(call, intent));
}

std::string cancel_by_request(Call& call) {
    PaymentIntent& intent = need_intent(call);
    const std::string reason =
        call.params.choice("cancellation_reason",
                           {"duplicate", "fraudulent", "requested_by_customer", "abandoned"}, "");
    const bool in_time = intent.status == "processing" && intent.cancelable;
    if (!is_unconfirmed(intent) && intent.status != "requires_capture" && !in_time) {
        throw unexpected_state(call, intent, "cancel",
                               "requires_payment_method, requires_capture, "
                               "requires_confirmation, requires_action, processing");
    }
    note_intent(call, intent);
    cancel_intent(call.world, call.account, intent, reason);
    return answer(call, render(call.account, intent));
}

std::string capture_intent(Call& call) {
    PaymentIntent& intent = need_intent(call);
    if (intent.status != "requires_capture") {
        throw unexpected_state(call, intent, "capture", "requires_capture");
    }
    const std::int64_t amount =
        call.params.integer("amount_to_capture").value_or(intent.amount_capturable);
    if (amount < 1 || amount > intent.amount_capturable) {
        throw invalid_request("Amount to capture must be between 1 and the capturable amount.",
                              "amount_to_capture", "amount_too_large");
    }
    intent_captured(call.world, call.account, intent, amount);
    note_intent(call, intent);
    call.note.amount = amount;
    return answer(call, render(call.account, intent));
}

std::string retrieve_intent(Call& call) {
    return answer(call, render_for(call, need_intent(call)));
}

std::string list_intents(Call& call) {
    const std::string_view customer = call.params.text("customer");
    return answer(call,
                  list_objects<PaymentIntent>(
                      call, call.account.payment_intents, "payment_intent", "/v1/payment_intents",
                      [&](const PaymentIntent& intent) {
                          return customer.empty() || intent.customer == customer;
                      },
                      [&](PaymentIntent& intent) { return render(call.account, intent); }));
}

}  // namespace

void add_payment_intent_operations(Router& router) {
    const std::string fields =
        "amount customer description metadata[*] payment_method payment_method_types[] "
        "receipt_email statement_descriptor statement_descriptor_suffix setup_future_usage "
        "transfer_group application_fee_amount transfer_data[amount]";
    router.add("POST", "/v1/payment_intents", create_intent,
               fields +
                   " currency confirm off_session transfer_data[destination] "
                   "error_on_requires_action return_url "
                   "automatic_payment_methods[enabled] capture_method confirmation_method "
                   "automatic_payment_methods[allow_redirects] on_behalf_of "
                   "allowed_payment_method_types[] excluded_payment_method_types[]");
    router.add("POST", "/v1/payment_intents/{id}", update_intent, fields + " currency");
    router
        .add("POST", "/v1/payment_intents/{id}/confirm", confirm_intent,
             "payment_method off_session return_url error_on_requires_action mandate "
             "client_secret")
        .for_payers = true;
    router.add("POST", "/v1/payment_intents/{id}/cancel", cancel_by_request, "cancellation_reason");
    router.add("POST", "/v1/payment_intents/{id}/capture", capture_intent,
               "amount_to_capture final_capture");
    router.add("GET", "/v1/payment_intents/{id}", retrieve_intent, "client_secret").for_payers =
        true;
    router.add("GET", "/v1/payment_intents", list_intents,
               "customer" + std::string(kPageParameters));
}

}  // namespace stripe_simulator
