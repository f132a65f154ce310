#include "engine/suspects.hpp"

#include "engine/ready.hpp"
#include "kinds/kind.hpp"

#include "pg/sql.hpp"

namespace pg_seats::engine {
namespace {

using pg::Statement;

// Nobody is waited for: what somebody else holds is settled by him, or held when it is settled.
Statement mark_row_statement{
    "UPDATE seats_internal.outbox AS o SET alone = true"
    " WHERE o.id = ANY (ARRAY(SELECT l.id FROM seats_internal.outbox AS l WHERE l.id = $1"
    "                            FOR UPDATE SKIP LOCKED))"};

Statement unmark_rows_statement{
    "UPDATE seats_internal.outbox AS o SET alone = false"
    " WHERE o.id = ANY (ARRAY(SELECT l.id FROM seats_internal.outbox AS l"
    "                          WHERE l.id = ANY ($1) AND l.alone FOR UPDATE SKIP LOCKED))"};

Statement mark_destination_statement{
    "UPDATE seats_internal.destination AS d SET crashes = d.crashes + 1"
    " WHERE d.name = ANY (ARRAY(SELECT l.name FROM seats_internal.destination AS l"
    "                            WHERE l.name = $1 FOR UPDATE SKIP LOCKED))"};

Statement unmark_destination_statement{
    "UPDATE seats_internal.destination AS d SET crashes = 0"
    " WHERE d.name = ANY (ARRAY(SELECT l.name FROM seats_internal.destination AS l"
    "                            WHERE l.name = $1 AND l.crashes <> 0 FOR UPDATE SKIP LOCKED))"};

bool is_nobodys(const Flight& flight) {
    return flight.leg.purpose == Purpose::probe || flight.leg.purpose == Purpose::list_events;
}

}  // namespace

bool is_suspect(const Engine& engine, const Flight& flight) {
    if (is_nobodys(flight)) {
        return steady_now() < engine.wary_until;
    }
    return flight.call.interrupted >= suspect_after && kinds::kind_of(flight.call).may_be_suspect;
}

bool mark_suspect(Engine& engine, const Flight& flight) {
    const auto failure = engine.transaction([&] {
        if (is_nobodys(flight)) {
            mark_destination_statement.run({pg::text(destination_of(flight).name)});
        } else {
            mark_row_statement.run({pg::bigint(flight.call.id)});
        }
    });
    if (failure) {
        engine.no_work_before = steady_now() + pause_after_failure;
        return false;
    }
    if (is_nobodys(flight)) {
        engine.marked_destinations.push_back(destination_of(flight).name);
    } else {
        engine.marked_alone.push_back(flight.call.id);
    }
    return true;
}

void unmark_suspects(Engine& engine) {
    if ((engine.marked_alone.empty() && engine.marked_destinations.empty()) ||
        steady_now() < engine.no_work_before) {
        return;
    }
    const auto failure = engine.transaction([&] {
        if (!engine.marked_alone.empty()) {
            unmark_rows_statement.run({pg::bigints(engine.marked_alone)});
        }
        for (const std::string& name : engine.marked_destinations) {
            unmark_destination_statement.run({pg::text(name)});
        }
    });
    if (failure) {
        engine.no_work_before = steady_now() + pause_after_failure;
        return;
    }
    engine.marked_alone.clear();
    engine.marked_destinations.clear();
}

}  // namespace pg_seats::engine
