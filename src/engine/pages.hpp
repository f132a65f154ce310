// The worker's part of the versions of teams' pages (src/schema/pages): raised in the transaction
// that changes what they show.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

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

// Of rows that a statement gives as (lane_id, team_id, …): the lanes of those that are a team's.
[[nodiscard]] std::vector<std::int64_t> lanes_of_teams(const pg::Rows& rows);

}  // namespace pg_seats::engine
