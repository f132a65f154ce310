// Any event and any page of events: what is kept can be stored.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/event.hpp"

#include "facts_json.hpp"

using namespace pg_seats::core;
using namespace pg_seats::fuzz;

namespace {

void check_event(const EventFacts& facts) {
    check_id(facts.id);
    check_id(facts.type);
    const ParsedBody json = checked_json(to_json(facts));
    check(members_of(json.root()).size() == 22);
    check(text_member(json.root(), "id") == facts.id);
    check(text_member(json.root(), "idempotency_key") == facts.idempotency_key);
    check(has_member(json.root(), "subscription") == facts.subscription.has_value());
    check(!facts.subscription || facts.subscription_id == facts.subscription->id);
    check(!facts.payment_intent || facts.payment_intent_id == facts.payment_intent->id);
    if (facts.previous_items) {
        check_items(member(json.root(), "previous_items"));
    }
    check(!facts.thin || !(facts.subscription || facts.invoice || facts.payment_intent));
    check(!facts.invoice || !facts.payment_intent);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const ParsedBody body(text);
    if (const auto facts = read_event(body)) {
        check_event(*facts);
    }
    if (const auto page = read_event_page(body)) {
        check(page->events.size() <= most_elements);
        for (const EventFacts& facts : page->events) {
            check_event(facts);
        }
    }
    return 0;
}
