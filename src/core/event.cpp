#include "core/event.hpp"

#include "core/json.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "core/ascii.hpp"
#include "core/contains.hpp"
#include "core/json_writer.hpp"

namespace pg_seats::core {
namespace {

constexpr std::string_view a_subscription = "subscription";
constexpr std::string_view an_invoice = "invoice";
constexpr std::string_view a_payment_intent = "payment_intent";

constexpr std::array<std::string_view, 3> objects_of_intents{"charge", "refund", "dispute"};

constexpr std::size_t uuid_length = 36;
constexpr std::size_t hash_length = 32;
constexpr std::size_t longest_attempt = 9;  // digits

// As we write it: digits and a to f, with the hyphens of a uuid or without any.
bool is_hexadecimal(std::string_view text, bool with_hyphens) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool is_hyphens_place =
            with_hyphens && (i == 8 || i == 13 || i == 18 || i == 23);  // 8-4-4-4-12
        const bool fits = is_hyphens_place
                              ? text[i] == '-'
                              : is_digit(text[i]) || (text[i] >= 'a' && text[i] <= 'f');
        if (!fits) {
            return false;
        }
    }
    return true;
}

std::string hexadecimal_member(JsonValue object, std::string_view name, std::size_t length,
                               bool with_hyphens) {
    const std::string_view text = text_member(object, name);
    return text.size() == length && is_hexadecimal(text, with_hyphens) ? std::string(text)
                                                                       : std::string();
}

// Very old versions had the request's id in its place.
void read_request(EventFacts& facts, JsonValue owner) {
    const JsonValue request = member(owner, "request");
    facts.request_id = id_member(owner, "request");
    facts.idempotency_key = foreign_member(request, "idempotency_key");
}

std::string subscription_of(const EventFacts& facts, JsonValue object) {
    if (facts.object_type == a_subscription) {
        return facts.object_id;
    }
    if (facts.object_type != an_invoice) {
        return {};
    }
    std::string id = id_member(object, "subscription");
    if (id.empty()) {
        id = id_member(member(member(object, "parent"), "subscription_details"), "subscription");
    }
    return id;
}

std::string payment_intent_of(const EventFacts& facts, JsonValue object) {
    if (facts.object_type == a_payment_intent) {
        return facts.object_id;
    }
    return contains(objects_of_intents, facts.object_type) ? id_member(object, "payment_intent")
                                                           : std::string();
}

void read_previous(EventFacts& facts, JsonValue previous) {
    facts.previous_status = fact_member(previous, "status");
    const JsonValue items = member(member(previous, "items"), "data");
    if (is_array(items)) {
        facts.previous_items = read_items(items).items;
    }
}

std::optional<PaymentIntentFacts> read_payment_intent(JsonValue object) {
    PaymentIntentFacts facts;
    facts.id = fact_member(object, "id");
    if (facts.id.empty()) {
        return std::nullopt;
    }
    facts.status = fact_member(object, "status");
    facts.currency = currency_member(object);
    facts.amount = money_member(object, "amount");
    facts.amount_received = money_member(object, "amount_received");
    facts.created = time_member(object, "created");
    facts.operation = marker_member(object);
    return facts;
}

void append_payment_intent(std::string& out, const PaymentIntentFacts& facts) {
    ObjectWriter writer(out);
    writer.text("id", facts.id);
    writer.text("status", facts.status);
    writer.number("amount", facts.amount);
    writer.number("amount_received", facts.amount_received);
    writer.text("currency", facts.currency);
    writer.number("created", facts.created);
    writer.text("operation", facts.operation);
    writer.end();
}

void read_snapshot(EventFacts& facts, JsonValue event) {
    const JsonValue data = member(event, "data");
    const JsonValue object = member(data, "object");
    facts.object_type = fact_member(object, "object");
    facts.object_id = fact_member(object, "id");
    facts.customer = id_member(object, "customer");
    facts.subscription_id = subscription_of(facts, object);
    facts.payment_intent_id = payment_intent_of(facts, object);
    facts.marks = payment_marks(object);
    facts.subscription = read_subscription(object);
    if (facts.object_type == an_invoice) {
        facts.invoice = read_invoice(object);
    } else if (facts.object_type == a_payment_intent) {
        facts.payment_intent = read_payment_intent(object);
    }
    read_previous(facts, member(data, "previous_attributes"));
    read_request(facts, event);
}

void read_thin(EventFacts& facts, JsonValue event) {
    const JsonValue related = member(event, "related_object");
    facts.object_type = fact_member(related, "type");
    facts.object_id = fact_member(related, "id");
    facts.subscription_id = facts.object_type == a_subscription ? facts.object_id : std::string();
    facts.payment_intent_id =
        facts.object_type == a_payment_intent ? facts.object_id : std::string();
    read_request(facts, member(event, "reason"));
}

// Every member is written, null where there is nothing.
template <typename Value, typename Append>
void append_if(ObjectWriter& writer, std::string_view name, const std::optional<Value>& value,
               const Append& append) {
    if (value) {
        append(writer.begin(name), *value);
    } else {
        writer.null(name);
    }
}

}  // namespace

PaymentMarks payment_marks(JsonValue object) {
    const JsonValue metadata = member(object, "metadata");
    PaymentMarks marks;
    marks.installation = hexadecimal_member(metadata, "pg_seats_installation", uuid_length, true);
    marks.hash = hexadecimal_member(metadata, "pg_seats_member", hash_length, false);
    const std::string_view digits = text_member(metadata, "pg_seats_attempt");
    if (!digits.empty() && digits.size() <= longest_attempt &&
        std::ranges::all_of(digits, is_digit)) {
        std::int64_t attempt = 0;
        std::from_chars(digits.data(), digits.data() + digits.size(), attempt);
        marks.attempt = attempt;
    }
    return marks;
}

std::optional<EventFacts> read_event(const ParsedBody& body) {
    return read_event(body.root());
}

std::optional<EventFacts> read_event(JsonValue event) {
    const std::string_view kind = text_member(event, "object");
    EventFacts facts;
    facts.thin = kind == "v2.core.event";
    facts.id = fact_member(event, "id");
    facts.type = fact_member(event, "type");
    if ((kind != "event" && !facts.thin) || facts.id.empty() || facts.type.empty()) {
        return std::nullopt;
    }
    facts.created = time_member(event, "created");
    facts.livemode = bool_member(event, "livemode");
    facts.account = id_member(event, "account");
    if (facts.account.empty() && has_member(event, "account")) {
        return std::nullopt;  // whose it is must not be guessed
    }
    facts.api_version = fact_member(event, "api_version");
    if (facts.thin) {
        read_thin(facts, event);
    } else {
        read_snapshot(facts, event);
    }
    return facts;
}

std::string to_json(const EventFacts& facts) {
    std::string out;
    ObjectWriter writer(out);
    writer.text("id", facts.id);
    writer.text("type", facts.type);
    writer.number("created", facts.created);
    writer.boolean("livemode", facts.livemode);
    writer.text("account", facts.account);
    writer.text("api_version", facts.api_version);
    writer.boolean("thin", facts.thin);
    writer.text("idempotency_key", facts.idempotency_key);
    writer.text("request_id", facts.request_id);
    writer.text("object_type", facts.object_type);
    writer.text("object_id", facts.object_id);
    writer.text("customer", facts.customer);
    writer.text("subscription_id", facts.subscription_id);
    writer.text("payment_intent_id", facts.payment_intent_id);
    writer.text("installation", facts.marks.installation);
    writer.text("hash", facts.marks.hash);
    writer.number("attempt", facts.marks.attempt);
    append_if(writer, "subscription", facts.subscription,
              [](std::string& to, const SubscriptionFacts& value) { to.append(to_json(value)); });
    append_if(writer, "previous_items", facts.previous_items,
              [](std::string& to, const std::vector<ItemFacts>& value) {
                  append_items(to, value, true);
              });
    writer.text("previous_status", facts.previous_status);
    append_if(writer, "invoice", facts.invoice,
              [](std::string& to, const InvoiceFacts& value) { append_invoice(to, value, true); });
    append_if(writer, "payment_intent", facts.payment_intent, append_payment_intent);
    writer.end();
    return out;
}

std::optional<EventPage> read_event_page(const ParsedBody& body) {
    std::optional<ListPage> list = read_list_page(body.root());
    if (!list) {
        return std::nullopt;
    }
    EventPage page;
    page.has_more = list->has_more;
    page.last_id = std::move(list->last_id);
    for (const JsonValue element : list->elements) {
        if (std::optional<EventFacts> event = read_event(element)) {
            page.events.push_back(std::move(*event));
        }
    }
    return page;
}

}  // namespace pg_seats::core
