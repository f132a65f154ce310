#include "core/price.hpp"

#include "core/json.hpp"

#include <utility>

#include "core/facts.hpp"
#include "core/json_writer.hpp"

namespace pg_seats::core {
namespace {

constexpr std::size_t most_currencies = 200;

std::optional<std::vector<std::string>> read_currencies(JsonValue options) {
    if (!is_object(options)) {
        return std::nullopt;
    }
    std::vector<std::string> currencies;
    for (const JsonMember& option : members_of(options)) {
        if (is_fact(option.name) && currencies.size() < most_currencies) {
            currencies.emplace_back(option.name);
        }
    }
    return currencies;
}

}  // namespace

std::optional<PriceFacts> read_price(JsonValue price) {
    if (!is_object(price)) {
        return std::nullopt;
    }
    PriceFacts facts;
    facts.id = fact_member(price, "id");
    if (facts.id.empty()) {
        return std::nullopt;
    }
    // A plan says itself what a price says below `recurring`.
    const bool is_plan = text_member(price, "object") == "plan";
    const JsonValue recurring = is_plan ? price : member(price, "recurring");
    facts.currency = fact_member(price, "currency");
    facts.interval = fact_member(recurring, "interval");
    facts.interval_count = integer_member(recurring, "interval_count");
    facts.currencies = read_currencies(member(price, "currency_options"));
    facts.unit_amount = money_member(price, is_plan ? "amount" : "unit_amount");
    facts.active = bool_member(price, "active");
    facts.livemode = bool_member(price, "livemode");
    facts.metered = text_member(recurring, "usage_type") == "metered";
    return facts;
}

std::optional<PriceFacts> read_price(const ParsedBody& body) {
    const JsonValue root = body.root();
    return text_member(root, "object") == "price" ? read_price(root) : std::nullopt;
}

void append_price(std::string& out, const PriceFacts& facts) {
    ObjectWriter writer(out);
    writer.text("id", facts.id);
    writer.text("interval", facts.interval);
    writer.number("interval_count", facts.interval_count);
    writer.text("currency", facts.currency);
    if (facts.currencies) {
        std::string& list = writer.begin("currencies");
        list.push_back('[');
        for (const std::string& currency : *facts.currencies) {
            if (&currency != &facts.currencies->front()) {
                list.push_back(',');
            }
            append_text(list, currency);
        }
        list.push_back(']');
    } else {
        writer.null("currencies");
    }
    writer.number("unit_amount", facts.unit_amount);
    writer.boolean("active", facts.active);
    writer.boolean("livemode", facts.livemode);
    writer.boolean("metered", facts.metered);
    writer.end();
}

std::string to_json(const PriceFacts& facts) {
    std::string out;
    append_price(out, facts);
    return out;
}

void append_prices(std::string& out, const std::vector<PriceFacts>& prices) {
    out.push_back('[');
    for (const PriceFacts& price : prices) {
        if (&price != &prices.front()) {
            out.push_back(',');
        }
        append_price(out, price);
    }
    out.push_back(']');
}

}  // namespace pg_seats::core
