#include "core/event.hpp"

#include "worker/event_feed.hpp"
#include "worker/halting.hpp"
#include "worker/send.hpp"

#include "pg/log.hpp"
#include "pg/settings.hpp"
#include "pg/sql.hpp"

namespace pg_seats::worker {
namespace {

using pg::Statement;

constexpr int most_pages = 50;

Statement look_statement{
    "SELECT e.destination, e.since"
    "  FROM seats_internal.events_to_look_for($1 * interval '1 millisecond') AS e"};

Statement heed_statement{"SELECT seats_internal.heed_own_event($1::jsonb)"};

Statement listed_statement{
    "SELECT seats_internal.events_were_listed($1, $2 * interval '1 millisecond')"};

Statement any_statement{"SELECT EXISTS (SELECT FROM seats_internal.expected_event)"};

// Half of the time after which they are missed, so that none is missed for long.
core::Duration pause_between_looks() {
    return core::Duration{std::max(pg::settings.event_check_after_ms / 2, 100)};
}

}  // namespace

std::vector<Flight> due_event_lists(Engine& engine) {
    std::vector<Flight> lists;
    const TimePoint now = steady_now();
    if (!engine.events_expected || now < engine.events_at) {
        return lists;
    }
    engine.events_at = now + pause_between_looks();
    (void)engine.transaction([&] {
        const pg::Rows rows = look_statement.run({pg::integer(pg::settings.event_check_after_ms)});
        for (std::size_t row = 0; row < rows.size(); ++row) {
            Destination* const destination = engine.find_destination(rows.bytes(row, 1));
            if (destination == nullptr || destination->listing_events ||
                !destination->takes_calls() || !destination->bucket.take(now)) {
                continue;
            }
            Flight flight;
            flight.destination = destination;
            flight.purpose = Purpose::list_events;
            flight.since = rows.bigint(row, 2);
            flight.call.method = "GET";
            flight.call.api_version = destination->api_version;
            lists.push_back(std::move(flight));
        }
        engine.events_expected = any_statement.run().boolean(0, 1);
    });
    for (const Flight& list : lists) {
        list.destination->listing_events = true;
    }
    return lists;
}

void events_answered(Engine& engine, Flight flight) {
    Destination& destination = *flight.destination;
    destination.listing_events = false;
    const core::Judgement judgement = core::judge({.mutation = false,
                                                   .deletion = false,
                                                   .doubt_before = false,
                                                   .expect_stripe = true,
                                                   .livemode = destination.livemode,
                                                   .response = flight.response});
    note_health(engine, flight, judgement);
    count(engine.slot.counters.reads);
    const auto page = judgement.verdict == core::Verdict::done
                          ? core::read_event_page(flight.response.body)
                          : std::nullopt;
    if (!page) {
        return;  // looked for again at events_at
    }
    const bool is_last = !page->has_more || page->last_id.empty() || ++flight.pages >= most_pages;
    const auto failure = engine.transaction([&] {
        for (const core::EventFacts& event : page->events) {
            if (event.idempotency_key.starts_with(engine.installation)) {
                heed_statement.run({pg::text(core::to_json(event))});
            }
        }
        if (is_last) {
            listed_statement.run(
                {pg::text(destination.name), pg::integer(pg::settings.event_check_after_ms)});
        }
    });
    engine.announce = true;
    if (!failure && !is_last) {
        flight.cursor = page->last_id;
        flight.response = {};
        destination.listing_events = true;
        send(engine, std::move(flight));
    }
}

}  // namespace pg_seats::worker
