#include "engine/housekeeping.hpp"

#include <algorithm>

#include "pg/log.hpp"
#include "pg/settings.hpp"
#include "pg/sql.hpp"

#include "engine/destinations.hpp"

namespace pg_seats::engine {
namespace {

using pg::Statement;

Statement number_statement{
    "SELECT n.numbered, n.seen_now::text"
    "  FROM seats_internal.number_journal($1::pg_snapshot) AS n"};
Statement announce_statement{"SELECT seats_internal.announce($1)"};
Statement tell_statement{
    "SELECT t.enqueued, t.look_in FROM seats_internal.tell_receivers($1 * interval '1 second',"
    "    $2 * interval '1 second', $3) AS t"};
Statement turn_statement{"SELECT seats_internal.turn_ring($1)"};
Statement expire_statement{
    "SELECT e.next_after::text FROM seats_internal.expire_invites($1::timestamptz) AS e"};
Statement sweep_statement{
    "SELECT s.queued, s.next_after::text"
    "  FROM seats_internal.sweep($1::timestamptz, $2, $3 * interval '1 second') AS s"};
Statement recount_statement{"SELECT seats_internal.recount_teams()"};
Statement forget_statement{"SELECT seats_internal.forget($1)"};
Statement fenced_statement{
    "SELECT seats_internal.raise_alert('fenced', 'critical', 'fenced',"
    "    'nothing is sent from this database: ' || $1,"
    "    hint => 'seats.create_installation() sets a new database up; seats.adopt_database(reason, "
    "replaces_original) gives a copy the right to send.')"};
Statement unfenced_statement{
    "SELECT seats_internal.resolve_alert('fenced', 'the database may send')"};

void broadcast(std::int64_t call) {
    ConditionVariableBroadcast(&pg::settled_condition(*pg::shared_state(), call));
}

void broadcast_to_all() {
    for (ConditionVariable& condition : pg::shared_state()->settled) {
        ConditionVariableBroadcast(&condition);
    }
}

// Five reads a second, whatever Stripe would allow: see docs/reconciliation.md.
constexpr int sweeps_per_second = 5;
constexpr int most_sweeps = 300;

// Of what is too old: what comes must not outrun what goes.
constexpr core::Duration pause_between_batches{1'000};

bool anything_is_ready(const Engine& engine) {
    return engine.reading_backlog || !engine.suspects.empty() ||
           std::ranges::any_of(engine.destinations,
                               [](const auto& entry) { return entry.second.ready() > 0; });
}

// In the background: where anything else waits, a sweep would only make it wait longer.
void sweep(Engine& engine, core::Duration since_last) {
    if (pg::settings.reconcile == pg::reconcile_off || anything_is_ready(engine)) {
        return;
    }
    const auto most = static_cast<int>(std::clamp<core::Duration::rep>(
        since_last.count() * sweeps_per_second / 1'000, 1, most_sweeps));
    (void)engine.transaction([&] {
        const pg::Rows rows = sweep_statement.run({pg::text(engine.swept_until), pg::integer(most),
                                                   pg::integer(pg::settings.reconcile_interval_s)});
        if (rows.integer(0, 1) > 0) {
            engine.look_for_arrivals = true;
        }
        engine.swept_until = rows.string(0, 2);
    });
}

void do_chores(Engine& engine) {
    const TimePoint now = steady_now();
    const auto since_last = std::chrono::duration_cast<core::Duration>(now - engine.chores_before);
    engine.chores_before = now;
    engine.chores_at = now + core::Duration{pg::settings.safety_poll_ms};
    // Now and then also what was passed by: somebody had it locked, or it came late.
    if (now >= engine.all_chores_at) {
        engine.all_chores_at = now + std::chrono::hours{1};
        engine.expired_until = engine.swept_until = "-infinity";
    }
    (void)engine.transaction([&] {
        engine.expired_until = expire_statement.run({pg::text(engine.expired_until)}).string(0, 1);
    });
    sweep(engine, since_last);
    engine.announce = true;
}

// Other prices are listed than those by which some teams were counted. What waited for that is
// offered anew.
void recount(Engine& engine) {
    core::Duration pause{pause_after_failure};
    (void)engine.transaction([&] {
        const pg::Rows rows = recount_statement.run();
        engine.recounting = !rows.is_null(0, 1);
        pause = core::Duration{engine.recounting ? rows.integer(0, 1) : 0};
    });
    engine.recount_at = steady_now() + pause;
    engine.look_for_arrivals = engine.announce = engine.wake_all_waiters = true;
}

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
    bool numbered = false;
    if (engine.may_send()) {  // a copy's journal is left as it is
        std::string seen;
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
    }
    const auto failure =
        engine.transaction([&] { announce_statement.run({pg::boolean(numbered)}); });
    if (failure) {
        engine.housework_before = steady_now() + pause_after_failure;
        return;
    }
    engine.announce = false;
    engine.tell_at = {};
}

bool has_receivers(const Engine& engine) {
    return std::ranges::any_of(engine.destinations,
                               [](const auto& entry) { return !entry.second.format.empty(); });
}

void tell_receivers(Engine& engine) {
    const TimePoint now = steady_now();
    if (now < engine.tell_at || now < engine.told_at + pause_between_tellings ||
        !engine.may_send() || !has_receivers(engine)) {
        return;
    }
    bool enqueued = false;
    std::optional<double> look_in;
    const auto failure = engine.transaction([&] {
        const pg::Rows rows = tell_statement.run({pg::integer(pg::settings.alert_period_s),
                                                  pg::integer(pg::settings.alert_reminder_s),
                                                  pg::integer(pg::settings.alerts_per_minute)});
        enqueued = rows.boolean(0, 1);
        if (!rows.is_null(0, 2)) {
            look_in = rows.number(0, 2);
        }
    });
    engine.told_at = now;
    if (failure) {
        engine.tell_at = now + pause_after_failure;
        return;
    }
    engine.tell_at = TimePoint::max();
    if (look_in) {
        engine.tell_at =
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

void keep_house(Engine& engine) {
    const TimePoint now = steady_now();
    // Not yet set up is no alert: it is the next step of setting up, and health says so.
    if (engine.fence != engine.fence_told && engine.may_write() && now >= engine.housework_before) {
        const auto failure = engine.transaction([&] {
            if (engine.fence.empty()) {
                unfenced_statement.run();
            } else {
                fenced_statement.run({pg::text(engine.fence)});
            }
        });
        if (failure) {
            engine.housework_before = now + pause_after_failure;
        } else {
            engine.fence_told = engine.fence;
            engine.announce = true;
        }
    }
    if (now >= engine.chores_at && engine.may_send() && now >= engine.no_work_before) {
        do_chores(engine);
    }
    if (now >= engine.turn_ring_at && engine.may_send()) {
        engine.turn_ring_at = now + std::chrono::minutes{10};
        (void)engine.transaction(
            [] { turn_statement.run({pg::integer(pg::settings.history_days)}); });
    }
    if (engine.recounting && now >= engine.recount_at && engine.may_send() &&
        now >= engine.no_work_before) {
        recount(engine);
    }
    if (now >= engine.forget_at && engine.may_send()) {
        engine.forget_at = now + std::chrono::minutes{10};
        bool is_more = false;
        (void)engine.transaction([&] {
            is_more = forget_statement.run({pg::integer(pg::settings.history_days)}).boolean(0, 1);
        });
        if (is_more) {
            engine.forget_at = now + pause_between_batches;
        }
    }
}

void show_state(Engine& engine) {
    const TimePoint now = steady_now();
    engine.is_shown = now >= engine.shown_at + pause_between_shows;
    if (!engine.is_shown) {
        return;
    }
    engine.shown_at = now;
    pg::SharedState& shared = *pg::shared_state();
    pg::WorkerSlot& slot = engine.slot;
    LWLockAcquire(shared.lock, LW_EXCLUSIVE);
    slot.last_loop_at = pg::now();
    slot.in_flight = static_cast<std::int32_t>(engine.flights.size());
    slot.reading_backlog = engine.reading_backlog;
    slot.ready = static_cast<std::int32_t>(engine.suspects.size());
    int shown = 0;
    for (const auto& [name, destination] : engine.destinations) {
        slot.ready += static_cast<std::int32_t>(destination.ready());
        if (shown == pg::max_destinations) {
            continue;
        }
        pg::DestinationStatus& status = slot.destinations[shown++];
        strlcpy(status.name, name.c_str(), sizeof status.name);
        status.breaker = static_cast<std::uint8_t>(destination.breaker.state());
        status.proven = destination.proven;
        status.requests_per_second = destination.bucket.current_rate();
        status.in_flight = destination.in_flight;
        status.held =
            destination.takes_calls() ? 0 : static_cast<std::int32_t>(destination.ready());
        const bool is_well = destination.proven && destination.breaker.lets_pass();
        strlcpy(status.trouble, is_well ? "" : destination.trouble.c_str(), sizeof status.trouble);
    }
    slot.destination_count = shown;
    LWLockRelease(shared.lock);
}

void wake_all_waiters() {
    pg::guard(broadcast_to_all);
}

void wake_waiters(Engine& engine) {
    for (const std::int64_t call : engine.settled_calls) {
        pg::guard(broadcast, call);
    }
    engine.settled_calls.clear();
    if (std::exchange(engine.wake_all_waiters, false)) {
        wake_all_waiters();
    }
}

}  // namespace pg_seats::engine
