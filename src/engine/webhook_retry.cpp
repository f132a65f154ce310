#include "engine/webhook_retry.hpp"

#include "pg/activity.hpp"
#include "pg/settings.hpp"
#include "pg/sql.hpp"

namespace pg_seats::engine {
namespace {

using pg::Statement;

// Each is a subtransaction, and more than 64 in one transaction slow every backend.
constexpr int most_at_once = 30;

Statement retry_statement{"SELECT r.tried, r.next_in_ms FROM seats_internal.retry_events($1) AS r"};

}  // namespace

void retry_webhooks(Engine& engine) {
    const TimePoint now = steady_now();
    if (now < engine.webhooks_at || !engine.may_send()) {
        return;
    }
    // Without any there is a look at every safety poll, and whenever a session has left one.
    engine.webhooks_at = now + core::Duration{pg::settings.safety_poll_ms};
    pg::show_working("processing events");
    const auto failure = engine.transaction([&] {
        const pg::Rows rows = retry_statement.run({pg::integer(most_at_once)});
        if (rows.integer(0, 1) > 0) {
            engine.announce = engine.look_for_arrivals = true;
        }
        if (!rows.is_null(0, 2)) {
            const core::Duration next{rows.bigint(0, 2)};
            engine.webhooks_at = std::min(engine.webhooks_at, steady_now() + next);
        }
    });
    if (failure) {
        engine.webhooks_at = now + pause_after_failure;
    }
}

}  // namespace pg_seats::engine
