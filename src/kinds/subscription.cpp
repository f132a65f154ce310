#include "core/safe_text.hpp"

#include "kinds/subscription.hpp"

namespace pg_seats::kinds {
namespace {

using pg::Statement;

Statement read_statement{"SELECT seats_internal.read_settled($1, $2::jsonb, $3, $4::uuid, $5)"};

Statement read_failed_statement{"SELECT seats_internal.read_failed($1, $2, $3)"};

}  // namespace

void store_subscription(Storing& storing, const Settlement& item, pg::Value read) {
    const auto& [flight, decision] = item;
    read_statement.run({pg::bigint(flight.call.team_id), pg::text(decision.facts),
                        pg::timestamp(decision.facts_as_of), pg::text(storing.run), read});
    storing.follow.all_waiters = true;  // of other reads, which it may have answered
    storing.follow.events = true;       // of calls, which it may have proved
    storing.follow.news = true;
}

void read_failed(Storing& storing, const Call& call, std::string_view problem, bool lasts) {
    read_failed_statement.run(
        {pg::bigint(call.busy_lane()), pg::text(problem), pg::boolean(lasts)});
    storing.follow.news = true;
}

void store_problem(Storing& storing, const Settlement& item) {
    const auto& [flight, decision] = item;
    if (!decision.read_problem.empty()) {
        read_failed(storing, flight.call, core::safe_text(decision.read_problem, 300),
                    decision.problem_lasts);
    }
}

}  // namespace pg_seats::kinds
