#include "core/payment_facts.hpp"

#include <algorithm>

#include "core/ascii.hpp"
#include "core/json.hpp"

#include "core/json_writer.hpp"

namespace pg_seats::core {
namespace {

// As SQL casts it without an error.
std::optional<std::int64_t> number_in(std::string_view text) {
    constexpr std::size_t most_digits = 9;
    if (text.empty() || text.size() > most_digits || !std::ranges::all_of(text, is_digit)) {
        return std::nullopt;
    }
    return std::stoll(std::string(text));
}

std::string uuid_in(std::string_view text) {
    constexpr std::string_view form = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    const auto fits = [](char c, char wanted) {
        return wanted == '-' ? c == '-' : is_digit(c) || (c >= 'a' && c <= 'f');
    };
    return std::ranges::equal(text, form, fits) ? std::string(text) : std::string();
}

void read_charge(JsonValue intent, IntentFacts& facts) {
    facts.charge = id_member(intent, "latest_charge");
    const JsonValue charge = member(intent, "latest_charge");  // an id, unless expanded
    facts.charge_refunded = money_member(charge, "amount_refunded");
    facts.charge_disputed = bool_member(charge, "disputed");
}

void read_last_error(JsonValue intent, IntentFacts& facts) {
    const JsonValue error = member(intent, "last_payment_error");
    facts.error_code = fact_member(error, "code");
    facts.decline_code = fact_member(error, "decline_code");
    facts.failed_charge = id_member(error, "charge");
}

void append(std::string& out, const IntentFacts& facts) {
    ObjectWriter writer(out);
    writer.text("object", "payment_intent");
    writer.text("id", facts.id);
    writer.text("status", facts.status);
    writer.number("amount", facts.amount);
    writer.number("amount_received", facts.amount_received);
    writer.text("currency", facts.currency);
    writer.number("created", facts.created);
    writer.text("charge", facts.charge);
    writer.number("charge_refunded", facts.charge_refunded);
    writer.boolean("charge_disputed", facts.charge_disputed);
    writer.text("error_code", facts.error_code);
    writer.text("decline_code", facts.decline_code);
    writer.text("failed_charge", facts.failed_charge);
    writer.text("next_action", facts.next_action);
    writer.text("cancellation_reason", facts.cancellation_reason);
    writer.boolean("has_transfer", facts.has_transfer);
    writer.text("marker", facts.marker);
    writer.text("installation", facts.installation);
    writer.text("hash", facts.hash);
    writer.number("attempt", facts.attempt);
    writer.end();
}

void append(std::string& out, const RefundFacts& facts) {
    ObjectWriter writer(out);
    writer.text("id", facts.id);
    writer.number("amount", facts.amount);
    writer.text("currency", facts.currency);
    writer.text("status", facts.status);
    writer.text("charge", facts.charge);
    writer.text("failure_reason", facts.failure_reason);
    writer.text("reason", facts.reason);
    writer.text("marker", facts.marker);
    writer.number("created", facts.created);
    writer.end();
}

void append(std::string& out, const DisputeFacts& facts) {
    ObjectWriter writer(out);
    writer.text("id", facts.id);
    writer.number("amount", facts.amount);
    writer.text("currency", facts.currency);
    writer.text("status", facts.status);
    writer.text("charge", facts.charge);
    writer.text("reason", facts.reason);
    writer.number("created", facts.created);
    writer.end();
}

std::optional<DisputeFacts> read_dispute(JsonValue dispute) {
    DisputeFacts facts;
    facts.id = fact_member(dispute, "id");
    facts.status = fact_member(dispute, "status");
    facts.currency = currency_member(dispute);
    facts.amount = money_member(dispute, "amount");
    facts.charge = id_member(dispute, "charge");
    facts.reason = fact_member(dispute, "reason");
    facts.created = time_member(dispute, "created");
    // (Money without an amount, a currency or a state cannot be counted.)
    if (text_member(dispute, "object") != "dispute" || facts.id.empty() || facts.status.empty() ||
        facts.currency.empty() || facts.amount.value_or(-1) < 0) {
        return std::nullopt;
    }
    return facts;
}

bool says_whether_more(const ParsedBody& body) {
    return bool_member(body.root(), "has_more").has_value();
}

// The elements of a list, written; false if one could not be read.
template <typename Read>
bool append_elements(std::string& out, const ListPage& page, const Read& read) {
    bool all = true;
    out.push_back('[');
    for (const JsonValue element : page.elements) {
        if (const auto facts = read(element)) {
            if (out.back() != '[') {
                out.push_back(',');
            }
            append(out, *facts);
        } else {
            all = false;
        }
    }
    out.push_back(']');
    return all;
}

template <typename Read>
std::optional<std::string> list_json(const ParsedBody& body, std::string_view intent,
                                     std::string_view name, const Read& read) {
    const auto page = read_list_page(body.root());
    if (!page) {
        return std::nullopt;
    }
    for (const JsonValue element : page->elements) {
        const std::string of = id_member(element, "payment_intent");
        if (!of.empty() && of != intent) {
            return std::nullopt;
        }
    }
    std::string elements;
    const bool all = append_elements(elements, *page, read);
    std::string out;
    ObjectWriter writer(out);
    writer.text("object", name);
    const std::string_view next = page->has_more ? page->last_id : std::string_view();
    writer.boolean("complete", all && says_whether_more(body) && page->has_more == !next.empty());
    writer.text("next", next);
    writer.begin(name).append(elements);
    writer.end();
    return out;
}

}  // namespace

std::optional<IntentFacts> read_intent(JsonValue intent) {
    IntentFacts facts;
    facts.id = fact_member(intent, "id");
    facts.status = fact_member(intent, "status");
    if (text_member(intent, "object") != "payment_intent" || facts.id.empty() ||
        facts.status.empty()) {
        return std::nullopt;
    }
    facts.currency = currency_member(intent);
    facts.amount = money_member(intent, "amount");
    facts.amount_received = money_member(intent, "amount_received");
    facts.created = time_member(intent, "created");
    read_charge(intent, facts);
    read_last_error(intent, facts);
    facts.next_action = fact_member(member(intent, "next_action"), "type");
    facts.cancellation_reason = fact_member(intent, "cancellation_reason");
    facts.has_transfer = is_object(member(intent, "transfer_data"));
    const JsonValue metadata = member(intent, "metadata");
    facts.marker = marker_member(intent);
    facts.installation = uuid_in(text_member(metadata, "pg_seats_installation"));
    facts.hash = foreign_member(metadata, "pg_seats_member");
    facts.attempt = number_in(text_member(metadata, "pg_seats_attempt"));
    return facts;
}

std::optional<IntentFacts> read_intent(const ParsedBody& body) {
    return read_intent(body.root());
}

std::optional<IntentFacts> read_intent_of_error(const ParsedBody& body) {
    return read_intent(member(member(body.root(), "error"), "payment_intent"));
}

std::string to_json(const IntentFacts& facts) {
    std::string out;
    append(out, facts);
    return out;
}

ClientSecret read_client_secret(const ParsedBody& body) {
    const JsonValue root = body.root();
    return text_member(root, "object") == "payment_intent"
               ? ClientSecret(text_member(root, "client_secret"))
               : ClientSecret();
}

std::optional<RefundFacts> read_refund(JsonValue refund) {
    RefundFacts facts;
    facts.id = fact_member(refund, "id");
    facts.status = fact_member(refund, "status");
    facts.currency = currency_member(refund);
    facts.amount = money_member(refund, "amount");
    facts.charge = id_member(refund, "charge");
    facts.payment_intent = id_member(refund, "payment_intent");
    facts.failure_reason = fact_member(refund, "failure_reason");
    facts.reason = fact_member(refund, "reason");
    facts.marker = marker_member(refund);
    facts.created = time_member(refund, "created");
    if (text_member(refund, "object") != "refund" || facts.id.empty() || facts.currency.empty() ||
        facts.amount.value_or(0) <= 0) {
        return std::nullopt;
    }
    return facts;
}

std::optional<RefundFacts> read_refund(const ParsedBody& body) {
    return read_refund(body.root());
}

std::string to_json(const RefundFacts& facts) {
    std::string out;
    append(out, facts);
    return out;
}

std::optional<std::string> refunds_json(const ParsedBody& body, std::string_view intent) {
    return list_json(body, intent, "refunds", [](JsonValue refund) { return read_refund(refund); });
}

std::optional<std::string> disputes_json(const ParsedBody& body, std::string_view intent) {
    return list_json(body, intent, "disputes", read_dispute);
}

std::optional<std::string> intents_json(const ParsedBody& body) {
    const auto page = read_list_page(body.root());
    if (!page || !says_whether_more(body) || (page->has_more && page->last_id.empty())) {
        return std::nullopt;
    }
    std::string out;
    ObjectWriter writer(out);
    writer.text("object", "intents");
    writer.boolean("has_more", page->has_more);
    writer.text("last_id", page->last_id);
    (void)append_elements(writer.begin("intents"), *page,
                          [](JsonValue intent) { return read_intent(intent); });
    writer.end();
    return out;
}

}  // namespace pg_seats::core
