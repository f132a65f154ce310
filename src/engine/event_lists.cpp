#include <algorithm>
#include <iterator>

#include "core/event.hpp"
#include "core/safe_text.hpp"

#include "engine/event_lists.hpp"
#include "engine/health.hpp"

#include "pg/log.hpp"
#include "pg/settings.hpp"
#include "pg/sql.hpp"
#include "pg/time.hpp"

namespace pg_seats::engine {
namespace {

using pg::Statement;

constexpr int most_pages = 50;
// Of everybody's there may be a day's at once, or weeks' after an outage. What is beyond is not
// read at all, and told to a person.
constexpr int most_pages_of_all = 500;

// One refusal may be a moment's; this many in a row are told to a person.
constexpr int refusals_to_tell = 3;

Statement look_statement{
    "SELECT e.destination, e.since, NULL::bigint, 'customer.subscription.updated'"
    "  FROM seats_internal.events_to_look_for($1 * interval '1 millisecond') AS e"};

Statement missed_statement{
    "SELECT m.destination, m.since, m.until, pg_catalog.array_to_string(m.types, ' ')"
    "  FROM seats_internal.missed_events_to_list() AS m"};

Statement take_statement{"SELECT seats_internal.take_listed_events($1, $2)"};

Statement missed_listed_statement{
    "SELECT seats_internal.missed_events_were_listed($1, $2, $3, $4)"};

Statement unreadable_statement{"SELECT seats_internal.events_are_unreadable($1, $2)"};

Statement match_statement{"SELECT seats_internal.match_expected_event($1::jsonb)"};

Statement listed_statement{
    "SELECT seats_internal.events_were_listed($1, $2 * interval '1 millisecond')"};

Statement any_statement{
    "SELECT EXISTS (SELECT FROM seats_internal.expected_event)"
    "    OR EXISTS (SELECT FROM seats_internal.event_cursor AS c WHERE c.requested_at IS NOT "
    "NULL)"};

// The first types that Stripe lists at once; the others are left in `types`.
std::string first_types(std::string& types) {
    constexpr int most_types = 20;
    std::size_t end = 0;
    for (int count = 0; count < most_types && end < types.size(); ++count) {
        end = std::min(types.find(' ', end + 1), types.size());
    }
    std::string first = types.substr(0, end);
    types.erase(0, std::min(end + 1, types.size()));
    return first;
}

// What is of these types, and came while others were listed, is listed next time: so that no event
// is taken for known that appeared behind our back, `newest` stays where the first types' list
// has begun. (Where Stripe's clock is far ahead, as in tests, that only makes lists longer.)
void go_on_with_more_types(Flight& flight) {
    flight.most_newest = std::max(flight.newest.value_or(0), flight.began_at);
    flight.event_types = first_types(flight.more_types);
    flight.leg.cursor.clear();
}

// Half of the time after which they are missed, so that none is missed for long.
core::Duration pause_between_looks() {
    return core::Duration{std::max(pg::settings.event_check_after_ms / 2, 100)};
}

void add_lists(Engine& engine, std::vector<Flight>& lists, const pg::Rows& rows, bool all_events) {
    for (std::size_t row = 0; row < rows.size(); ++row) {
        Destination* const destination = engine.find_destination(rows.bytes(row, 1));
        if (destination == nullptr || destination->listing_events || !destination->takes_calls() ||
            !destination->bucket.take(steady_now())) {
            continue;
        }
        destination->listing_events = true;
        Flight flight;
        flight.address = destination;
        flight.leg.purpose = Purpose::list_events;
        flight.since = rows.bigint(row, 2);
        if (!rows.is_null(row, 3)) {
            flight.until = rows.bigint(row, 3);
        }
        flight.more_types = rows.string(row, 4);
        flight.event_types = first_types(flight.more_types);
        flight.began_at = pg::unix_seconds(pg::now());
        flight.all_events = all_events;
        flight.call.method = "GET";
        flight.call.api_version = destination->api_version;
        lists.push_back(std::move(flight));
    }
}

void store_page(Engine& engine, Flight& flight, const core::EventPage& page) {
    std::vector<std::string> facts;
    for (const core::EventFacts& event : page.events) {
        if (event.idempotency_key.starts_with(engine.installation)) {
            match_statement.run({pg::text(core::to_json(event))});
        }
        if (flight.all_events && !(flight.until && event.created > flight.until)) {
            facts.push_back(core::to_json(event));
            std::optional<std::int64_t> created = event.created;
            if (created && flight.most_newest) {
                created = std::min(*created, *flight.most_newest);
            }
            flight.newest = std::max(flight.newest, created);
        }
    }
    if (!facts.empty()) {
        const std::vector<std::string_view> views(facts.begin(), facts.end());
        const pg::Rows taken =
            take_statement.run({pg::text(destination_of(flight).name), pg::texts(views)});
        flight.found += taken.bigint(0, 1);
    }
}

// Not an outage, which the destination's breaker tells of: this list is not to be had.
void list_was_refused(Engine& engine, Destination& destination, const core::Judgement& judgement) {
    const std::string problem = core::safe_text(
        judgement.message.empty() ? judgement.reason : std::string_view(judgement.message), 300);
    ++destination.lists_refused;
    if (destination.lists_refused == 1) {
        pg::log_warning(
            "events of destination " + destination.name + " cannot be listed: " + problem,
            "It is tried again. A restricted key needs the permission Events: Read.");
    } else if (destination.lists_refused == refusals_to_tell) {
        const auto failure = engine.transaction([&] {
            unreadable_statement.run({pg::text(destination.name), pg::text(problem)});
        });
        if (failure) {
            --destination.lists_refused;  // told at the next one
        }
        engine.announce = true;
    }
}

}  // namespace

void look_for_missed_events(Engine& engine) {
    engine.events_expected = true;
    engine.events_at = TimePoint{};
}

void due_event_lists(Engine& engine) {
    std::vector<Flight> lists;
    const TimePoint now = steady_now();
    if (!engine.events_expected || now < engine.events_at) {
        return;
    }
    engine.events_at = now + pause_between_looks();
    const auto failure = engine.transaction([&] {
        // Those of everybody first: they are more than those of our own calls.
        add_lists(engine, lists, missed_statement.run(), true);
        add_lists(engine, lists,
                  look_statement.run({pg::integer(pg::settings.event_check_after_ms)}), false);
        engine.events_expected = any_statement.run().boolean(0, 1);
    });
    if (failure) {
        for (const Flight& list : lists) {
            destination_of(list).listing_events = false;
        }
        return;
    }
    std::ranges::move(lists, std::back_inserter(engine.to_send));
}

void events_answered(Engine& engine, Flight& flight) {
    Destination& destination = destination_of(flight);
    destination.listing_events = false;
    const core::Judgement judgement = core::judge({.mutation = false,
                                                   .deletion = false,
                                                   .doubt_before = false,
                                                   .expect_stripe = true,
                                                   .livemode = destination.livemode,
                                                   .answer = flight.answer});
    note_health(engine, flight, judgement);
    count(engine.slot.counters.reads);
    const auto page = judgement.verdict == core::Verdict::done
                          ? core::read_event_page(flight.answer.body)
                          : std::nullopt;
    if (!page) {
        if (flight.answer.response.over_limit && destination.events_per_page > 1) {
            destination.events_per_page /= 2;  // the next look asks for fewer at a time
        } else if (flight.answer.response.over_limit) {
            list_was_refused(engine, destination, judgement);
        } else if (judgement.verdict != core::Verdict::again &&
                   judgement.verdict != core::Verdict::unknown) {
            list_was_refused(engine, destination, judgement);
        }
        return;  // looked for again at events_at
    }
    const bool is_end = !page->has_more || page->last_id.empty();
    const bool is_last =
        ++flight.leg.pages >= (flight.all_events ? most_pages_of_all : most_pages) ||
        (is_end && flight.more_types.empty());
    const auto failure = engine.transaction([&] {
        store_page(engine, flight, *page);
        if (!is_last) {
            return;
        }
        if (flight.all_events) {
            missed_listed_statement.run(
                {pg::text(destination.name), pg::bigint(flight.found),
                 pg::boolean(!is_end || !flight.more_types.empty()),
                 flight.newest ? pg::bigint(*flight.newest) : pg::null_of(INT8OID)});
        }
        listed_statement.run(
            {pg::text(destination.name), pg::integer(pg::settings.event_check_after_ms)});
    });
    if (failure) {
        pg::log_warning("events of destination " + destination.name + " cannot be taken: " +
                        core::safe_text(failure->message, 300) + "; they are listed again");
    }
    if (is_last && !failure) {
        destination.lists_refused = 0;
    }
    if (flight.all_events) {
        engine.webhooks_at = TimePoint{};
    }
    engine.announce = true;
    if (!failure && !is_last) {
        if (is_end) {
            go_on_with_more_types(flight);
        } else {
            flight.leg.cursor = page->last_id;
        }
        flight.answer = {};
        destination.listing_events = true;
        engine.to_send.push_back(std::move(flight));
    }
}

}  // namespace pg_seats::engine
