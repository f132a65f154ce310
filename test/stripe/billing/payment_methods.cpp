#include "api/router.hpp"
#include "billing/lookup.hpp"
#include "billing/payments.hpp"
#include "billing/render.hpp"

namespace stripe_simulator {

namespace {

std::string create_method(Call& call) {
    const std::string type = call.params.choice("type", {"card"}, "card");
    // Real card numbers are not simulated: card[token] and card[number] name a visa that pays,
    // but for the numbers that Stripe documents as failing later.
    const std::string_view number = call.params.text("card[number]");
    std::string_view token = "pm_card_visa";
    if (number == "4000000000000341") {
        token = "pm_card_chargeCustomerFail";
    } else if (number == "4000000000000002") {
        token = "pm_card_visa_chargeDeclined";
    } else if (number == "4000000000009995") {
        token = "pm_card_visa_chargeDeclinedInsufficientFunds";
    } else if (number == "4000002760003184" || number == "4000002500003155") {
        token = "pm_card_authenticationRequired";
    }
    PaymentMethod& method = make_payment_method(call.world, call.account, token, nullptr);
    if (number.size() > 4) {
        method.last4 = number.substr(number.size() - 4);
    }
    merge_metadata(method.metadata, call.params);
    call.note.object = method.id;
    return answer(call, render(call.account, method));
}

std::string attach_method(Call& call) {
    Customer& customer = need(call, &Account::customers, "customer",
                              call.params.required("customer"), "customer", 400);
    PaymentMethod* method = call.account.payment_methods.find(call.ids[0]);
    if (method == nullptr && card_of_token(call.ids[0])) {
        method = &make_payment_method(call.world, call.account, call.ids[0], &customer);
    } else if (method == nullptr) {
        throw not_found(call, &Account::payment_methods, "PaymentMethod", call.ids[0],
                        "payment_method", 404);
    } else {
        if (method->card.refuses_attach) {
            throw decline_error(charge(nullptr, method, 0, false));
        }
        method->customer = customer.id;
        call.world.emit(call.account, "payment_method.attached",
                        [&](std::string_view) { return render(call.account, *method); });
    }
    call.note.object = method->id;
    return answer(call, render(call.account, *method));
}

std::string detach_method(Call& call) {
    PaymentMethod& method =
        need(call, &Account::payment_methods, "PaymentMethod", call.ids[0], "payment_method");
    if (Customer* customer = call.account.customers.find(method.customer);
        customer != nullptr && customer->billing &&
        customer->billing->default_payment_method == method.id) {
        customer->billing->default_payment_method.clear();
    }
    method.customer.clear();
    call.note.object = method.id;
    call.world.emit(call.account, "payment_method.detached",
                    [&](std::string_view) { return render(call.account, method); });
    return answer(call, render(call.account, method));
}

std::string retrieve_method(Call& call) {
    return answer(call, render(call.account, need(call, &Account::payment_methods, "PaymentMethod",
                                                  call.ids[0], "payment_method")));
}

std::string list_methods(Call& call) {
    const std::string_view customer = call.params.text("customer");
    return answer(call,
                  list_objects<PaymentMethod>(
                      call, call.account.payment_methods, "PaymentMethod", "/v1/payment_methods",
                      [&](const PaymentMethod& method) {
                          return customer.empty() || method.customer == customer;
                      },
                      [&](PaymentMethod& method) { return render(call.account, method); }));
}

}  // namespace

void add_payment_method_operations(Router& router) {
    const std::string page(kPageParameters);
    router.add("POST", "/v1/payment_methods", create_method,
               "type card[number] card[exp_month] card[exp_year] card[cvc] card[token] "
               "metadata[*] billing_details[email] billing_details[name]");
    router.add("POST", "/v1/payment_methods/{id}/attach", attach_method, "customer");
    router.add("POST", "/v1/payment_methods/{id}/detach", detach_method, "");
    router.add("GET", "/v1/payment_methods/{id}", retrieve_method, "");
    router.add("GET", "/v1/payment_methods", list_methods, "customer type" + page);
}

}  // namespace stripe_simulator
