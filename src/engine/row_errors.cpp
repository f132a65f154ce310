#include "engine/row_errors.hpp"

#include <algorithm>

#include "engine/find.hpp"
#include "engine/pages.hpp"
#include "engine/ready.hpp"
#include "engine/trouble.hpp"

#include "pg/log.hpp"
#include "pg/sql.hpp"
#include "pg/time.hpp"

namespace pg_seats::engine {
namespace {

using pg::Statement;

constexpr int errors_before_review = 3;

Statement charge_statement{
    "UPDATE seats_internal.outbox AS o"
    "   SET row_errors = o.row_errors + 1, last_error = $2, reason = 'database_error',"
    "       error_code = NULL, decline_code = NULL,"
    "       doubt = o.doubt OR o.state = 'sending',"
    "       state = CASE WHEN o.row_errors + 1 >= $3 THEN 'review'"
    "                    WHEN o.state = 'sending' THEN 'waiting'"
    "                    ELSE o.state END,"
    "       state_since = pg_catalog.clock_timestamp(),"
    "       due_at = CASE WHEN o.row_errors + 1 >= $3 THEN NULL"
    "                     ELSE pg_catalog.clock_timestamp()"
    "                          + (o.row_errors + 1) * interval '2 seconds' END"
    " WHERE o.id = $1 RETURNING o.lane_id, " TEAM_OF_LANE ", o.state::text"};

Statement alert_statement{
    "SELECT seats_internal.raise_alert($1, $2, $3, $4, hint => $5, call_id => $6)"};

// Returns false if even this raised.
// `fatal`: Stripe has refused, and what the application was given cannot be taken back.
bool charge(Engine& engine, std::int64_t id, const pg::Failure& failure, bool after_answer,
            bool fatal = false) {
    const auto second = engine.transaction([&] {
        const pg::Rows rows = charge_statement.run(
            {pg::bigint(id), pg::text(in_words(failure)), pg::integer(errors_before_review)});
        if (rows.empty()) {
            return;
        }
        raise_pages(lanes_of_teams(rows));
        const bool review = rows.bytes(0, 3) == "review";
        const std::string call = std::to_string(id);
        if (after_answer || review) {
            alert_statement.run(
                {pg::text((after_answer ? "settling:" : "review:") + call),
                 pg::text(fatal ? "fatal" : "critical"),
                 pg::text(fatal          ? "compensation_failed"
                          : after_answer ? "settling_failed"
                                         : "review"),
                 pg::text(after_answer
                              ? "Stripe has answered call " + call +
                                    ", and the answer cannot be stored: " + in_words(failure)
                              : "call " + call + " cannot be handled: " + in_words(failure)),
                 pg::text(review ? "The row stands in review: remove the cause, then "
                                   "seats.resolve_review(call, 'same_key', reason)."
                                 : "It is tried again; Stripe replays its answer under the same "
                                   "key. Remove the cause."),
                 pg::bigint(id)});
            engine.announce = true;
        }
    });
    count(engine.slot.counters.row_errors);
    will_be_due(engine, pg::now());
    return !second;
}

}  // namespace

void claim_failed(Engine& engine, const pg::Failure& failure,
                  const std::vector<Candidate>& candidates) {
    engine.look_for_arrivals = true;
    if (engine.leave) {
        return;
    }
    const bool is_somebodys =
        candidates.size() == 1 && !failure.is_about_resources() && !failure.is_retriable();
    if (is_somebodys && charge(engine, candidates.front().id, failure, false)) {
        trouble_is_over(engine);
        const Candidate& candidate = candidates.front();
        release_lane(engine, *candidate.destination, candidate.busy_lane(), std::nullopt);
        return;
    }
    for (const Candidate& candidate : candidates) {
        look_again(engine, candidate);
    }
    if (!failure.is_about_resources() && !failure.is_retriable()) {
        engine.claims_one_by_one =
            std::max<int>(engine.claims_one_by_one, static_cast<int>(candidates.size()) * 2);
    }
    if (candidates.size() <= 1 || failure.is_about_resources()) {
        pause(engine, failure, "cannot claim");
    }
}

bool charge_answer(Engine& engine, const Flight& flight, const pg::Failure& failure) {
    pg::log_warning("deciding about the answer to call " + std::to_string(flight.call.id) +
                    " raised: " + in_words(failure));
    if (!charge(engine, flight.call.id, failure, true)) {
        return false;
    }
    release_lane(engine, destination_of(flight), flight.call.busy_lane(), std::nullopt);
    return true;
}

bool charge_row(Engine& engine, const Settlement& item, const pg::Failure& failure) {
    pg::log_warning("settling call " + std::to_string(item.flight.call.id) +
                    " raised: " + in_words(failure));
    if (!charge(engine, item.flight.call.id, failure, true,
                kinds::kind_of(item).is_given_at_once &&
                    item.decision.result == core::Result::refused)) {
        return false;
    }
    release_lane(engine, destination_of(item.flight), item.flight.call.busy_lane(), std::nullopt);
    return true;
}

}  // namespace pg_seats::engine
