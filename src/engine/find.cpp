#include "engine/find.hpp"

#include <algorithm>

#include "engine/ready.hpp"
#include "kinds/kind.hpp"

#include "pg/interrupts.hpp"
#include "pg/sql.hpp"
#include "pg/time.hpp"

namespace pg_seats::engine {
namespace {

using pg::Rows;
using pg::Statement;

// More arrivals at once than this are not listed one by one; the table is read by id instead.
constexpr int most_arrivals = 20'000;
constexpr int backlog_chunk = 2'000;
// So many are read within one transaction, whose memory they take until its end.
constexpr int most_chunks_per_claim = 5;

// No statement here reads an index from its head, where dead entries gather while an old snapshot
// is held: each has a lower bound that has moved on since the last time.

Statement snapshot_statement{"SELECT pg_catalog.pg_current_snapshot()::text"};

// The upper bound keeps out rows that were restored from another cluster, whose transaction numbers
// may lie in our future.
#define READY_COLUMNS "o.id, o.lane_id, o.destination, o.interrupted, o.due_at, o.beside_lane_id"
#define OPEN_CONDITION \
    "o.state IN ('pending', 'waiting', 'verifying', 'awaiting') AND o.installation = $2::uuid"

Statement arrivals_statement{
    "SELECT " READY_COLUMNS
    "  FROM seats_internal.outbox AS o"
    " WHERE o.eligible_xid = ANY (ARRAY(SELECT pg_catalog.pg_snapshot_xip($1::pg_snapshot)))"
    "   AND " OPEN_CONDITION
    " UNION ALL "
    "SELECT " READY_COLUMNS
    "  FROM seats_internal.outbox AS o"
    " WHERE o.eligible_xid >= pg_catalog.pg_snapshot_xmax($1::pg_snapshot)"
    "   AND o.eligible_xid < pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())"
    "   AND " OPEN_CONDITION};

Statement due_statement{"SELECT " READY_COLUMNS
                        "  FROM seats_internal.outbox AS o"
                        " WHERE o.due_at > $1 AND o.due_at <= $3 AND " OPEN_CONDITION};

Statement next_due_statement{
    "SELECT o.due_at FROM seats_internal.outbox AS o"
    " WHERE o.due_at > $1 ORDER BY o.due_at LIMIT 1"};

Statement backlog_statement{
    "SELECT " READY_COLUMNS ", " OPEN_CONDITION
    "  FROM seats_internal.outbox AS o WHERE o.id > $1 ORDER BY o.id LIMIT $3"};

// Some kinds are no suspects: alone on the wire, a delivery to a receiver that hangs would hold up
// everybody. (The lane is named by its bounds: with an equality, the order by id alone would do,
// and that is the primary key's, which reads the rows of all other lanes.)
Statement lane_heads_statement{
    "SELECT wanted.lane_id, head.id, head.interrupted, head.may_be_held, head.is_to_be_planned"
    "  FROM unnest($1::bigint[], $3::bigint[]) AS wanted (lane_id, above)"
    " CROSS JOIN LATERAL (SELECT FROM seats_internal.lane"
    "         WHERE lane.id = wanted.lane_id AND lane.paused_at IS NULL LIMIT 1) AS lane"
    " CROSS JOIN LATERAL (SELECT o.id, " OPEN_CONDITION
    "               AND (o.due_at IS NULL OR o.due_at <= pg_catalog.clock_timestamp()) AS is_ready,"
    "               CASE WHEN o.kind = ANY ($4) THEN 0::smallint ELSE o.interrupted END"
    "                   AS interrupted,"
    "               o.kind = ANY ($5) AS may_be_held,"
    "               o.kind = ANY ($6) AND o.body = '' AS is_to_be_planned"
    "          FROM seats_internal.outbox AS o"
    "         WHERE (o.lane_id, o.id) > (wanted.lane_id, wanted.above)"
    "           AND o.lane_id <= wanted.lane_id"
    "         ORDER BY o.lane_id, o.id LIMIT 1) AS head"
    " WHERE head.is_ready"};

// A row of READY_COLUMNS. Rows that are not yet due are found again by their due_at.
void offer(Engine& engine, const Rows& rows, std::size_t row) {
    const std::int64_t id = rows.bigint(row, 1);
    engine.highest_seen = std::max(engine.highest_seen, id);
    if (const TimestampTz due_at = rows.timestamp(row, 5); due_at > pg::now()) {
        if (engine.next_due != 0) {
            engine.next_due = std::min(engine.next_due, due_at);
        }
        return;
    }
    Destination* destination = engine.find_destination(rows.bytes(row, 3));
    if (destination == nullptr) {
        engine.configuration_is_stale = true;  // defined a moment ago; the row comes with a rescan
        return;
    }
    if (!rows.is_null(row, 2)) {
        offer_lane(engine, *destination, rows.bigint(row, 2), id);
    } else if (!rows.is_null(row, 6)) {
        offer_read(engine, *destination, id, rows.bigint(row, 6), rows.smallint(row, 4));
    } else {
        offer_row(engine, *destination, id, rows.smallint(row, 4));
    }
}

void start_reading_backlog(Engine& engine) {
    engine.backlog_of.clear();
    for (auto& [name, destination] : engine.destinations) {
        if (wants_backlog(engine, destination)) {
            const std::int64_t above = *destination.missed_above;
            engine.backlog_above =
                engine.backlog_of.empty() ? above : std::min(engine.backlog_above, above);
            engine.backlog_of.push_back({&destination, above});
            destination.missed_above.reset();
        }
    }
    engine.reading_backlog = !engine.backlog_of.empty();
}

// Who has no room, or is paused meanwhile, reads on later, from here: nobody waits for him.
void let_full_readers_go(Engine& engine) {
    std::erase_if(engine.backlog_of, [&engine](const BacklogReader& reader) {
        Destination& destination = *reader.destination;
        if (destination.takes_calls() && destination.ready() + backlog_chunk <= most_ready) {
            return false;
        }
        missed(destination, std::max(reader.above, engine.backlog_above));
        return true;
    });
    engine.reading_backlog = !engine.backlog_of.empty();
}

bool is_read_for(const Engine& engine, const Rows& rows, std::size_t row) {
    const std::string_view name = rows.bytes(row, 3);
    return std::ranges::any_of(engine.backlog_of, [&](const BacklogReader& reader) {
        return reader.destination->name == name && engine.backlog_above > reader.above;
    });
}

// Reads on in the table by id, for the destinations that miss something and have room.
void read_backlog(Engine& engine) {
    for (int chunk = 0; chunk < most_chunks_per_claim; ++chunk) {
        let_full_readers_go(engine);
        if (!engine.reading_backlog) {
            start_reading_backlog(engine);
        }
        if (!engine.reading_backlog) {
            return;
        }
        const Rows rows =
            backlog_statement.run({pg::bigint(engine.backlog_above), pg::text(engine.installation),
                                   pg::bigint(backlog_chunk)},
                                  Statement::Sees::transaction_snapshot);
        for (std::size_t row = 0; row < rows.size(); ++row) {
            engine.backlog_above = rows.bigint(row, 1);
            if (rows.boolean(row, 7) && is_read_for(engine, rows, row)) {
                offer(engine, rows, row);
            }
        }
        engine.highest_seen = std::max(engine.highest_seen, engine.backlog_above);
        if (rows.size() < backlog_chunk) {
            engine.backlog_of.clear();
            engine.reading_backlog = false;
        }
        pg::check_interrupts();
    }
}

void miss_everything(Engine& engine) {
    for (auto& [name, destination] : engine.destinations) {
        missed(destination, 0);
    }
}

void find_arrivals(Engine& engine) {
    const Rows snapshot = snapshot_statement.run({}, Statement::Sees::transaction_snapshot);
    std::string current = snapshot.string(0, 1);
    if (engine.last_snapshot.empty()) {
        // The first look: the whole table is backlog, and arrivals are counted from here.
        miss_everything(engine);
    } else {
        const Rows rows =
            arrivals_statement.run({pg::text(engine.last_snapshot), pg::text(engine.installation)},
                                   Statement::Sees::transaction_snapshot, most_arrivals);
        for (std::size_t row = 0; row < rows.size(); ++row) {
            offer(engine, rows, row);
        }
        if (rows.size() == most_arrivals) {
            miss_everything(engine);
        }
    }
    engine.last_snapshot = std::move(current);
}

void find_due(Engine& engine) {
    const TimestampTz now = pg::now();
    if (now < engine.last_due_look) {
        // The clock was set back. What falls due from now on lies below the last look.
        engine.last_due_look = engine.next_due = 0;
    }
    if (engine.next_due != 0 && now < engine.next_due) {
        return;
    }
    const Rows rows =
        due_statement.run({pg::timestamp(std::max<TimestampTz>(engine.last_due_look, 1)),
                           pg::text(engine.installation), pg::timestamp(now)},
                          Statement::Sees::transaction_snapshot, most_arrivals);
    for (std::size_t row = 0; row < rows.size(); ++row) {
        offer(engine, rows, row);
    }
    if (rows.size() == most_arrivals) {
        miss_everything(engine);
    }
    engine.last_due_look = now;
    const Rows next =
        next_due_statement.run({pg::timestamp(now)}, Statement::Sees::transaction_snapshot);
    engine.next_due = next.empty() ? DT_NOEND : next.timestamp(0, 1);
}

}  // namespace

void will_be_due(Engine& engine, TimestampTz due) {
    engine.last_due_look = std::min(engine.last_due_look, due - 1);
    if (engine.next_due != 0) {
        engine.next_due = std::min(engine.next_due, due);
    }
}

void expect_unseen(Engine& engine) {
    for (auto& [name, destination] : engine.destinations) {
        missed(destination, engine.highest_seen);
    }
}

void forget_what_was_seen(Engine& engine) {
    engine.last_snapshot.clear();
    engine.last_due_look = engine.next_due = 0;
    engine.look_for_arrivals = true;
}

void find_ready(Engine& engine) {
    const TimePoint now = steady_now();
    while (!engine.second_looks.empty() && engine.second_looks.front().at <= now) {
        const Candidate candidate = engine.second_looks.front().candidate;
        engine.second_looks.pop_front();
        const int interrupted = candidate.is_suspect ? suspect_after : 0;
        if (candidate.lane_id != 0) {
            offer_lane(engine, *candidate.destination, candidate.lane_id, candidate.id);
        } else if (candidate.beside_lane_id != 0) {
            offer_read(engine, *candidate.destination, candidate.id, candidate.beside_lane_id,
                       interrupted);
        } else {
            offer_row(engine, *candidate.destination, candidate.id, interrupted);
        }
    }
    if (engine.look_for_arrivals) {
        engine.look_for_arrivals = false;
        find_arrivals(engine);
    }
    find_due(engine);
    read_backlog(engine);
}

Rows find_lane_heads(const Engine& engine, const std::vector<std::int64_t>& lanes,
                     const std::vector<std::int64_t>& above) {
    return lane_heads_statement.run(
        {pg::bigints(lanes), pg::text(engine.installation), pg::bigints(above),
         kinds::never_suspect(), kinds::may_be_held(), kinds::planned()},
        Statement::Sees::transaction_snapshot);
}

}  // namespace pg_seats::engine
