// A row of the outbox as it is read before it goes on the wire.
#pragma once

#include "core/call.hpp"

#include "pg/columns.hpp"

namespace pg_seats::engine {

using core::Call;

struct StateName {
    using Element = core::State;
    static Element read(const pg::Rows& rows, std::size_t row, int column) {
        return core::state_of(rows.label(row, column));
    }
};

struct VerifierName {
    using Element = core::Verifier;
    static Element read(const pg::Rows& rows, std::size_t row, int column) {
        return core::verifier_of(rows.bytes(row, column));
    }
};

// As a statement writes it.
inline constexpr auto preview_literal = pg::Sql{"'"} + core::preview_path + "'";

#define DESTINATION_VERSION                                      \
    "(SELECT d.api_version FROM seats_internal.destination AS d" \
    "  WHERE d.name = o.destination)"

// (What was not frozen has no version of its own yet, and is read all the same.)
// clang-format off
inline constexpr std::tuple call_columns{
    pg::column<pg::Bigint>("o.id", &Call::id),
    pg::column<pg::Bigint>("o.lane_id", &Call::lane_id),
    pg::column<pg::Text>("o.destination", &Call::destination),
    pg::column<pg::Uuid>("o.uuid", &Call::uuid),
    pg::column<pg::Uuid>("o.installation", &Call::installation),
    pg::column<pg::Text>("o.method", &Call::method),
    pg::column<pg::Text>("o.path", &Call::path),
    pg::column<pg::Text>("o.body", &Call::body),
    pg::column<VerifierName>("o.verifier", &Call::verifier),
    pg::column<pg::Text>("o.marker", &Call::marker),
    pg::column<pg::Text>("coalesce(o.api_version, " DESTINATION_VERSION ")", &Call::api_version),
    pg::column<pg::Integer>("o.generation", &Call::generation),
    pg::column<pg::Integer>("o.tries", &Call::tries),
    pg::column<pg::Integer>("o.attempts", &Call::attempts),
    pg::column<pg::Integer>("o.verifications", &Call::verifications),
    pg::column<pg::Smallint>("o.interrupted", &Call::interrupted),
    pg::column<pg::Smallint>("o.row_errors", &Call::row_errors),
    pg::column<pg::Boolean>("o.doubt", &Call::doubt),
    pg::column<pg::Timestamptz>("o.created_at", &Call::created_at),
    pg::column<pg::Timestamptz>("o.first_sent_at", &Call::first_sent_at),
    pg::column<pg::Timestamptz>("o.last_sent_at", &Call::last_sent_at),
    pg::column<pg::Timestamptz>("o.key_final_at", &Call::key_final_at),
    pg::column<StateName>("o.state", &Call::state),
    pg::column<pg::Text>("(SELECT m.marker FROM seats_internal.lane_marker AS m WHERE m.lane_id = o.lane_id)",
                         &Call::last_lane_marker),
    pg::column<pg::Text>("o.kind", &Call::kind),
    pg::column<pg::Bigint>("o.payment_id", &Call::payment_id),
    pg::column<pg::Text>("o.list_cursor", &Call::list_cursor),
    pg::column<pg::Bigint>("o.team_id", &Call::team_id),
    pg::column<pg::Bigint>("o.beside_lane_id", &Call::beside_lane_id),
    pg::column<pg::Bigint>("o.last_id", &Call::last_id),
    pg::column<pg::OptionalSmallint>("o.splits_left", &Call::splits_left),
    pg::column<pg::Boolean>("o.cancelled_by IS NOT NULL", &Call::cancelled)};
// clang-format on

[[nodiscard]] Call read_call(const pg::Rows& rows, std::size_t row);

}  // namespace pg_seats::engine
