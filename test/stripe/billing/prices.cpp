// Products and prices.

#include "api/router.hpp"
#include "billing/lookup.hpp"
#include "billing/money.hpp"
#include "billing/render.hpp"

namespace stripe_simulator {

namespace {

Product& add_product(Call& call, std::string_view id, std::string_view name) {
    Product product;
    product.id = id.empty() ? call.world.ids().make("prod_", 14) : std::string(id);
    if (call.account.products.find(product.id) != nullptr) {
        throw invalid_request("Product already exists.", "id", "resource_already_exists");
    }
    product.created = call.world.now();
    product.name = name;
    return call.account.products.add(std::move(product));
}

std::string create_product(Call& call) {
    const std::string_view name = call.params.required("name");
    Metadata metadata;
    merge_metadata(metadata, call.params);
    Product& product = add_product(call, call.params.text("id"), name);
    product.metadata = std::move(metadata);
    product.description = call.params.text("description");
    product.active = call.params.flag("active", true);
    call.note.object = product.id;
    call.world.emit(call.account, "product.created",
                    [&](std::string_view) { return render(call.account, product); });
    return answer(call, render(call.account, product));
}

std::string update_product(Call& call) {
    Product& product = need(call, &Account::products, "product", call.ids[0]);
    const Json before = render(call.account, product);
    merge_metadata(product.metadata, call.params);
    if (call.params.has("name")) {
        product.name = call.params.required("name");
    }
    if (call.params.has("description")) {
        product.description = call.params.text("description");
    }
    product.active = call.params.flag("active", product.active);
    call.note.object = product.id;
    const Json after = render(call.account, product);
    call.world.emit(
        call.account, "product.updated", [&](std::string_view) { return after; },
        difference(before.node(), after.node()));
    return answer(call, after);
}

std::string retrieve_product(Call& call) {
    return answer(call,
                  render(call.account, need(call, &Account::products, "product", call.ids[0])));
}

std::string list_products(Call& call) {
    return answer(call, list_objects<Product>(
                            call, call.account.products, "product", "/v1/products",
                            [&](const Product& product) {
                                return product.active == call.params.flag("active", product.active);
                            },
                            [&](Product& product) { return render(call.account, product); }));
}

std::string create_price(Call& call) {
    const Params& params = call.params;
    Price price;
    const std::string_view currency = params.required("currency");
    if (!is_currency(currency)) {
        throw invalid_request("Invalid currency: " + std::string(currency), "currency");
    }
    for (const char c : currency) {
        price.currency.push_back(static_cast<char>(c | 0x20));
    }
    if (params.has("unit_amount")) {
        const std::int64_t amount = *params.integer("unit_amount");
        if (amount < 0) {
            throw invalid_request("Invalid non-negative integer", "unit_amount",
                                  "parameter_invalid_integer");
        }
        price.unit_decimal = std::to_string(amount);
    } else {
        price.unit_decimal = params.required("unit_amount_decimal");
    }
    const auto unit = parse_decimal(price.unit_decimal);
    if (!unit) {
        throw invalid_request("Invalid decimal: " + price.unit_decimal, "unit_amount_decimal");
    }
    price.unit_pico = *unit;
    if (params.has_below("recurring")) {
        price.interval = params.choice("recurring[interval]", {"day", "week", "month", "year"}, "");
        if (price.interval.empty()) {
            throw missing_parameter("recurring[interval]");
        }
        price.interval_count = params.integer("recurring[interval_count]").value_or(1);
        if (price.interval_count < 1) {
            throw invalid_request("This value must be greater than or equal to 1.",
                                  "recurring[interval_count]", "parameter_invalid_integer");
        }
        price.metered = params.choice("recurring[usage_type]", {"licensed", "metered"},
                                      "licensed") == "metered";
    }
    merge_metadata(price.metadata, params);
    price.nickname = params.text("nickname");
    price.lookup_key = params.text("lookup_key");
    price.active = params.flag("active", true);
    price.created = call.world.now();
    if (params.has("product")) {
        price.product =
            need(call, &Account::products, "product", params.text("product"), "product", 400).id;
    } else {
        price.product = add_product(call, {}, params.required("product_data[name]")).id;
    }
    price.id = call.world.ids().make("price_1", 23);
    const Price& kept = call.account.prices.add(std::move(price));
    call.note.object = kept.id;
    call.world.emit(call.account, "price.created",
                    [&](std::string_view) { return render(call.account, kept); });
    return answer(call, render(call.account, kept));
}

std::string update_price(Call& call) {
    Price& price = need(call, &Account::prices, "price", call.ids[0]);
    const Json before = render(call.account, price);
    merge_metadata(price.metadata, call.params);
    price.active = call.params.flag("active", price.active);
    if (call.params.has("nickname")) {
        price.nickname = call.params.text("nickname");
    }
    if (call.params.has("lookup_key")) {
        price.lookup_key = call.params.text("lookup_key");
    }
    call.note.object = price.id;
    const Json after = render(call.account, price);
    call.world.emit(
        call.account, "price.updated", [&](std::string_view) { return after; },
        difference(before.node(), after.node()));
    return answer(call, after);
}

std::string retrieve_price(Call& call) {
    return answer(call, render(call.account, need(call, &Account::prices, "price", call.ids[0])));
}

std::string list_prices(Call& call) {
    const Params& params = call.params;
    const auto keys = params.list("lookup_keys");
    return answer(call, list_objects<Price>(
                            call, call.account.prices, "price", "/v1/prices",
                            [&](const Price& price) {
                                bool wanted = price.active == params.flag("active", price.active) &&
                                              (!params.has("product") ||
                                               price.product == params.text("product"));
                                bool listed = keys.empty();
                                for (const std::string_view key : keys) {
                                    listed = listed || price.lookup_key == key;
                                }
                                wanted = wanted && listed;
                                return wanted;
                            },
                            [&](Price& price) { return render(call.account, price); }));
}

}  // namespace

void add_price_operations(Router& router) {
    const std::string page(kPageParameters);
    router.add("POST", "/v1/products", create_product,
               "id name description active metadata[*] url tax_code");
    router.add("POST", "/v1/products/{id}", update_product,
               "name description active metadata[*] url tax_code");
    router.add("GET", "/v1/products/{id}", retrieve_product, "");
    router.add("GET", "/v1/products", list_products, "active" + page);
    router.add("POST", "/v1/prices", create_price,
               "currency unit_amount unit_amount_decimal recurring[interval] "
               "recurring[interval_count] recurring[usage_type] product product_data[name] "
               "nickname lookup_key active metadata[*] tax_behavior billing_scheme");
    router.add("POST", "/v1/prices/{id}", update_price,
               "nickname lookup_key active metadata[*] tax_behavior");
    router.add("GET", "/v1/prices/{id}", retrieve_price, "");
    router.add("GET", "/v1/prices", list_prices,
               "active product currency type lookup_keys[]" + page);
}

}  // namespace stripe_simulator
