#include <algorithm>

#include "billing/lookup.hpp"
#include "billing/render.hpp"

namespace stripe_simulator {

Json render(const Account& account, const InvoiceLine& line, const Invoice& invoice) {
    Json out = Json::object();
    out.set("id", line.id).set("object", "line_item").set("amount", line.amount);
    out.set("currency", invoice.currency).set_or_null("description", line.description);
    out.set("discountable", !line.proration).set("invoice", invoice.id);
    out.set("livemode", account.livemode).set("metadata", Json::object());
    Json details = Json::object();
    details.set_or_null("invoice_item", line.invoice_item).set("proration", line.proration);
    details.set("proration_details", Json::object().set("credited_items", nullptr));
    details.set_or_null("subscription", invoice.subscription);
    details.set_or_null("subscription_item", line.item);
    Json parent = Json::object();
    parent.set("invoice_item_details", nullptr);
    parent.set("subscription_item_details", details).set("type", "subscription_item_details");
    out.set("parent", parent);
    out.set("period", Json::object().set("start", line.period_start).set("end", line.period_end));
    Json price = Json::object();
    price.set("price", line.price->id).set("product", line.price->product);
    Json pricing = Json::object();
    pricing.set("price_details", price).set("type", "price_details");
    pricing.set("unit_amount_decimal", line.price->unit_decimal);
    out.set("pricing", pricing).set("proration", line.proration);
    return out.set("quantity", line.quantity);
}

namespace {

void render_taxes(Json& out, const Invoice& invoice) {
    Json taxes = Json::array();
    if (invoice.is_taxed) {
        Json tax = Json::object();
        tax.set("amount", invoice.tax).set("tax_behavior", "exclusive");
        tax.set("tax_rate_details", Json::object().set("tax_rate", "txr_simulator"));
        tax.set("taxability_reason", "standard_rated").set("taxable_amount", invoice.subtotal);
        taxes.push(tax.set("type", "tax_rate_details"));
    }
    Json automatic = Json::object();
    automatic.set("disabled_reason", nullptr).set("enabled", false).set("liability", nullptr);
    out.set("automatic_tax", automatic.set("provider", nullptr).set("status", nullptr));
    out.set("subtotal_excluding_tax", invoice.subtotal);
    out.set("total_excluding_tax", invoice.subtotal).set("total_taxes", taxes);
}

}  // namespace

Json render(const Account& account, const Invoice& invoice, std::string_view version) {
    const auto or_null = [](std::int64_t value) {
        return value != 0 ? Json::of(value) : Json::null();
    };
    const Invoice& i = invoice;
    Json out = Json::object();
    if (!i.id.empty()) {
        out.set("id", i.id);
    }
    const bool paid = i.status == "paid";
    const std::int64_t remaining = paid ? 0 : i.amount_due - i.amount_paid;
    out.set("object", "invoice").set("amount_due", i.amount_due);
    out.set("amount_paid", i.amount_paid).set("amount_remaining", remaining);
    out.set("attempt_count", i.attempt_count).set("attempted", i.attempt_count > 0 || paid);
    out.set("auto_advance", i.auto_advance && i.status == "open");
    out.set("billing_reason", i.billing_reason).set("collection_method", i.collection_method);
    out.set("created", i.created).set("currency", i.currency).set("customer", i.customer->id);
    out.set("due_date", or_null(i.due_date));
    // What will be left of the balance is said when the invoice is final.
    out.set("ending_balance", i.finalized_at != 0 ? Json::of(i.ending_balance) : Json::null());
    const bool hosted = !i.id.empty();
    out.set_or_null("hosted_invoice_url",
                    hosted ? "https://invoice.stripe.com/i/" + account.id + "/" + i.id : "");
    Json lines = Json::array();
    for (const InvoiceLine& line : i.lines) {
        lines.push(render(account, line, i));
    }
    out.set("lines", make_list("/v1/invoices/" + i.id + "/lines", lines, false));
    out.set("livemode", account.livemode).set("metadata", render_metadata(i.metadata));
    out.set_or_null("number", i.invoice_number);
    if (i.subscription.empty()) {
        out.set("parent", nullptr);
    } else {
        Json details = Json::object();
        details.set("metadata", render_metadata(i.subscription_metadata));
        details.set("subscription", i.subscription);
        Json parent = Json::object();
        parent.set("quote_details", nullptr).set("subscription_details", details);
        out.set("parent", parent.set("type", "subscription_details"));
    }
    if (before_basil(version)) {
        out.set("paid", paid).set_or_null("payment_intent", i.payment_intent);
        out.set_or_null("subscription", i.subscription);
    }
    out.set("period_end", i.period_end).set("period_start", i.period_start);
    out.set("starting_balance", i.starting_balance).set("status", i.status);
    Json transitions = Json::object();
    transitions.set("finalized_at", or_null(i.finalized_at));
    transitions.set("marked_uncollectible_at", nullptr).set("paid_at", or_null(i.paid_at));
    transitions.set("voided_at", or_null(i.voided_at));
    out.set("status_transitions", transitions).set("subtotal", i.subtotal).set("total", i.total);
    if (!before_basil(version)) {
        render_taxes(out, i);
    }
    return out;
}

Json render_invoice_payments(const Account& account, const Invoice& invoice) {
    Json data = Json::array();
    if (!invoice.payment_intent.empty()) {
        const bool paid = invoice.status == "paid";
        Json payment = Json::object();
        payment.set("payment_intent", invoice.payment_intent).set("type", "payment_intent");
        Json out = Json::object();
        out.set("id", "inpay_" + invoice.payment_intent.substr(3)).set("object", "invoice_payment");
        if (paid) {
            out.set("amount_paid", invoice.amount_paid);
        } else {
            out.set("amount_paid", nullptr);
        }
        out.set("amount_requested", invoice.amount_due).set("created", invoice.created);
        out.set("currency", invoice.currency).set("invoice", invoice.id).set("is_default", true);
        out.set("livemode", account.livemode).set("payment", payment);
        out.set("status", paid ? "paid" : invoice.status == "void" ? "canceled" : "open");
        data.push(out);
    }
    return make_list("/v1/invoice_payments?invoice=" + invoice.id, data, false);
}

Json render_by_id(const Account& account, std::string_view id, std::string_view version) {
    if (const auto* found = account.customers.find(id)) {
        return render(account, *found);
    }
    if (const auto* found = account.subscriptions.find(id)) {
        return render(account, *found, version);
    }
    if (const auto* found = account.invoices.find(id)) {
        return render(account, *found, version);
    }
    if (const auto* found = account.payment_intents.find(id)) {
        return render(account, *found);
    }
    if (const auto* found = account.payment_methods.find(id)) {
        return render(account, *found);
    }
    if (const auto* found = account.charges.find(id)) {
        return render(account, *found);
    }
    if (const auto* found = account.refunds.find(id)) {
        return render(account, *found);
    }
    if (const auto* found = account.disputes.find(id)) {
        return render(account, *found);
    }
    if (const auto* found = account.prices.find(id)) {
        return render(account, *found);
    }
    if (const auto* found = account.products.find(id)) {
        return render(account, *found);
    }
    return {};
}

namespace {

ApiError cannot_expand(std::string_view property) {
    return invalid_request("This property cannot be expanded (" + std::string(property) + ").",
                           "expand");
}

Json render_currency_options(const Price& price) {
    Json options = Json::object();
    std::vector<std::string> currencies = price.other_currencies;
    currencies.push_back(price.currency);
    std::sort(currencies.begin(), currencies.end());
    for (const std::string& currency : currencies) {
        Json option = Json::object();
        option.set("custom_unit_amount", nullptr).set("tax_behavior", "unspecified");
        option.set("unit_amount_decimal", price.unit_decimal);
        options.set(currency.c_str(), option);
    }
    return options;
}

// Fields that an answer has only when they are asked for.
Json includable(const Account& account, const json_t* object, std::string_view field) {
    if (text_at(object, "object") == "price" && field == "currency_options") {
        const Price* price = account.prices.find(text_at(object, "id"));
        return price == nullptr ? Json::null() : render_currency_options(*price);
    }
    if (text_at(object, "object") != "invoice") {
        return {};
    }
    const Invoice* invoice = account.invoices.find(text_at(object, "id"));
    if (invoice == nullptr) {
        return Json::null();
    }
    if (field == "payments") {
        return render_invoice_payments(account, *invoice);
    }
    if (field == "confirmation_secret") {
        const PaymentIntent* intent = account.payment_intents.find(invoice->payment_intent);
        if (intent == nullptr) {
            return Json::null();
        }
        return Json::object()
            .set("client_secret", intent->client_secret)
            .set("type", "payment_intent");
    }
    return {};
}

void expand_path(const Account& account, json_t* node, std::string_view path,
                 std::string_view whole, std::string_view version) {
    if (json_is_array(node)) {
        std::size_t index = 0;
        json_t* element = nullptr;
        json_array_foreach(node, index, element) {
            expand_path(account, element, path, whole, version);
        }
        return;
    }
    if (!json_is_object(node) || path.empty()) {
        return;
    }
    const std::size_t dot = path.find('.');
    const std::string field(path.substr(0, dot));
    const std::string_view rest =
        dot == std::string_view::npos ? std::string_view() : path.substr(dot + 1);
    json_t* value = json_object_get(node, field.c_str());
    if (value == nullptr) {
        Json added = includable(account, node, field);
        if (!added) {
            throw cannot_expand(whole);
        }
        json_object_set_new(node, field.c_str(), added.release());
    } else if (json_is_string(value)) {
        Json object =
            render_by_id(account, {json_string_value(value), json_string_length(value)}, version);
        if (!object) {
            throw cannot_expand(whole);
        }
        json_object_set_new(node, field.c_str(), object.release());
    }
    expand_path(account, json_object_get(node, field.c_str()), rest, whole, version);
}

// Members such as those that are not simulated, a line of an invoice each time.
constexpr std::size_t bytes_of_a_line = 800;

Json filling(std::size_t lines) {
    Json list = Json::array();
    for (std::size_t i = 0; i < lines; ++i) {
        Json line = Json::object();
        for (const char* name : {"discount_amounts", "pretax_credit_amounts", "tax_amounts"}) {
            line.set(name, Json::array());
        }
        for (const char* name : {"invoice_item", "proration_details", "subscription_item",
                                 "tax_rates", "unified_proration", "unit_amount_excluding_tax"}) {
            line.set(name, nullptr);
        }
        line.set("id", "il_1Pgc6B2eZvKYlo2C" + std::to_string(i)).set("object", "line_item");
        line.set("amount", 1000 + static_cast<std::int64_t>(i)).set("currency", "usd");
        line.set("description", "Remaining time on 12 \u00d7 Team (at $10.00 / month)");
        line.set("discountable", false).set("livemode", false).set("proration", true);
        line.set("url", "https://invoice.stripe.com/i/acct_1032D82eZvKYlo2C/test_YWNjdF8xMDMy");
        list.push(line);
    }
    return list;
}

}  // namespace

void expand(const Account& account, Json& object, const std::vector<std::string_view>& paths,
            std::string_view version) {
    for (const std::string_view path : paths) {
        if (std::count(path.begin(), path.end(), '.') > 3) {
            throw invalid_request("You cannot expand more than 4 levels of a property. Property: " +
                                      std::string(path),
                                  "expand");
        }
        expand_path(account, object.node(), path, path, version);
    }
}

std::string answer(Call& call, Json object) {
    expand(call.account, object, call.params.list("expand"), call.version);
    const std::size_t bytes = call.world.options().answer_bytes;
    if (bytes == 0) {
        return object.dump();
    }
    constexpr std::size_t indent = 2;
    const std::size_t size = object.dump(indent).size();
    // (Below the invoice most of what an answer to a change says is.)
    json_t* const invoice = json_object_get(object.node(), "latest_invoice");
    json_t* const filled = json_is_object(invoice) ? invoice : object.node();
    if (size < bytes) {
        json_object_set_new(filled, "lines_as_stripe_has_them",
                            filling((bytes - size) / bytes_of_a_line).release());
    }
    return object.dump(indent);
}

}  // namespace stripe_simulator
