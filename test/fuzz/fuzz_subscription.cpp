// Any subscription and any page of items: what is kept can be stored.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/subscription.hpp"

#include "facts_json.hpp"

using namespace pg_seats::core;
using namespace pg_seats::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const ParsedBody body(text);
    if (const auto facts = read_subscription(body)) {
        check_id(facts->id);
        check_id(facts->status);
        const ParsedBody json = checked_json(to_json(*facts));
        check(members_of(json.root()).size() == 20);
        check(text_member(json.root(), "id") == facts->id);
        check(text_member(json.root(), "customer") == facts->customer);
        check_items(member(json.root(), "items"));
        check(has_member(json.root(), "pending_update") == facts->pending_update.has_value());
        if (facts->pending_update) {
            check_items(member(member(json.root(), "pending_update"), "items"));
        }
        if (facts->invoice) {
            check_id(facts->invoice->id);
            check(text_member(member(json.root(), "invoice"), "url") == facts->invoice->url);
            check(facts->invoice->url.empty() || facts->invoice->url.starts_with("http"));
        }
        check(!facts->current_period_end || *facts->current_period_end >= 0);
    }
    if (const auto page = read_item_page(body)) {
        check(page->items.size() + page->unreadable <= most_elements);
        for (const ItemFacts& item : page->items) {
            check_id(item.id);
        }
    }
    // Facts that did not come from the reader are as safe to write.
    SubscriptionFacts any;
    any.id = text;
    any.marker = text;
    any.items.push_back({.id = std::string(text), .price = std::string(text)});
    any.invoice = InvoiceFacts{};
    any.invoice->url = text;
    (void)checked_json(to_json(any));
    return 0;
}
