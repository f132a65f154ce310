#include "handlers/table.hpp"

namespace pg_seats::handlers {
namespace {

using pg::Statement;

Statement begin_statement{"SELECT seats_internal.begin_dispatching()"};
Statement waiting_statement{
    "SELECT w.call_id, w.lane_id, w.role_oid::bigint, w.due_at, w.careful, w.starts, w.role_is_same"
    "  FROM seats_internal.waiting_handlers($1, $2) AS w"};
Statement handed_statement{
    "SELECT h.call_id, h.lane_id, h.role_oid::bigint, h.due_at, h.careful, h.starts, h.role_is_same"
    "  FROM seats_internal.handed_handlers($1) AS h"};
Statement forget_statement{"SELECT seats_internal.forget_starts($1)"};
Statement review_statement{"SELECT seats_internal.review_handlers($1, 'role_changed')"};
Statement failed_statement{
    "SELECT seats_internal.handler_failed($1, $2, $3, NULL, NULL, careful => $4)"};
Statement stuck_statement{"SELECT seats_internal.alert_stuck_handler($1, $2, $3)"};
Statement unstuck_statement{
    "SELECT seats_internal.resolve_alert('handler_stuck:' || $1::bigint, 'it has come to its "
    "end')"};
Statement role_statement{"SELECT seats_internal.alert_role_of_handlers($1::bigint::oid, $2)"};

Found found(const pg::Rows& rows) {
    Found found;
    found.page.rows.reserve(rows.size());
    for (std::size_t row = 0; row < rows.size(); ++row) {
        const std::int64_t call = rows.bigint(row, 1);
        if (!rows.boolean(row, 7)) {
            found.of_nobody.push_back(call);
            continue;
        }
        found.page.rows.push_back({.call = call,
                                   .lane = rows.is_null(row, 2) ? 0 : rows.bigint(row, 2),
                                   .role = static_cast<core::RoleId>(rows.bigint(row, 3)),
                                   .due_at = rows.timestamp(row, 4),
                                   .careful = rows.boolean(row, 5)});
        if (rows.smallint(row, 6) > 0) {
            found.begun.push_back(call);
        }
    }
    return found;
}

}  // namespace

void begin_dispatching() {
    begin_statement.run();
}

Found waiting_handlers(std::int64_t after, std::size_t most) {
    const pg::Rows rows =
        waiting_statement.run({pg::bigint(after), pg::integer(static_cast<std::int32_t>(most))});
    Found page = found(rows);
    if (rows.size() == most) {
        page.page.read_up_to = rows.bigint(most - 1, 1);
    }
    return page;
}

Found handed_handlers(const std::vector<std::int64_t>& calls) {
    return found(handed_statement.run({pg::bigints(calls)}));
}

void forget_starts(const std::vector<std::int64_t>& calls) {
    forget_statement.run({pg::bigints(calls)});
}

void review_for_role(const std::vector<std::int64_t>& calls) {
    review_statement.run({pg::bigints(calls)});
}

bool charge_for_death(std::int64_t call, bool timed_out) {
    const std::string_view message =
        timed_out ? "it ran for longer than pg_seats.handler_timeout and heeded no cancel, so its "
                    "process was ended"
                  : "its process was ended";
    return !failed_statement
                .run({pg::bigint(call), pg::text(timed_out ? "57014" : "57P01"), pg::text(message),
                      pg::boolean(timed_out)})
                .is_null(0, 1);
}

void alert_stuck(std::int64_t call, pid_t pid, TimestampTz since) {
    stuck_statement.run({pg::bigint(call), pg::integer(pid), pg::timestamp(since)});
}

void resolve_stuck(std::int64_t call) {
    unstuck_statement.run({pg::bigint(call)});
}

void alert_role(Oid role, std::string_view trouble) {
    role_statement.run({pg::bigint(role), pg::text_or_null(trouble)});
}

}  // namespace pg_seats::handlers
