#include "core/safe_text.hpp"

#include "kinds/subscription.hpp"

namespace pg_seats::kinds {
namespace {

using pg::Statement;

Statement read_failed_statement{"SELECT seats_internal.read_failed($1, $2, $3)"};

}  // namespace

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
