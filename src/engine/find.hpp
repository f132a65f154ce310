// What can go is found here, each row once: arrivals, what falls due, and the table by id for what
// did not fit. No statement's cost depends on the backlog.
#pragma once

#include "engine/memory.hpp"
#include "pg/sql.hpp"

namespace pg_seats::engine {

// Inside the claim's transaction: finds arrivals, due rows and, while a backlog is being read, its
// next rows, and puts them on the ready lists.
void find_ready(Engine& engine);

// Inside the claim's transaction, for each of the lanes: its first row above the one that was
// settled last, if it can go now (lane, id, interrupted).
pg::Rows find_lane_heads(const Engine& engine, const std::vector<std::int64_t>& lanes,
                         const std::vector<std::int64_t>& above);

// A row got this due_at: the next look must come in time and reach back far enough, also if the
// clock was set back since the last one.
void will_be_due(Engine& engine, TimestampTz due);

// Rows that came without a transaction of ours, by a restore or by replication, are above all that
// was seen.
void expect_unseen(Engine& engine);

// Another installation, another set of rows: the whole table is read anew.
void forget_what_was_seen(Engine& engine);

}  // namespace pg_seats::engine
