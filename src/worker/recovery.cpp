#include "worker/recovery.hpp"

#include "pg/log.hpp"
#include "pg/sql.hpp"
#include "worker/row_errors.hpp"

namespace pg_seats::worker {
namespace {

using pg::Statement;

// On the wire when their worker ended: whether Stripe executed them is unknown, at once and not
// after a lease. A row that was alone on the wire, and not for the first time, is what ended it.
Statement interrupted_statement{
    "UPDATE seats_internal.outbox AS o"
    "   SET doubt = true, interrupted = o.interrupted + 1, due_at = NULL, alone = false,"
    "       state_since = pg_catalog.clock_timestamp(),"
    "       reason = CASE WHEN o.alone AND o.interrupted >= 2 THEN 'ends_the_worker'"
    "                     ELSE 'interrupted' END,"
    "       state = CASE WHEN o.alone AND o.interrupted >= 2 THEN 'review' ELSE 'waiting' END"
    "                    ::seats_internal.outbox_state"
    " WHERE o.state = 'sending' RETURNING o.id, o.state = 'review'"};

// Deliveries are not sent alone: one that was on the wire so often when a worker ended is given up.
Statement interrupted_delivery_statement{
    "SELECT seats_internal.settle_by_hand('pg_seats', o.id, 'refused', 'ends_the_worker')"
    "  FROM seats_internal.outbox AS o"
    " WHERE o.state = 'sending' AND o.kind = 'delivery' AND o.interrupted >= 5"};

// Verifications are counted before they are made, and given back where the read did not go through;
// so many at once means that the answers end the worker.
Statement endless_verification_statement{
    "UPDATE seats_internal.outbox AS o"
    "   SET state = 'review', reason = 'ends_the_worker', due_at = NULL,"
    "       state_since = pg_catalog.clock_timestamp()"
    " WHERE o.state = 'verifying' AND o.verifications >= 12 RETURNING o.id, true"};

Statement alert_statement{
    "SELECT seats_internal.raise_alert('review:' || $1::text, 'critical', 'review',"
    "    'call ' || $1::text || ' ended the worker whenever it was on the wire',"
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

Statement store_timeline_statement{"UPDATE seats_internal.installation SET timeline = $1"};

Statement journal_statement{
    "SELECT seats_internal.write_journal($1, 'pg_seats', NULL, NULL, $2,"
    "    pg_catalog.jsonb_build_object('calls', $3::bigint))"};

}  // namespace

bool recover(Engine& engine) {
    std::size_t interrupted = 0;
    std::uint64_t doubtful = 0;
    bool new_timeline = false;
    const auto failure = engine.transaction([&] {
        interrupted_delivery_statement.run();
        for (Statement* statement : {&interrupted_statement, &endless_verification_statement}) {
            const pg::Rows rows = statement->run();
            interrupted += rows.size();
            for (std::size_t row = 0; row < rows.size(); ++row) {
                if (rows.boolean(row, 2)) {
                    alert_statement.run({pg::bigint(rows.bigint(row, 1))});
                }
            }
        }
        const auto timeline = static_cast<std::int32_t>(pg::guard(pg::current_timeline));
        const pg::Rows known = timeline_statement.run();
        new_timeline = !known.empty() && known.integer(0, 1) != timeline;
        if (new_timeline) {
            doubtful = new_timeline_statement.run().processed();
            store_timeline_statement.run({pg::integer(timeline)});
            journal_statement.run({pg::text("worker.new_timeline"),
                                   pg::text("failover or restore: open calls are in doubt"),
                                   pg::bigint(static_cast<std::int64_t>(doubtful))});
        }
    });
    if (failure) {
        cannot_begin(engine, *failure, "cannot take over from the worker before");
        return false;
    }
    trouble_is_over(engine);
    if (interrupted > 0) {
        pg::log_line(
            std::to_string(interrupted) +
            " calls were on the wire when the last worker ended: their outcome is unknown, "
            "the same keys find it out");
    }
    if (new_timeline) {
        pg::log_line("the server is on a new timeline: " + std::to_string(doubtful) +
                     " open calls are in doubt");
    }
    engine.announce = true;
    return true;
}

}  // namespace pg_seats::worker
