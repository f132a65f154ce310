#include "engine/claim.hpp"

#include <algorithm>

#include "core/contains.hpp"
#include "engine/choose.hpp"
#include "engine/pages.hpp"
#include "engine/ready.hpp"
#include "engine/row.hpp"
#include "engine/trace.hpp"
#include "kinds/kind.hpp"

#include "engine/find.hpp"
#include "engine/row_errors.hpp"
#include "engine/trouble.hpp"
#include "pg/debug_point.hpp"
#include "pg/settings.hpp"

namespace pg_seats::engine {
namespace {

using core::contains;
using kinds::Plans;
using pg::Rows;
using pg::Statement;

constexpr int most_base_reads_in_a_row = 2;
constexpr int looks_between_patience = 20;

// What its kind plans has to be planned first: only then is there something to send.
#define IS_PLANNED "(o.kind <> ALL ($5) OR o.body <> '')"

// A key is trusted for a time only: past it a call in doubt is not sent again but verified. (What
// changes nothing can be repeated for ever, and some kinds are never in doubt.)
constexpr auto key_is_too_old =
    pg::Sql{"(o.doubt AND o.method <> 'GET' AND o.path <> "} + preview_literal +
    " AND o.kind <> ALL ($6)"
    " AND o.first_sent_at < pg_catalog.clock_timestamp() - $3 * interval '1 second')";

// Also taken anew for a verification: after a failover the row may not know that it was ever sent.
// `row`: whose last_uuid, that of the last change that it carries, is in it.
#define MARKER_OF(row)                               \
    "CASE WHEN o.verifier IS NOT NULL"               \
    "     THEN o.uuid::text || '-' || coalesce(" row \
    ".last_uuid, o.uuid)::text || '-'"               \
    "          || o.generation END"

#define FREEZE(row) \
    "UPDATE seats_internal.outbox AS o"                                               \
    "   SET state = 'sending', state_since = pg_catalog.clock_timestamp(),"           \
    "       due_at = NULL,"                                                           \
    "       first_sent_at = coalesce(o.first_sent_at, pg_catalog.clock_timestamp())," \
    "       last_sent_at = pg_catalog.clock_timestamp(),"                             \
    "       tries = o.tries + 1, attempts = o.attempts + 1, alone = $4,"              \
    "       list_cursor = NULL, marker = " MARKER_OF(row) ","                         \
    "       api_version = coalesce(o.api_version, " DESTINATION_VERSION ")"

// `id = ANY ($1)` stands on both sides of the join: the plan is made while the table may be empty,
// and must read the table by the primary key in every order that the planner may take.
//
// Whoever holds a row (an operator's verb) is not waited for: SKIP LOCKED, and a second look later.
// The attempt is counted here, before the request is made, so that no row can end one worker after
// the other without being noticed.
constexpr auto freeze_sql =
    pg::Sql{
        "WITH free AS MATERIALIZED ("
        "  SELECT o.id FROM seats_internal.outbox AS o"
        "   WHERE o.id = ANY ($1) AND o.installation = $2::uuid"
        "     AND o.state IN ('pending', 'waiting') AND " IS_PLANNED
        "     AND (o.due_at IS NULL OR o.due_at <= pg_catalog.clock_timestamp())"
        "     AND NOT "} +
    key_is_too_old +
    "     FOR UPDATE SKIP LOCKED)" FREEZE("o")
    "  FROM free WHERE o.id = free.id AND o.id = ANY ($1)"
    " RETURNING " +
    pg::expressions(call_columns);
Statement freeze_statement{freeze_sql.text()};

// The same of what its kind has planned and not written. What was planned in this transaction, its
// lane being locked, is as it was.
constexpr auto freeze_planned_sql =
    pg::Sql{
        "WITH free AS MATERIALIZED ("
        "  SELECT o.id FROM seats_internal.outbox AS o"
        "   WHERE o.id = ANY ($1) AND o.installation = $2::uuid"
        "     AND o.state = 'pending' AND o.body = '' AND NOT o.doubt AND o.kind = ANY ($5)"
        "     AND (o.due_at IS NULL OR o.due_at <= pg_catalog.clock_timestamp())"
        "     FOR UPDATE SKIP LOCKED)" FREEZE("plan")
        ","
        "       body = plan.body, base = plan.base, target = plan.target,"
        "       last_id = plan.last_id, last_uuid = plan.last_uuid, verifications = 0"
        "  FROM free"
        "  JOIN unnest($3::bigint[], $6::text[], $7::jsonb[], $8::jsonb[], $9::bigint[], $10::uuid[])"
        "       AS plan (id, body, base, target, last_id, last_uuid) ON plan.id = free.id"
        " WHERE o.id = free.id AND o.id = ANY ($1)"
        " RETURNING "} +
    pg::expressions(call_columns);
Statement freeze_planned_statement{freeze_planned_sql.text()};

// (`lane_id = ANY ($1)`: as above, of the other index.)
Statement carry_statement{
    "UPDATE seats_internal.outbox AS o"
    "   SET state = 'carried', state_since = pg_catalog.clock_timestamp()"
    "  FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS f (lane_id, id, last_id)"
    " WHERE o.lane_id = f.lane_id AND o.id > f.id AND o.id <= f.last_id AND o.lane_id = ANY ($1)"};

constexpr auto take_for_verification_sql =
    pg::Sql{
        "WITH free AS MATERIALIZED ("
        "  SELECT o.id FROM seats_internal.outbox AS o"
        "   WHERE o.id = ANY ($1) AND o.installation = $2::uuid"
        "     AND (o.due_at IS NULL OR o.due_at <= pg_catalog.clock_timestamp())"
        "     AND (o.state IN ('verifying', 'awaiting')"
        "          OR o.state IN ('pending', 'waiting') AND " IS_PLANNED " AND "} +
    key_is_too_old +
    ")"
    "     FOR UPDATE SKIP LOCKED)"
    "UPDATE seats_internal.outbox AS o"
    "   SET state = CASE o.state WHEN 'awaiting' THEN o.state ELSE 'verifying' END,"
    "       due_at = NULL, verifications = o.verifications + 1, alone = $4, marker = " MARKER_OF("o")
    ","
    "       api_version = coalesce(o.api_version, " DESTINATION_VERSION
    ")"
    "  FROM free WHERE o.id = free.id AND o.id = ANY ($1)"
    " RETURNING " +
    pg::expressions(call_columns);
Statement take_for_verification_statement{take_for_verification_sql.text()};

// Of those that neither statement took: which are still to be taken? The others were settled,
// cancelled, or stand in review, and whoever changes that makes them arrive again.
Statement still_open_statement{
    "SELECT o.id FROM seats_internal.outbox AS o"
    " WHERE o.id = ANY ($1) AND o.installation = $2::uuid"
    "   AND o.state IN ('pending', 'waiting', 'verifying', 'awaiting')"
    "   AND (o.due_at IS NULL OR o.due_at <= pg_catalog.clock_timestamp())"};

constexpr auto look_sql = pg::Sql{"SELECT "} + pg::expressions(call_columns) +
                          " FROM seats_internal.outbox AS o WHERE o.id = ANY ($1)";
Statement look_statement{look_sql.text()};

Statement mark_statement{
    "UPDATE seats_internal.outbox AS o SET alone = true WHERE o.id = ANY ($1)"};

// What a claim has done so far.
struct Claimed {
    std::vector<Candidate> candidates;
    std::vector<Flight> flights;
    Plans plans;
    // Neither statement took them; of these, those that can still go.
    std::vector<std::int64_t> not_taken, still_open;
    bool alone = false;
};

void take(Engine& engine, Statement& statement, std::initializer_list<pg::Value> values,
          std::vector<Flight>& flights) {
    const Rows rows = statement.run(values);
    for (std::size_t row = 0; row < rows.size(); ++row) {
        Flight flight;
        flight.call = read_call(rows, row);
        flight.address = engine.find_destination(flight.call.destination);
        flight.leg.purpose = core::first_purpose(flight.call);
        if (flight.leg.purpose == Purpose::search_list) {
            flight.leg.cursor = flight.call.list_cursor;
        }
        flights.push_back(std::move(flight));
    }
}

std::vector<std::int64_t> without(std::vector<std::int64_t> ids,
                                  const std::vector<Flight>& flights) {
    std::vector<std::int64_t> taken;
    taken.reserve(flights.size());
    for (const Flight& flight : flights) {
        taken.push_back(flight.call.id);
    }
    std::ranges::sort(taken);
    std::erase_if(ids, [&taken](std::int64_t id) { return std::ranges::binary_search(taken, id); });
    return ids;
}

// Those that go along stand behind their carrier.
void carry(const std::vector<Flight>& carriers) {
    std::vector<std::int64_t> lanes, ids, last;
    for (const Flight& flight : carriers) {
        if (flight.call.last_id != 0) {
            lanes.push_back(flight.call.lane_id);
            ids.push_back(flight.call.id);
            last.push_back(flight.call.last_id);
        }
    }
    if (!ids.empty()) {
        carry_statement.run({pg::bigints(lanes), pg::bigints(ids), pg::bigints(last)});
    }
}

// Of what is sent, or proven, and a team's page tells of.
std::vector<std::int64_t> lanes_of_pages(const std::vector<Flight>& flights) {
    std::vector<std::int64_t> lanes;
    for (const Flight& flight : flights) {
        if (is_on_a_page(flight.call)) {
            lanes.push_back(flight.call.lane_id);
        }
    }
    return lanes;
}

// What is in the candidates but was not taken is looked at again later, or forgotten.
void look_at_the_rest(const Engine& engine, Claimed& claimed) {
    if (claimed.not_taken.empty()) {
        return;
    }
    const Rows rows =
        still_open_statement.run({pg::bigints(claimed.not_taken), pg::text(engine.installation)});
    for (std::size_t row = 0; row < rows.size(); ++row) {
        claimed.still_open.push_back(rows.bigint(row, 1));
    }
}

// After the commit.
void sort_out_the_rest(Engine& engine, const Claimed& claimed) {
    for (const Candidate& candidate : claimed.candidates) {
        if (!contains(claimed.not_taken, candidate.id)) {
            continue;
        }
        candidate.destination->bucket.give_back();
        if (contains(claimed.still_open, candidate.id)) {
            look_again(engine, candidate);
        } else {
            release_lane(engine, *candidate.destination, candidate.busy_lane(), std::nullopt);
        }
    }
}

// Suspects are frozen and sent one at a time, and the row says so until its request is with curl
// (and again when its answer is looked at): if the worker ends meanwhile, we know who it was. While
// it is only waited for, it is nobody's concern.
std::vector<Candidate> choose(Engine& engine, bool& alone) {
    alone = false;
    if (const auto ready = ready_suspect(engine); ready != engine.suspects.end()) {
        alone = true;
        const Candidate candidate = *ready;
        engine.suspects.erase(ready);
        if (candidate.busy_lane() != 0) {
            engine.lanes[candidate.busy_lane()].busy = true;
        }
        return {candidate};
    }
    int room =
        std::min<int>(pg::settings.max_in_flight - engine.calls_under_way(), most_rows_per_claim);
    if (engine.claims_one_by_one > 0) {
        --engine.claims_one_by_one;
        room = std::min(room, 1);
    }
    return room > 0 ? choose_candidates(engine, room) : std::vector<Candidate>{};
}

// A base that was read and is not fresh all the same (a clock that was set, a lifetime shorter than
// the way to Stripe) is not read at once again and again.
bool may_read_base(Engine& engine, const std::vector<Candidate>& candidates, std::int64_t id) {
    const auto candidate = std::ranges::find(candidates, id, &Candidate::id);
    if (candidate == candidates.end()) {
        return true;
    }
    LaneMemory& lane = engine.lanes[candidate->lane_id];
    if (++lane.base_reads <= most_base_reads_in_a_row) {
        return true;
    }
    lane.base_reads = 0;
    return false;
}

Plans plan(Engine& engine, const std::vector<Candidate>& candidates) {
    kinds::Planning planning{.run = engine.run, .queue_for_lane = engine.queue_for_lane};
    std::vector<kinds::ToPlan> to_plan;
    std::vector<std::int64_t> to_hold;
    for (const Candidate& candidate : candidates) {  // all of these are in lanes
        if (candidate.is_to_be_planned) {
            to_plan.push_back({candidate.id, candidate.lane_id});
        }
        if (candidate.may_be_held) {
            to_hold.push_back(candidate.id);
        }
    }
    for (const kinds::Kind* kind : kinds::all) {
        if (kind->plan != nullptr && !to_plan.empty()) {
            kind->plan(planning, to_plan);
        }
        if (kind->hold != nullptr && !to_hold.empty()) {
            kind->hold(planning, to_hold);
        }
    }
    Plans& plans = planning.plans;
    std::erase_if(plans.to_read, [&](std::int64_t id) {
        if (may_read_base(engine, candidates, id)) {
            return false;
        }
        plans.locked.push_back(id);
        return true;
    });
    return plans;
}

// After the commit: what is not sent is looked at again, at once or later.
void follow_plans(Engine& engine, const std::vector<Candidate>& candidates, const Plans& plans) {
    for (const Candidate& candidate : candidates) {
        if (contains(plans.locked, candidate.id)) {
            candidate.destination->bucket.give_back();
            // Queued up for once, and then from time to time: a team that is always being changed
            // is got like that, and one that somebody just holds costs little.
            LaneMemory& lane = engine.lanes[candidate.lane_id];
            if (lane.locked_looks++ % looks_between_patience == 0) {
                engine.queue_for_lane = candidate.lane_id;
            }
            look_again(engine, candidate);
        } else if (contains(plans.later, candidate.id)) {
            candidate.destination->bucket.give_back();
            release_lane(engine, *candidate.destination, candidate.lane_id, std::nullopt);
        } else if (contains(plans.settled_or_waits, candidate.id)) {
            candidate.destination->bucket.give_back();
            release_lane(engine, *candidate.destination, candidate.lane_id, std::nullopt);
            engine.announce = engine.wake_all_waiters = true;
        } else if (candidate.lane_id != 0 && !contains(plans.to_read, candidate.id)) {
            LaneMemory& lane = engine.lanes[candidate.lane_id];
            lane.base_reads = lane.locked_looks = 0;
        }
    }
    if (!plans.settled_or_waits.empty()) {
        engine.next_due = 0;              // those that wait have a due_at now
        engine.look_for_arrivals = true;  // of reads of prices that they wait for
    }
}

// Subscriptions that must be read before the changes of their lanes can be planned.
void read_bases(Engine& engine, const std::vector<std::int64_t>& ids, bool alone,
                std::vector<Flight>& flights) {
    if (alone) {
        mark_statement.run({pg::bigints(ids)});
    }
    const Rows rows = look_statement.run({pg::bigints(ids)});
    for (std::size_t row = 0; row < rows.size(); ++row) {
        Flight flight;
        flight.call = read_call(rows, row);
        flight.address = engine.find_destination(flight.call.destination);
        flight.leg.purpose = Purpose::read_base;
        flights.push_back(std::move(flight));
    }
}

// Of what was chosen: plans it, freezes what can be sent, takes what is to be verified or read.
void freeze(Engine& engine, Claimed& claimed) {
    auto& [candidates, flights, plans, not_taken, still_open, alone] = claimed;
    if (candidates.empty()) {
        return;
    }
    std::vector<std::int64_t> ids;
    ids.reserve(candidates.size());
    for (const Candidate& candidate : candidates) {
        ids.push_back(candidate.id);
    }
    flights.reserve(ids.size());
    plans = plan(engine, candidates);
    std::erase_if(ids, [&claimed](std::int64_t id) { return claimed.plans.is_not_sent(id); });
    if (const auto& planned = plans.unwritten; !planned.calls.empty()) {
        take(engine, freeze_planned_statement,
             {pg::bigints(planned.calls), pg::text(engine.installation), planned.ids,
              pg::boolean(alone), kinds::planned(), planned.bodies, planned.bases, planned.targets,
              planned.last_ids, planned.last_uuids},
             flights);
        carry(flights);
        ids = without(ids, flights);
    }
    for (Statement* statement : {&freeze_statement, &take_for_verification_statement}) {
        if (!ids.empty()) {
            take(engine, *statement,
                 {pg::bigints(ids), pg::text(engine.installation),
                  pg::integer(pg::settings.key_lifetime_s), pg::boolean(alone), kinds::planned(),
                  kinds::never_in_doubt()},
                 flights);
            ids = without(ids, flights);
        }
    }
    not_taken = std::move(ids);
    look_at_the_rest(engine, claimed);
    raise_pages(lanes_of_pages(flights));
    if (!plans.to_read.empty()) {
        read_bases(engine, plans.to_read, alone, flights);
    }
    pg::stand_at("before_freeze_commit");
}

}  // namespace

void claim(Engine& engine) {
    Claimed claimed;
    const auto failure = engine.transaction([&] {
        find_ready(engine);
        claimed.candidates = choose(engine, claimed.alone);
        freeze(engine, claimed);
    });
    count(engine.slot.counters.claims);
    if (failure) {
        // Nothing was frozen. What was looked at on the way is found again: arrivals by another
        // look at the table (the snapshot may have moved on in memory), candidates by a second
        // look.
        claim_failed(engine, *failure, claimed.candidates);
        return;
    }
    count(engine.slot.counters.frozen, claimed.flights.size());
    for (Flight& flight : claimed.flights) {
        trace_claimed(flight);
        if (claimed.alone) {
            engine.marked_alone.push_back(flight.call.id);
        }
        engine.to_send.push_back(std::move(flight));
    }
    trouble_is_over(engine);
    sort_out_the_rest(engine, claimed);
    follow_plans(engine, claimed.candidates, claimed.plans);
}

}  // namespace pg_seats::engine
