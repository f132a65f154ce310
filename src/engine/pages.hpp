// The worker's part of the versions of teams' pages (src/schema/pages): raised in the transaction
// that changes what they show.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/call.hpp"
#include "pg/sql.hpp"

namespace pg_seats::engine {

// What is written of lanes: the marker that a call of each has left, or that its team's page shows
// something else, or both. A lane stands there once at most.
struct LaneNews {
    std::vector<std::int64_t> lanes;
    std::vector<std::string_view> markers;  // empty: none was left

    void add(std::int64_t lane, std::string_view marker = {}) {
        lanes.push_back(lane);
        markers.push_back(marker);
    }
};

void store_lane_news(const LaneNews& news);

void raise_pages(const std::vector<std::int64_t>& lanes);

// Whose page shows what becomes of a row of the outbox: a change is behind whatever is before it in
// its lane, also if that is an application's own call.
#define TEAM_OF_LANE "(SELECT t.id FROM seats_internal.team AS t WHERE t.lane_id = o.lane_id)"

// The same of a call in hand, of which only the path is known: what concerns a subscription is in
// its team's lane. (Of one that is in none nothing comes but a number.)
[[nodiscard]] bool is_on_a_page(const core::Call& call);

// Of rows that a statement gives as (lane_id, TEAM_OF_LANE, …): the lanes of those that are a
// team's.
[[nodiscard]] std::vector<std::int64_t> lanes_of_teams(const pg::Rows& rows);

}  // namespace pg_seats::engine
