// Refunds, and the charges they go back to.

#include "api/router.hpp"
#include "billing/disputes.hpp"
#include "billing/lookup.hpp"
#include "billing/money.hpp"
#include "billing/refunding.hpp"
#include "billing/render.hpp"

namespace stripe_simulator {

namespace {

Charge& charge_to_refund(Call& call) {
    const Params& params = call.params;
    if (params.has("charge")) {
        return need(call, &Account::charges, "charge", params.text("charge"), "charge", 400);
    }
    const PaymentIntent& intent = need(call, &Account::payment_intents, "payment_intent",
                                       params.required("payment_intent"), "payment_intent", 400);
    Charge* charge = call.account.charges.find(intent.latest_charge);
    if (charge == nullptr || intent.status != "succeeded") {
        throw invalid_request(
            "This PaymentIntent (" + intent.id + ") does not have a successful charge to refund.",
            "payment_intent", "payment_intent_unexpected_state");
    }
    return *charge;
}

std::string create_refund(Call& call) {
    Charge& charge = charge_to_refund(call);
    const std::int64_t left = charge.amount_captured - charge.amount_refunded;
    if (is_charged_back(call.account, charge)) {
        throw invalid_request(
            "Charge " + charge.id + " has been charged back; cannot issue a refund.", {},
            "charge_disputed");
    }
    if (left <= 0) {
        throw invalid_request("Charge " + charge.id + " has already been refunded.", {},
                              "charge_already_refunded");
    }
    const std::int64_t amount = call.params.integer("amount").value_or(left);
    if (amount % charge_step(charge.currency) != 0) {
        throw invalid_request("Invalid integer: " + std::to_string(amount), "amount",
                              "parameter_invalid_integer");
    }
    if (amount < 1 || amount > left) {
        throw invalid_request("Refund amount (" + std::to_string(amount) +
                                  ") is greater than unrefunded amount on charge (" +
                                  std::to_string(left) + ")",
                              "amount");
    }
    Refund fresh;
    merge_metadata(fresh.metadata, call.params);
    fresh.reason =
        call.params.choice("reason", {"duplicate", "fraudulent", "requested_by_customer"}, "");
    fresh.amount = amount;
    if (call.params.flag("reverse_transfer")) {
        if (!charge.has_transfer) {
            throw invalid_request("Cannot reverse a transfer on a charge that has none.",
                                  "reverse_transfer");
        }
        fresh.transfer_reversal = call.world.ids().make("trr_1", 23);
    }
    if (call.params.flag("refund_application_fee") && charge.application_fee_amount == 0) {
        throw invalid_request("There is no application fee on charge " + charge.id + ".",
                              "refund_application_fee");
    }
    const Refund& refund = make_refund(call.world, call.account, charge, std::move(fresh));
    call.note.object = refund.id;
    call.note.amount = amount;
    call.note.currency = refund.currency;
    return answer(call, render(call.account, refund));
}

std::string retrieve_refund(Call& call) {
    return answer(call, render(call.account, need(call, &Account::refunds, "refund", call.ids[0])));
}

std::string list_refunds(Call& call) {
    const Params& params = call.params;
    return answer(
        call, list_objects<Refund>(
                  call, call.account.refunds, "refund", "/v1/refunds",
                  [&](const Refund& refund) {
                      return (!params.has("charge") || refund.charge == params.text("charge")) &&
                             (!params.has("payment_intent") ||
                              refund.payment_intent == params.text("payment_intent"));
                  },
                  [&](Refund& refund) { return render(call.account, refund); }));
}

std::string retrieve_charge(Call& call) {
    return answer(call, render(call.account, need(call, &Account::charges, "charge", call.ids[0])));
}

std::string list_charges(Call& call) {
    const Params& params = call.params;
    return answer(call, list_objects<Charge>(
                            call, call.account.charges, "charge", "/v1/charges",
                            [&](const Charge& charge) {
                                return (!params.has("customer") ||
                                        charge.customer == params.text("customer")) &&
                                       (!params.has("payment_intent") ||
                                        charge.payment_intent == params.text("payment_intent"));
                            },
                            [&](Charge& charge) { return render(call.account, charge); }));
}

}  // namespace

void add_refund_operations(Router& router) {
    const std::string page(kPageParameters);
    router.add("POST", "/v1/refunds", create_refund,
               "charge payment_intent amount reason metadata[*] refund_application_fee "
               "reverse_transfer");
    router.add("GET", "/v1/refunds/{id}", retrieve_refund, "");
    router.add("GET", "/v1/refunds", list_refunds, "charge payment_intent" + page);
    router.add("GET", "/v1/charges/{id}", retrieve_charge, "");
    router.add("GET", "/v1/charges", list_charges, "customer payment_intent" + page);
}

}  // namespace stripe_simulator
