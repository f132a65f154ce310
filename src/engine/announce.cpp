#include "engine/announce.hpp"

#include <algorithm>

#include "engine/configuration.hpp"

#include "pg/activity.hpp"
#include "pg/settings.hpp"
#include "pg/sql.hpp"

namespace pg_seats::engine {
namespace {

using pg::Statement;

Statement number_statement{
    "SELECT n.numbered, n.seen_now::text"
    "  FROM seats_internal.number_journal($1::pg_snapshot) AS n"};
Statement announce_statement{"SELECT seats_internal.announce($1)"};
Statement deliver_statement{
    "SELECT t.enqueued, t.look_in FROM seats_internal.deliver_news($1 * interval '1 second',"
    "    $2 * interval '1 second', $3) AS t"};

}  // namespace

void announce(Engine& engine) {
    // Of what this loop has committed itself, too: it need not be woken for that.
    if ((pg_atomic_fetch_and_u32(&engine.slot.wake, ~std::uint32_t{pg::wake_news}) &
         pg::wake_news) != 0) {
        engine.announce = true;
    }
    if (!engine.announce || !engine.may_write() || steady_now() < engine.housework_before) {
        return;
    }
    pg::show_working("announcing");
    if (engine.may_send()) {  // a copy's journal is left as it is
        std::string seen;
        bool numbered = false;
        const auto failure = engine.transaction([&] {
            const pg::Rows rows = number_statement.run({pg::text(engine.journal_seen)});
            numbered = rows.bigint(0, 1) > 0;
            seen = rows.string(0, 2);
        });
        if (failure) {
            engine.housework_before = steady_now() + pause_after_failure;
            return;  // stays due
        }
        engine.journal_seen = seen;
        engine.has_numbered |= numbered;
    }
    const auto failure =
        engine.transaction([&] { announce_statement.run({pg::boolean(engine.has_numbered)}); });
    if (failure) {
        engine.housework_before = steady_now() + pause_after_failure;
        return;
    }
    engine.announce = engine.has_numbered = false;
    engine.deliver_at = {};
}

bool has_receivers(const Engine& engine) {
    return std::ranges::any_of(engine.destinations,
                               [](const auto& entry) { return !entry.second.format.empty(); });
}

void deliver_news(Engine& engine) {
    const TimePoint now = steady_now();
    if (now < engine.deliver_at || now < engine.delivered_at + pause_between_deliveries ||
        !engine.may_send() || !has_receivers(engine)) {
        return;
    }
    pg::show_working("telling receivers");
    bool enqueued = false;
    std::optional<double> look_in;
    const auto failure = engine.transaction([&] {
        const pg::Rows rows = deliver_statement.run({pg::integer(pg::settings.alert_period_s),
                                                     pg::integer(pg::settings.alert_reminder_s),
                                                     pg::integer(pg::settings.alerts_per_minute)});
        enqueued = rows.boolean(0, 1);
        if (!rows.is_null(0, 2)) {
            look_in = rows.number(0, 2);
        }
    });
    engine.delivered_at = now;
    if (failure) {
        engine.deliver_at = now + pause_after_failure;
        return;
    }
    engine.deliver_at = TimePoint::max();
    if (look_in) {
        engine.deliver_at =
            now +
            core::Duration{static_cast<std::int64_t>(std::min(*look_in, 86'400.0) * 1'000) + 1};
    }
    if (enqueued) {
        engine.look_for_arrivals = true;
        // It may be for a URL, or in a format, that was defined since the configuration was read:
        // it must not go to the former one.
        engine.configuration_is_stale = true;
        refresh_configuration(engine);
    }
}

}  // namespace pg_seats::engine
