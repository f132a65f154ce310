#include "api/router.hpp"
#include "billing/lookup.hpp"
#include "billing/payments.hpp"
#include "billing/render.hpp"

namespace stripe_simulator {

namespace {

Customer& need_customer(Call& call) {
    return need(call, &Account::customers, "customer", call.ids[0]);
}

// previous_attributes by hand: this is the path that benchmarks load.
void previous_text(std::string& out, const char* name, std::string_view before,
                   std::string_view after) {
    if (before == after) {
        return;
    }
    out.append(out.empty() ? "{\"" : ",\"").append(name).append("\":");
    if (before.empty()) {
        out.append("null");
    } else {
        append_json_string(out, before);
    }
}

void use_default_method(Call& call, Customer& customer) {
    constexpr const char* kParam = "invoice_settings[default_payment_method]";
    if (!call.params.has(kParam)) {
        return;
    }
    const std::string_view id = call.params.text(kParam);
    if (id.empty()) {
        customer.bill().default_payment_method.clear();
        return;
    }
    PaymentMethod* method = call.account.payment_methods.find(id);
    if (method == nullptr && card_of_token(id)) {
        method = &make_payment_method(call.world, call.account, id, &customer);
    }
    if (method == nullptr) {
        throw not_found(call, &Account::payment_methods, "PaymentMethod", id, kParam, 400);
    }
    if (method->customer != customer.id) {
        throw invalid_request("The customer does not have a payment method with the ID " +
                                  std::string(id) +
                                  ". The payment method must be attached to the customer.",
                              kParam, "resource_missing");
    }
    customer.bill().default_payment_method = method->id;
}

void read_fields(Call& call, Customer& customer) {
    const Params& params = call.params;
    for (const auto& [name, value] : params.fields()) {
        if (name == "email") {
            customer.email = value;
        } else if (name == "name") {
            customer.name = value;
        } else if (name == "description") {
            customer.description = value;
        }
    }
    merge_metadata(customer.metadata, params);
    if (const auto balance = params.integer("balance")) {
        customer.bill().balance = *balance;
    }
}

std::string create_customer(Call& call) {
    Customer fresh;
    fresh.id = call.world.ids().make("cus_", 14);
    fresh.created = call.world.now();
    read_fields(call, fresh);
    // The card may be refused, which leaves no customer behind.
    const std::string_view token = call.params.text("payment_method");
    // The token's second mention means the same card.
    const bool is_default = call.params.text("invoice_settings[default_payment_method]") == token;
    if (token.empty() || !is_default) {
        use_default_method(call, fresh);
    }
    if (!token.empty()) {
        PaymentMethod* method = call.account.payment_methods.find(token);
        if (method == nullptr) {
            method = &make_payment_method(call.world, call.account, token, &fresh);
        } else if (method->card.refuses_attach) {
            throw decline_error(charge(nullptr, method, 0, false));
        }
        method->customer = fresh.id;
        if (is_default) {
            fresh.bill().default_payment_method = method->id;
        }
    }
    Customer& customer = call.account.customers.add(std::move(fresh));
    call.note.object = customer.id;
    std::string text = customer_text(call.account, customer);
    call.world.emit_text(call.account, "customer.created", text, {});
    return call.params.has_below("expand") ? answer(call, Json::parse(text)) : text;
}

std::string update_customer(Call& call) {
    Customer& customer = need_customer(call);
    if (customer.deleted) {
        throw no_such("customer", customer.id, "id", 404);
    }
    const std::string email = customer.email;
    const std::string name = customer.name;
    const std::string description = customer.description;
    const Metadata metadata = customer.metadata;
    const std::int64_t balance = customer.billing ? customer.billing->balance : 0;
    // A refused request changes nothing: what it says is read into a draft first.
    Customer draft = customer.draft();
    read_fields(call, draft);
    use_default_method(call, customer);
    read_fields(call, customer);
    call.note.object = customer.id;
    std::string text = customer_text(call.account, customer);
    std::string previous;
    previous_text(previous, "email", email, customer.email);
    previous_text(previous, "name", name, customer.name);
    previous_text(previous, "description", description, customer.description);
    if (customer.billing && customer.billing->balance != balance) {
        previous.append(previous.empty() ? "{" : ",");
        previous.append("\"balance\":").append(std::to_string(balance));
    }
    if (metadata != customer.metadata) {
        previous.append(previous.empty() ? "{" : ",").append("\"metadata\":");
        previous.append(
            difference(render_metadata(metadata).node(), render_metadata(customer.metadata).node())
                .dump());
    }
    if (!previous.empty()) {
        previous.push_back('}');
        call.world.emit_text(call.account, "customer.updated", text, previous);
    }
    return call.params.has_below("expand") ? answer(call, Json::parse(text)) : text;
}

std::string retrieve_customer(Call& call) {
    return answer(call, render(call.account, need_customer(call)));
}

std::string delete_customer(Call& call) {
    Customer& customer = need_customer(call);
    customer.deleted = true;
    call.note.object = customer.id;
    call.world.emit_text(call.account, "customer.deleted", customer_text(call.account, customer),
                         {});
    return customer_text(call.account, customer);
}

std::string list_customers(Call& call) {
    const std::string_view email = call.params.text("email");
    return answer(call, list_objects<Customer>(
                            call, call.account.customers, "customer", "/v1/customers",
                            [&](const Customer& customer) {
                                return !customer.deleted &&
                                       (email.empty() || customer.email == email);
                            },
                            [&](Customer& customer) { return render(call.account, customer); }));
}

std::string list_customer_methods(Call& call) {
    const Customer& customer = need_customer(call);
    return answer(call,
                  list_objects<PaymentMethod>(
                      call, call.account.payment_methods, "PaymentMethod",
                      "/v1/customers/" + customer.id + "/payment_methods",
                      [&](const PaymentMethod& method) { return method.customer == customer.id; },
                      [&](PaymentMethod& method) { return render(call.account, method); }));
}

}  // namespace

void add_customer_operations(Router& router) {
    const std::string fields =
        "email name description balance phone metadata[*] invoice_prefix tax_exempt "
        "invoice_settings[default_payment_method] preferred_locales[] next_invoice_sequence "
        "address[*] shipping[name] shipping[phone] validate";
    const std::string page(kPageParameters);
    router.add("POST", "/v1/customers", create_customer, fields + " payment_method test_clock");
    router.add("POST", "/v1/customers/{id}", update_customer, fields);
    router.add("GET", "/v1/customers/{id}", retrieve_customer, "");
    router.add("DELETE", "/v1/customers/{id}", delete_customer, "");
    router.add("GET", "/v1/customers", list_customers, "email" + page);
    router.add("GET", "/v1/customers/{id}/payment_methods", list_customer_methods, "type" + page);
}

}  // namespace stripe_simulator
