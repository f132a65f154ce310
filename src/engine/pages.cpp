#include "engine/pages.hpp"

namespace pg_seats::engine {
namespace {

// Not in the lane's own row: applications hold that one until they commit, and nobody waits for
// them. Nor in the team's. This one is written by nobody who does not hold the call's row, too.
// (Nearly all are there: what an INSERT finds in its way it locks first, and writes that down.)
pg::Statement news_statement{
    "WITH news AS MATERIALIZED ("
    "  SELECT n.lane_id, n.marker FROM unnest($1::bigint[], $2::text[]) AS n (lane_id, marker)),"
    " known AS ("
    "  UPDATE seats_internal.lane_marker AS m"
    "     SET marker = coalesce(n.marker, m.marker), changes = m.changes + 1"
    "    FROM news AS n WHERE m.lane_id = n.lane_id AND m.lane_id = ANY ($1)"
    "  RETURNING m.lane_id)"
    "INSERT INTO seats_internal.lane_marker AS m (lane_id, marker, changes)"
    " SELECT n.lane_id, n.marker, 1 FROM news AS n"
    "  WHERE NOT EXISTS (SELECT FROM known AS k WHERE k.lane_id = n.lane_id)"
    " ON CONFLICT (lane_id) DO UPDATE"
    "    SET marker = coalesce(excluded.marker, m.marker), changes = m.changes + 1"};

}  // namespace

void store_lane_news(const LaneNews& news) {
    if (!news.lanes.empty()) {
        news_statement.run({pg::bigints(news.lanes), pg::texts(news.markers)});
    }
}

void raise_pages(const std::vector<std::int64_t>& lanes) {
    LaneNews news;
    for (const std::int64_t lane : lanes) {
        news.add(lane);
    }
    store_lane_news(news);
}

bool is_on_a_page(const core::Call& call) {
    return call.lane_id != 0 && (call.team_id != 0 || call.path.starts_with("/v1/subscription"));
}

std::vector<std::int64_t> lanes_of_teams(const pg::Rows& rows) {
    std::vector<std::int64_t> lanes;
    for (std::size_t row = 0; row < rows.size(); ++row) {
        if (!rows.is_null(row, 1) && !rows.is_null(row, 2)) {
            lanes.push_back(rows.bigint(row, 1));
        }
    }
    return lanes;
}

}  // namespace pg_seats::engine
