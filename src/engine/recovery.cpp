#include "engine/recovery.hpp"

#include "engine/halts.hpp"
#include "engine/pages.hpp"
#include "engine/row.hpp"
#include "engine/trouble.hpp"
#include "kinds/kind.hpp"
#include "pg/log.hpp"
#include "pg/own_slot.hpp"
#include "pg/sql.hpp"

namespace pg_seats::engine {
namespace {

using pg::Statement;

// After a crash that nobody can be blamed for.
constexpr std::chrono::minutes wary_for{10};

// The one that was looked at alone when the worker crashed is what ended it. Nobody else is counted
// then.
constexpr auto blamed_sql = pg::Sql{"SELECT o.id, o.kind = ANY ($1) OR o.path = "} +
                            preview_literal +
                            "  FROM seats_internal.outbox AS o"
                            " WHERE o.alone AND o.interrupted >= 2";
Statement blamed_statement{blamed_sql.text()};

// What changes nothing and is nobody's, is over; anything else is for a person.
Statement review_statement{
    "UPDATE seats_internal.outbox AS o"
    "   SET doubt = o.doubt OR o.state = 'sending', interrupted = o.interrupted + 1, due_at = NULL,"
    "       alone = false, state_since = pg_catalog.clock_timestamp(),"
    "       reason = 'ends_the_worker', state = 'review'"
    " WHERE o.id = $1 RETURNING o.lane_id, " TEAM_OF_LANE};

Statement give_up_statement{
    "SELECT seats_internal.settle_by_hand('pg_seats', $1, 'refused', 'ends_the_worker', "
    "'none needed')"};

// On the wire when their worker ended: whether Stripe executed them is unknown, at once and not
// after a lease. `$1`: one more crash at which they were there; an orderly end is none.
Statement interrupted_statement{
    "UPDATE seats_internal.outbox AS o"
    "   SET doubt = true, interrupted = o.interrupted + $1, due_at = NULL, alone = false,"
    "       state_since = pg_catalog.clock_timestamp(), reason = 'interrupted', state = 'waiting'"
    " WHERE o.state = 'sending' RETURNING o.lane_id, " TEAM_OF_LANE};

// Reads were on the wire, or about to be.
Statement interrupted_reads_statement{
    "UPDATE seats_internal.outbox AS o"
    "   SET interrupted = o.interrupted + $1, alone = false"
    " WHERE o.id = ANY (ARRAY("
    "     SELECT l.id FROM seats_internal.outbox AS l"
    "      WHERE ($1 > 0 OR l.alone)"
    "        AND (l.state IN ('verifying', 'awaiting') AND l.due_at IS NULL"
    "             OR l.state = 'pending' AND l.kind = ANY ($2) AND l.body = ''"
    "                AND l.base_wanted_at IS NOT NULL)"
    "        FOR UPDATE SKIP LOCKED))"};

// Where it was never alone when a worker ended (in curl, say, or because its kind is not sent
// alone) it is blamed in the end all the same.
constexpr auto often_interrupted_sql =
    pg::Sql{"SELECT o.id, o.kind = ANY ($1) OR o.path = "} + preview_literal +
    "  FROM seats_internal.outbox AS o"
    " WHERE o.interrupted >= CASE WHEN o.kind = ANY ($1) THEN 5 ELSE 10 END"
    "   AND o.state <> 'review'";
Statement often_interrupted_statement{often_interrupted_sql.text()};

// Of probes and lists of events, which are nobody's.
Statement destinations_statement{
    "UPDATE seats_internal.destination AS d SET crashes = 0 WHERE d.crashes >= 3 RETURNING d.name"};

Statement alert_statement{
    "SELECT seats_internal.raise_alert('review:' || $1::bigint::text, 'critical', 'review',"
    "    'call ' || $1::bigint::text || ' ended the worker whenever it was on the wire',"
    "    hint => 'Look at the call and at the server log, then seats.resolve_review(call, "
    "decision, reason).', call_id => $1)"};

Statement timeline_statement{"SELECT i.timeline FROM seats_internal.installation AS i"};

// After a failover or a restore to a point in time the table may have forgotten what was sent.
// Every open row is in doubt; the same key makes sending it again harmless for as long as Stripe
// knows it. What was lost may have sent each of them at any time up to now.
Statement new_timeline_statement{
    "UPDATE seats_internal.outbox AS o"
    "   SET doubt = true, first_sent_at = coalesce(o.first_sent_at, o.created_at),"
    "       last_sent_at = pg_catalog.clock_timestamp()"};

// … and payments that were begun: their client secrets may be in browsers.
Statement payments_in_doubt_statement{
    "SELECT seats_internal.payments_are_in_doubt('failover or restore')"};

// (Versions of pages go back with what was lost.)
Statement store_timeline_statement{
    "UPDATE seats_internal.installation AS i"
    "   SET timeline = $1,"
    "       page_changes = greatest(i.page_changes + 1, seats_internal.page_start())"};

Statement journal_statement{
    "SELECT seats_internal.write_journal($1, 'pg_seats', NULL, NULL, $2,"
    "    pg_catalog.jsonb_build_object('calls', $3::bigint))"};

// False if there is nobody to be blamed.
bool blame(const pg::Rows& rows) {
    for (std::size_t row = 0; row < rows.size(); ++row) {
        const pg::Value id = pg::bigint(rows.bigint(row, 1));
        if (rows.boolean(row, 2)) {
            give_up_statement.run({id});
        } else {
            raise_pages(lanes_of_teams(review_statement.run({id})));
            alert_statement.run({id});
        }
    }
    return !rows.empty();
}

// How many open calls are in doubt, as what was committed last may be lost; nothing: the server is
// on the timeline that the table knows.
std::optional<std::uint64_t> look_at_timeline() {
    const auto timeline = static_cast<std::int32_t>(pg::guard(pg::current_timeline));
    const pg::Rows known = timeline_statement.run();
    if (known.empty() || known.integer(0, 1) == timeline) {
        return std::nullopt;
    }
    const std::uint64_t doubtful = new_timeline_statement.run().processed();
    payments_in_doubt_statement.run();
    store_timeline_statement.run({pg::integer(timeline)});
    journal_statement.run({pg::text("worker.new_timeline"),
                           pg::text("failover or restore: open calls are in doubt"),
                           pg::bigint(static_cast<std::int64_t>(doubtful))});
    return doubtful;
}

}  // namespace

bool recover(Engine& engine) {
    const bool crashed = pg::last_worker_crashed();
    std::size_t interrupted = 0;
    std::optional<std::uint64_t> doubtful;
    bool is_blamed = false;
    std::vector<std::string> blamed_destinations;
    const auto failure = engine.transaction([&] {
        is_blamed = crashed && blame(blamed_statement.run({kinds::never_suspect()}));
        const std::int32_t counted = crashed && !is_blamed ? 1 : 0;
        const pg::Rows on_the_wire = interrupted_statement.run({pg::integer(counted)});
        interrupted = on_the_wire.size();
        raise_pages(lanes_of_teams(on_the_wire));
        interrupted_reads_statement.run({pg::integer(counted), kinds::planned()});
        if (counted != 0) {
            is_blamed = blame(often_interrupted_statement.run({kinds::never_suspect()}));
        }
        const pg::Rows rows = destinations_statement.run();
        for (std::size_t row = 0; row < rows.size(); ++row) {
            blamed_destinations.push_back(rows.string(row, 1));
        }
        doubtful = look_at_timeline();
    });
    if (failure) {
        pause(engine, *failure, "cannot take over from the worker before");
        return false;
    }
    trouble_is_over(engine);
    pg::set_last_worker_crashed(false);
    if (crashed && !is_blamed) {
        engine.wary_until = steady_now() + wary_for;
    }
    for (const std::string& name : blamed_destinations) {
        if (Destination* const destination = engine.find_destination(name)) {
            halt(*destination, "ends_the_worker",
                 "the worker ended whenever it read the answer to a probe or a list of events",
                 NeedsPerson::yes);
        }
    }
    if (interrupted > 0) {
        pg::log_line(
            std::to_string(interrupted) +
            " calls were on the wire when the last worker ended: their outcome is unknown, "
            "the same keys find it out");
    }
    if (doubtful) {
        pg::log_line("the server is on a new timeline: " + std::to_string(*doubtful) +
                     " open calls are in doubt");
    }
    engine.announce = true;
    return true;
}

}  // namespace pg_seats::engine
