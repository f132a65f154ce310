#include "billing/render.hpp"

#include <algorithm>

#include "billing/lookup.hpp"

namespace stripe_simulator {

std::string customer_text(const Account& account, const Customer& customer) {
    // By hand, because engine tests and benchmarks ask for tens of thousands a second.
    std::string out;
    out.reserve(640);
    const auto text_or_null = [&out](const char* name, std::string_view value) {
        out.append(name);
        if (value.empty()) {
            out.append("null");
        } else {
            append_json_string(out, value);
        }
    };
    out.append("{\"id\":");
    append_json_string(out, customer.id);
    out.append(",\"object\":\"customer\"");
    if (customer.deleted) {
        return out.append(",\"deleted\":true}");
    }
    const CustomerBilling* billing = customer.billing.get();
    out.append(",\"address\":null,\"balance\":");
    out.append(std::to_string(billing != nullptr ? billing->balance : 0));
    out.append(",\"created\":").append(std::to_string(customer.created));
    text_or_null(",\"currency\":", billing != nullptr ? billing->currency : std::string());
    out.append(",\"default_source\":null,\"delinquent\":");
    out.append(billing != nullptr && billing->delinquent ? "true" : "false");
    text_or_null(",\"description\":", customer.description);
    out.append(",\"discount\":null");
    text_or_null(",\"email\":", customer.email);
    out.append(",\"invoice_settings\":{\"custom_fields\":null");
    text_or_null(",\"default_payment_method\":",
                 billing != nullptr ? billing->default_payment_method : std::string());
    out.append(",\"footer\":null,\"rendering_options\":null},\"livemode\":");
    out.append(account.livemode ? "true" : "false").append(",\"metadata\":{");
    bool first = true;
    for (const auto& [key, value] : customer.metadata) {
        out.append(first ? "" : ",");
        first = false;
        append_json_string(out, key);
        out.push_back(':');
        append_json_string(out, value);
    }
    out.push_back('}');
    text_or_null(",\"name\":", customer.name);
    out.append(
        ",\"phone\":null,\"preferred_locales\":[],\"shipping\":null,"
        "\"tax_exempt\":\"none\",\"test_clock\":null}");
    return out;
}

Json render(const Account& account, const Customer& customer) {
    return Json::parse(customer_text(account, customer));
}

Json render(const Account& account, const Product& product) {
    Json out = Json::object();
    out.set("id", product.id).set("object", "product").set("active", product.active);
    out.set("created", product.created).set_or_null("description", product.description);
    out.set("livemode", account.livemode).set("metadata", render_metadata(product.metadata));
    return out.set("name", product.name).set("type", "service");
}

Json render(const Account& account, const Price& price) {
    Json out = Json::object();
    out.set("id", price.id).set("object", "price").set("active", price.active);
    out.set("billing_scheme", "per_unit").set("created", price.created);
    out.set("currency", price.currency).set("livemode", account.livemode);
    out.set_or_null("lookup_key", price.lookup_key);
    out.set("metadata", render_metadata(price.metadata));
    out.set_or_null("nickname", price.nickname).set("product", price.product);
    if (price.interval.empty()) {
        out.set("recurring", nullptr).set("type", "one_time");
    } else {
        Json recurring = Json::object();
        recurring.set("interval", price.interval).set("interval_count", price.interval_count);
        recurring.set("meter", nullptr).set("trial_period_days", nullptr);
        recurring.set("usage_type", price.metered ? "metered" : "licensed");
        out.set("recurring", recurring).set("type", "recurring");
    }
    out.set("tax_behavior", "unspecified").set("tiers_mode", nullptr);
    out.set("transform_quantity", nullptr);
    // A price finer than the minor unit has only the decimal form.
    const auto whole = parse_integer(price.unit_decimal);
    if (whole) {
        out.set("unit_amount", *whole);
    } else {
        out.set("unit_amount", nullptr);
    }
    return out.set("unit_amount_decimal", price.unit_decimal);
}

Json render(const Account& account, const PaymentMethod& method) {
    Json out = Json::object();
    out.set("id", method.id).set("object", "payment_method").set("allow_redisplay", "unspecified");
    if (method.card.type != "card") {
        out.set("created", method.created).set_or_null("customer", method.customer);
        out.set("livemode", account.livemode).set("metadata", render_metadata(method.metadata));
        out.set(method.card.type.c_str(), Json::object().set("last4", "6789"));
        return out.set("type", method.card.type);
    }
    Json card = Json::object();
    card.set("brand", method.brand).set("country", "US").set("exp_month", 12);
    card.set("exp_year", 2035).set("funding", "credit").set("last4", method.last4);
    out.set("card", card).set("created", method.created);
    out.set_or_null("customer", method.customer).set("livemode", account.livemode);
    return out.set("metadata", render_metadata(method.metadata)).set("type", "card");
}

Json render(const Account& account, const Item& item, std::string_view subscription,
            std::string_view version) {
    Json out = Json::object();
    out.set("id", item.id).set("object", "subscription_item").set("created", item.created);
    if (!before_basil(version)) {
        out.set("current_period_end", item.period_end);
        out.set("current_period_start", item.period_start);
    }
    out.set("discounts", Json::array()).set("metadata", render_metadata(item.metadata));
    out.set("price", render(account, *item.price));
    if (!item.price->metered) {
        out.set("quantity", item.quantity);
    }
    return out.set("subscription", subscription).set("tax_rates", Json::array());
}

namespace {

Json render_pending(const Account& account, const Subscription& subscription,
                    std::string_view version) {
    if (!subscription.pending_update) {
        return Json::null();
    }
    const PendingUpdate& pending = *subscription.pending_update;
    Json items = Json::array();
    for (const Item& item : pending.items) {
        if (std::find(pending.changed.begin(), pending.changed.end(), item.id) !=
            pending.changed.end()) {
            items.push(render(account, item, subscription.id, version));
        }
    }
    Json out = Json::object();
    out.set("billing_cycle_anchor", nullptr).set("expires_at", pending.expires_at);
    if (version.substr(0, 10) >= "2026-05-27") {
        out.set("metadata",
                pending.has_metadata ? render_metadata(pending.metadata) : Json::null());
    }
    out.set("subscription_items", items);
    return out.set("trial_end", nullptr).set("trial_from_plan", nullptr);
}

Json or_null(std::int64_t value) {
    return value != 0 ? Json::of(value) : Json::null();
}

}  // namespace

Json render(const Account& account, const Subscription& subscription, std::string_view version) {
    const Subscription& s = subscription;
    Json out = Json::object();
    out.set("id", s.id).set("object", "subscription").set("application", nullptr);
    out.set("automatic_tax", Json::object().set("enabled", false));
    out.set("billing_cycle_anchor", s.anchor);
    out.set("billing_mode", Json::object().set("type", s.billing_mode));
    out.set("cancel_at", or_null(s.cancel_at)).set("cancel_at_period_end", s.cancel_at_period_end);
    out.set("canceled_at", or_null(s.canceled_at)).set("collection_method", s.collection_method);
    out.set("created", s.created).set("currency", s.currency);
    if (before_basil(version)) {
        out.set("current_period_end", s.period_end());
        out.set("current_period_start", s.period_start());
    }
    out.set("customer", s.customer->id).set("days_until_due", or_null(s.days_until_due));
    out.set_or_null("default_payment_method", s.default_payment_method);
    out.set_or_null("description", s.description).set("discounts", Json::array());
    out.set("ended_at", or_null(s.ended_at));
    // Like Stripe, an answer carries the first ten items; the rest is paged.
    Json data = Json::array();
    for (std::size_t i = 0; i < s.items.size() && i < 10; ++i) {
        data.push(render(account, s.items[i], s.id, version));
    }
    Json items = Json::object();
    items.set("object", "list").set("data", data).set("has_more", s.items.size() > 10);
    items.set("total_count", s.items.size());
    items.set("url", "/v1/subscription_items?subscription=" + s.id);
    out.set("items", items).set_or_null("latest_invoice", s.latest_invoice);
    out.set("livemode", account.livemode).set("metadata", render_metadata(s.metadata));
    out.set("pause_collection", s.pause_collection);
    out.set("pending_update", render_pending(account, s, version));
    out.set_or_null("schedule", s.schedule).set("start_date", s.created);
    out.set("status", s.status).set("test_clock", nullptr);
    return out.set("trial_end", or_null(s.trial_end)).set("trial_start", or_null(s.trial_start));
}

Json render(const Account& account, const PaymentIntent& intent) {
    Json out = Json::object();
    out.set("id", intent.id).set("object", "payment_intent").set("amount", intent.amount);
    out.set("amount_capturable", intent.amount_capturable);
    out.set("amount_received", intent.amount_received);
    Json automatic = Json::object();
    automatic.set("allow_redirects", "always").set("enabled", intent.invoice.empty());
    out.set("automatic_payment_methods", automatic);
    out.set("canceled_at", or_null(intent.canceled_at));
    out.set_or_null("cancellation_reason", intent.cancellation_reason);
    out.set("capture_method", intent.capture_method).set("client_secret", intent.client_secret);
    out.set("confirmation_method", intent.confirmation_method).set("created", intent.created);
    out.set("currency", intent.currency).set_or_null("customer", intent.customer);
    out.set_or_null("description", intent.description);
    out.set("last_payment_error", intent.last_payment_error);
    out.set_or_null("latest_charge", intent.latest_charge).set("livemode", account.livemode);
    out.set("metadata", render_metadata(intent.metadata));
    if (intent.status == "requires_action") {
        Json action = Json::object();
        if (intent.return_url.empty()) {
            action.set("type", "use_stripe_sdk").set("use_stripe_sdk", Json::object());
        } else {
            Json redirect = Json::object();
            redirect.set("return_url", intent.return_url);
            redirect.set("url", "https://hooks.stripe.com/redirect/authenticate/" + intent.id);
            action.set("redirect_to_url", redirect).set("type", "redirect_to_url");
        }
        out.set("next_action", action);
    } else {
        out.set("next_action", nullptr);
    }
    out.set_or_null("payment_method", intent.payment_method);
    out.set("payment_method_types", Json::array().push("card"));
    out.set_or_null("receipt_email", intent.receipt_email);
    out.set_or_null("setup_future_usage", intent.setup_future_usage);
    out.set_or_null("statement_descriptor", intent.statement_descriptor);
    out.set_or_null("statement_descriptor_suffix", intent.statement_descriptor_suffix);
    out.set_or_null("on_behalf_of", intent.on_behalf_of);
    out.set("application_fee_amount", or_null(intent.application_fee_amount));
    if (intent.transfer_destination.empty()) {
        out.set("transfer_data", nullptr);
    } else {
        Json transfer = Json::object();
        if (intent.transfer_amount != 0) {
            transfer.set("amount", intent.transfer_amount);
        }
        out.set("transfer_data", transfer.set("destination", intent.transfer_destination));
    }
    return out.set("status", intent.status).set_or_null("transfer_group", intent.transfer_group);
}

Json render(const Account& account, const Charge& charge) {
    Json out = Json::object();
    out.set("id", charge.id).set("object", "charge").set("amount", charge.amount);
    out.set("amount_captured", charge.amount_captured);
    out.set("amount_refunded", charge.amount_refunded).set("captured", charge.captured);
    out.set("created", charge.created).set("currency", charge.currency);
    out.set_or_null("customer", charge.customer).set("disputed", charge.disputed);
    out.set_or_null("failure_code", charge.failure_code);
    out.set_or_null("failure_message", charge.failure_message).set("livemode", account.livemode);
    out.set("metadata", render_metadata(charge.metadata)).set("paid", charge.status == "succeeded");
    out.set_or_null("payment_intent", charge.payment_intent);
    out.set_or_null("payment_method", charge.payment_method);
    out.set("refunded", charge.amount_refunded >= charge.amount);
    if (charge.application_fee_amount != 0) {
        out.set("application_fee_amount", charge.application_fee_amount);
    }
    return out.set("status", charge.status);
}

Json render(const Account&, const Refund& refund) {
    Json out = Json::object();
    out.set("id", refund.id).set("object", "refund").set("amount", refund.amount);
    out.set_or_null("charge", refund.charge).set("created", refund.created);
    out.set("currency", refund.currency).set("metadata", render_metadata(refund.metadata));
    out.set_or_null("payment_intent", refund.payment_intent);
    out.set_or_null("reason", refund.reason).set("status", refund.status);
    if (!refund.failure_reason.empty()) {
        out.set("failure_reason", refund.failure_reason);
    }
    return out.set_or_null("transfer_reversal", refund.transfer_reversal);
}

Json render(const Account& account, const Dispute& dispute) {
    Json out = Json::object();
    out.set("id", dispute.id).set("object", "dispute").set("amount", dispute.amount);
    out.set("charge", dispute.charge).set("created", dispute.created);
    out.set("currency", dispute.currency).set("is_charge_refundable", dispute.is_inquiry());
    out.set("livemode", account.livemode).set("metadata", render_metadata(dispute.metadata));
    out.set_or_null("payment_intent", dispute.payment_intent).set("reason", dispute.reason);
    return out.set("status", dispute.status);
}

}  // namespace stripe_simulator
