// Control over objects: what a card does now, and subscriptions made in bulk.

#include "control/objects.hpp"
#include "billing/lookup.hpp"
#include "billing/money.hpp"
#include "billing/payments.hpp"
#include "billing/render.hpp"
#include "billing/subscription_change.hpp"
#include "control/control.hpp"

namespace stripe_simulator {

Account& Control::account_of(const Asked& asked) {
    return parts_.world.account(text_at(asked.raw(), "account", parts_.access.first_account()),
                                flag_at(asked.raw(), "livemode"));
}

Json Control::customer(const Asked& asked) {
    auto [account, customer] = find_anywhere(parts_.world, &Account::customers, asked.path[1]);
    if (has(asked.raw(), "card")) {
        const std::string word(text_at(asked.raw(), "card"));
        if (word == "none") {
            customer->bill().card_override.reset();
        } else {
            const auto card = card_of_word(word);
            if (!card) {
                throw invalid_request("Unknown card behaviour: " + word, "card");
            }
            customer->bill().card_override = card;
        }
    }
    if (has(asked.raw(), "balance")) {
        customer->bill().balance = integer_at(asked.raw(), "balance");
    }
    const CustomerBilling& billing = customer->bill();
    Json out = Json::object();
    out.set("customer", render(*account, *customer));
    if (billing.card_override) {
        out.set("card", billing.card_override->name);
    } else {
        out.set("card", nullptr);
    }
    return out;
}

// The price that is named, or a new one; its amount is for new ones only.
Price& price_of(World& world, Account& account, const json_t* given, const std::string& currency) {
    const std::string id(text_at(given, "price", "price_seed"));
    if (Price* known = account.prices.find(id)) {
        return *known;
    }
    Price price;
    price.id = id;
    price.created = world.now();
    price.product = "prod_" + id;
    price.currency = currency;
    price.interval = text_at(given, "interval", "month");
    price.interval_count = integer_at(given, "interval_count", 1);
    price.active = !flag_at(given, "archived");
    std::size_t index = 0;
    json_t* other = nullptr;
    json_array_foreach(json_object_get(given, "currencies"), index, other) {
        price.other_currencies.emplace_back(json_string_value(other));
    }
    price.unit_decimal = std::to_string(integer_at(given, "unit_amount", 1000));
    price.unit_pico = parse_decimal(price.unit_decimal).value_or(0);
    if (account.products.find(price.product) == nullptr) {
        Product product;
        product.id = price.product;
        product.name = id;
        product.created = world.now();
        account.products.add(std::move(product));
    }
    return account.prices.add(std::move(price));
}

Subscription subscription_to_seed(const json_t* raw, const std::string& id, Customer& customer,
                                  std::int64_t now) {
    Subscription seed;
    seed.id = id;
    seed.customer = &customer;
    seed.created = now;
    seed.anchor = now;
    seed.status = text_at(raw, "status", "active");
    seed.currency = text_at(raw, "currency", "usd");
    seed.billing_mode = text_at(raw, "billing_mode", "flexible");
    seed.collection_method = text_at(raw, "collection_method", "charge_automatically");
    seed.days_until_due = integer_at(raw, "days_until_due", 30);
    seed.tax_percent = integer_at(raw, "tax_percent");
    const std::int64_t trial_days = integer_at(raw, "trial_days");
    if (trial_days > 0) {
        seed.status = "trialing";
        seed.trial_start = now;
        seed.trial_end = now + trial_days * 86400;
    }
    return seed;
}

std::vector<Item> items_to_seed(World& world, Account& account, const json_t* raw,
                                const Subscription& seed, const std::string& id_prefix,
                                const std::string& suffix) {
    const bool on_trial = seed.trial_end > 0;
    std::vector<Item> items;
    std::size_t index = 0;
    json_t* given = nullptr;
    json_array_foreach(json_object_get(raw, "items"), index, given) {
        const Price* price = &price_of(world, account, given, seed.currency);
        Item item;
        item.id = std::string(text_at(given, "id", id_prefix + std::to_string(index))) + suffix;
        item.price = price;
        item.quantity = integer_at(given, "quantity", 1);
        item.created = world.now();
        item.anchor = on_trial ? seed.trial_end : world.now();
        item.period_start = world.now();
        item.period_end = on_trial
                              ? seed.trial_end
                              : add_interval(item.anchor, price->interval, price->interval_count);
        items.push_back(std::move(item));
    }
    if (items.empty()) {
        throw missing_parameter("items");
    }
    return items;
}

// Many ready subscriptions at once, without ledger rows, events or invoices.
Json Control::seed_subscriptions(const Asked& asked) {
    World& world = parts_.world;
    Account& account = account_of(asked);
    const json_t* raw = asked.raw();
    const std::string id(text_at(raw, "id", "sub_seed"));
    const std::int64_t count = integer_at(raw, "count", 1);
    const bool many = has(raw, "count");
    const std::string card(text_at(raw, "card", "ok"));
    if (!card_of_word(card)) {
        throw invalid_request("Unknown card behaviour: " + card, "card");
    }
    Json made = Json::array();
    for (std::int64_t n = 1; n <= count; ++n) {
        const std::string suffix = many ? "_" + std::to_string(n) : "";
        if (account.subscriptions.find(id + suffix) != nullptr) {
            throw invalid_request("There is a subscription " + id + suffix, "id",
                                  "resource_already_exists");
        }
        const std::string customer_id = std::string(text_at(raw, "customer", "cus_" + id)) + suffix;
        Customer* customer = account.customers.find(customer_id);
        if (customer == nullptr) {
            Customer fresh;
            fresh.id = customer_id;
            fresh.created = world.now();
            customer = &account.customers.add(std::move(fresh));
        }
        customer->bill().card_override = card_of_word(card);
        Subscription fresh = subscription_to_seed(raw, id + suffix, *customer, world.now());
        std::vector<Item> items =
            items_to_seed(world, account, raw, fresh, "si_" + id + "_", suffix);
        Subscription& subscription = account.subscriptions.add(std::move(fresh));
        set_items(world, account, subscription, std::move(items));
        if (n <= 100) {
            made.push(render(account, subscription, world.options().default_version));
        }
    }
    return Json::object().set("made", count).set("subscriptions", made);
}

}  // namespace stripe_simulator
