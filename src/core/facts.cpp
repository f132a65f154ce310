#include "core/facts.hpp"

#include "core/json.hpp"

#include <algorithm>

#include "core/ascii.hpp"
#include "core/json_writer.hpp"
#include "core/safe_text.hpp"
#include "core/secrets.hpp"

namespace pg_seats::core {
namespace {

bool is_control(char c) noexcept {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

std::string fact_of(std::string_view text, std::size_t limit = longest_fact) {
    return is_fact(text, limit) ? std::string(text) : std::string();
}

std::string id_of(JsonValue value) {
    return fact_of(is_object(value) ? text_member(value, "id") : text_of(value));
}

// What a browser may be sent to. A backslash is a slash to some readers and none to others, and a
// user before the host makes any host look like another.
bool is_page(std::string_view url) {
    if (!is_fact(url, longest_url) ||
        url.find_first_of(" \"'<>\\^`{|}") != std::string_view::npos ||
        !std::all_of(url.begin(), url.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x80; })) {
        return false;
    }
    constexpr std::string_view tls = "https://";
    constexpr std::string_view plain = "http://";
    const bool encrypted = url.starts_with(tls);
    if (!encrypted && !url.starts_with(plain)) {
        return false;
    }
    url.remove_prefix(encrypted ? tls.size() : plain.size());
    const std::string_view authority = url.substr(0, url.find_first_of("/?#"));
    const std::string_view host = authority.substr(0, authority.find(':'));
    return !host.empty() && authority.find('@') == std::string_view::npos &&
           (encrypted || host == "127.0.0.1" || host == "localhost");
}

bool is_metered(JsonValue item) {
    constexpr std::string_view usage = "usage_type";
    return text_member(member(member(item, "price"), "recurring"), usage) == "metered" ||
           text_member(member(item, "plan"), usage) == "metered";
}

JsonValue price_of(JsonValue item) {
    return member(item, has_member(item, "price") ? "price" : "plan");
}

void add_price(std::vector<PriceFacts>& prices, JsonValue item) {
    std::optional<PriceFacts> price = read_price(price_of(item));
    if (price && std::ranges::find(prices, price->id, &PriceFacts::id) == prices.end()) {
        prices.push_back(std::move(*price));
    }
}

// An element without an id cannot be addressed, and one of another kind is none of ours.
std::optional<ItemFacts> read_item(JsonValue element) {
    if (has_member(element, "object") && text_member(element, "object") != "subscription_item") {
        return std::nullopt;
    }
    ItemFacts item;
    item.id = fact_member(element, "id");
    if (item.id.empty()) {
        return std::nullopt;
    }
    item.price = id_member(element, "price");
    if (item.price.empty()) {
        item.price = id_member(element, "plan");
    }
    item.quantity = integer_member(element, "quantity");
    item.metered = is_metered(element);
    return item;
}

}  // namespace

bool is_fact(std::string_view text, std::size_t limit) {
    if (text.size() > limit || std::any_of(text.begin(), text.end(), is_control) ||
        !is_valid_utf8(text)) {
        return false;
    }
    return !has_secret(text);
}

std::string fact_member(JsonValue object, std::string_view name) {
    return fact_of(text_member(object, name));
}

std::string foreign_member(JsonValue object, std::string_view name) {
    std::string fact = fact_member(object, name);
    return safe_text(fact, longest_fact) == fact ? fact : std::string();
}

std::string marker_member(JsonValue object) {
    return foreign_member(member(object, "metadata"), "pg_seats");
}

std::string id_member(JsonValue object, std::string_view name) {
    return id_of(member(object, name));
}

std::optional<std::int64_t> integer_member(JsonValue object, std::string_view name) {
    return integer_of(member(object, name));
}

std::optional<std::int64_t> money_member(JsonValue object, std::string_view name) {
    constexpr std::int64_t most = 1'000'000'000'000'000;
    const std::optional<std::int64_t> amount = integer_member(object, name);
    return amount && *amount >= -most && *amount <= most ? amount : std::nullopt;
}

std::string currency_member(JsonValue object) {
    return lower(fact_member(object, "currency"));
}

std::optional<std::int64_t> time_member(JsonValue object, std::string_view name) {
    constexpr std::int64_t end_of_9999 = 253'402'300'799;
    const std::optional<std::int64_t> time = integer_member(object, name);
    return time && *time >= 0 && *time <= end_of_9999 ? time : std::nullopt;
}

Elements first_elements(JsonValue array) {
    Elements first{.values = elements_of(array, most_elements + 1)};
    if (first.values.size() > most_elements) {
        first.values.pop_back();
        first.is_cut = true;
    }
    return first;
}

std::optional<ListPage> read_list_page(JsonValue list) {
    const JsonValue data = array_of_list(list);
    if (!data) {
        return std::nullopt;
    }
    auto [elements, is_cut] = first_elements(data);
    ListPage page;
    page.elements = std::move(elements);
    page.has_more = bool_member(list, "has_more").value_or(false) || is_cut;
    page.last_id = page.elements.empty() ? std::string() : fact_member(page.elements.back(), "id");
    return page;
}

Items read_items(JsonValue array) {
    const auto [elements, is_cut] = first_elements(array);
    Items result;
    result.complete = is_array(array) && !is_cut;
    result.items.reserve(elements.size());
    for (const JsonValue element : elements) {
        if (std::optional<ItemFacts> item = read_item(element)) {
            result.items.push_back(std::move(*item));
            add_price(result.prices, element);
        } else {
            result.complete = false;
        }
    }
    return result;
}

void append_items(std::string& out, const std::vector<ItemFacts>& items, bool with_metered) {
    out.push_back('[');
    for (const ItemFacts& item : items) {
        if (&item != &items.front()) {
            out.push_back(',');
        }
        ObjectWriter writer(out);
        writer.text("id", item.id);
        writer.text("price", item.price);
        writer.number("quantity", item.quantity);
        if (with_metered) {
            writer.boolean("metered", item.metered);
        }
        writer.end();
    }
    out.push_back(']');
}

std::optional<InvoiceFacts> read_invoice(JsonValue invoice) {
    InvoiceFacts facts;
    facts.id = id_of(invoice);
    if (facts.id.empty()) {
        return std::nullopt;
    }
    facts.status = fact_member(invoice, "status");
    facts.currency = currency_member(invoice);
    facts.billing_reason = fact_member(invoice, "billing_reason");
    facts.total = money_member(invoice, "total");
    facts.amount_due = money_member(invoice, "amount_due");
    facts.amount_paid = money_member(invoice, "amount_paid");
    facts.created = time_member(invoice, "created");
    if (const std::string_view url = text_member(invoice, "hosted_invoice_url"); is_page(url)) {
        facts.url = url;
    }
    return facts;
}

void append_invoice(std::string& out, const InvoiceFacts& invoice, bool with_billing_reason) {
    ObjectWriter writer(out);
    writer.text("id", invoice.id);
    writer.text("status", invoice.status);
    writer.text("url", invoice.url, longest_url);
    writer.number("total", invoice.total);
    writer.number("amount_due", invoice.amount_due);
    writer.number("amount_paid", invoice.amount_paid);
    writer.text("currency", invoice.currency);
    if (with_billing_reason) {
        writer.text("billing_reason", invoice.billing_reason);
    }
    writer.end();
}

std::string to_json(const InvoiceFacts& invoice, bool made_by_call) {
    std::string out;
    ObjectWriter writer(out);
    writer.text("id", invoice.id);
    writer.text("currency", invoice.currency);
    writer.number("total", invoice.total);
    writer.number("amount_due", invoice.amount_due);
    writer.number("amount_paid", invoice.amount_paid);
    writer.text("status", invoice.status);
    writer.boolean("made_by_call", made_by_call);
    writer.end();
    return out;
}

}  // namespace pg_seats::core
