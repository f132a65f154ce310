#include "engine/chores.hpp"

#include <algorithm>

#include "pg/activity.hpp"
#include "pg/settings.hpp"
#include "pg/sql.hpp"

namespace pg_seats::engine {
namespace {

using pg::Statement;

Statement turn_statement{"SELECT seats_internal.turn_ring($1)"};
Statement expire_statement{
    "SELECT e.next_after::text FROM seats_internal.expire_invites($1::timestamptz) AS e"};
Statement sweep_statement{
    "SELECT s.queued, s.next_after::text"
    "  FROM seats_internal.sweep($1::timestamptz, $2, $3 * interval '1 second') AS s"};
Statement abandon_statement{"SELECT seats_internal.abandon_payments($1)"};
Statement sweep_payments_statement{"SELECT seats_internal.sweep_payments($1, $2)"};
Statement look_after_strays_statement{
    "SELECT s.is_given, s.after FROM seats_internal.look_after_strays($1, $2) AS s"};
Statement tell_statement{"SELECT seats_internal.tell_of_listings($1)"};
Statement recount_statement{"SELECT seats_internal.recount_teams()"};
Statement forget_statement{"SELECT seats_internal.forget($1)"};
Statement fenced_statement{
    "SELECT seats_internal.raise_alert('fenced', 'critical', 'fenced',"
    "    'nothing is sent from this database: ' || $1,"
    "    hint => 'seats.create_installation() sets a new database up; seats.adopt_database(reason, "
    "replaces_original) gives a copy the right to send.')"};
Statement unfenced_statement{
    "SELECT seats_internal.resolve_alert('fenced', 'the database may send')"};

// Five reads a second, whatever Stripe would allow: see docs/reconciliation.md.
constexpr int sweeps_per_second = 5;
constexpr int most_sweeps = 300;
constexpr int most_payments = 100;  // at a time
constexpr int most_strays = 500;
constexpr int most_abandoned = 100;

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

// Payments that nobody goes on with leave cancels in the outbox.
void abandon_payments(Engine& engine, TimePoint now) {
    int idle = 0;
    (void)engine.transaction([&] {
        idle = static_cast<int>(abandon_statement.run({pg::integer(most_abandoned)}).integer(0, 1));
    });
    if (idle > 0) {
        engine.look_for_arrivals = true;
    }
    if (idle >= most_abandoned) {
        engine.chores_at = now + pause_between_batches;
    }
}

// What was forgotten here becomes its member's as soon as nobody has him. Telling people waits for
// whoever looks at an alert, so it comes last and by itself.
void look_after_strays(Engine& engine) {
    (void)engine.transaction([&] {
        const pg::Rows rows = look_after_strays_statement.run(
            {pg::integer(most_strays), pg::text(engine.strays_after)});
        if (rows.boolean(0, 1)) {
            engine.look_for_arrivals = true;
        }
        engine.strays_after = rows.string(0, 2);
    });
}

// Intents that are to be listed or read.
void look_after_payments(Engine& engine) {
    std::vector<std::string_view> reached;
    for (const auto& [name, destination] : engine.destinations) {
        if (destination.is_stripe() && destination.takes_calls()) {
            reached.push_back(name);
        }
    }
    (void)engine.transaction([&] {
        if (sweep_payments_statement.run({pg::integer(most_payments), pg::texts(reached)})
                .boolean(0, 1)) {
            engine.look_for_arrivals = true;
        }
    });
}

void expire_and_sweep(Engine& engine, TimePoint now) {
    const auto since_last = std::chrono::duration_cast<core::Duration>(now - engine.chores_before);
    engine.chores_before = now;
    pg::show_working("doing chores");
    engine.chores_at = now + core::Duration{pg::settings.safety_poll_ms};
    // Now and then also what was passed by: somebody had it locked, or it came late.
    if (now >= engine.all_chores_at) {
        engine.all_chores_at = now + std::chrono::hours{1};
        engine.expired_until = engine.swept_until = "-infinity";
    }
    (void)engine.transaction([&] {
        engine.expired_until = expire_statement.run({pg::text(engine.expired_until)}).string(0, 1);
    });
    abandon_payments(engine, now);
    sweep(engine, since_last);
    look_after_strays(engine);
    look_after_payments(engine);
    (void)engine.transaction([&] { tell_statement.run({pg::integer(most_payments)}); });
    engine.announce = true;
}

// Other prices are listed than those by which some teams were counted. What waited for that is
// offered anew.
void recount(Engine& engine) {
    core::Duration pause{pause_after_failure};
    pg::show_working("counting teams by other prices");
    (void)engine.transaction([&] {
        const pg::Rows rows = recount_statement.run();
        engine.recounting = !rows.is_null(0, 1);
        pause = core::Duration{engine.recounting ? rows.integer(0, 1) : 0};
    });
    engine.recount_at = steady_now() + pause;
    engine.look_for_arrivals = engine.announce = engine.wake_all_waiters = true;
}

// Not yet set up is no alert: it is the next step of setting up, and health says so.
void alert_fence(Engine& engine, TimePoint now) {
    if (engine.fence == engine.fence_told || !engine.may_write() || now < engine.housework_before) {
        return;
    }
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

void turn_ring(Engine& engine, TimePoint now) {
    engine.turn_ring_at = now + std::chrono::minutes{10};
    pg::show_working("doing chores");
    (void)engine.transaction([] { turn_statement.run({pg::integer(pg::settings.history_days)}); });
}

void forget_what_is_old(Engine& engine, TimePoint now) {
    engine.forget_at = now + std::chrono::minutes{10};
    pg::show_working("doing chores");
    bool is_more = false;
    (void)engine.transaction([&] {
        is_more = forget_statement.run({pg::integer(pg::settings.history_days)}).boolean(0, 1);
    });
    if (is_more) {
        engine.forget_at = now + pause_between_batches;
    }
}

}  // namespace

void keep_house(Engine& engine) {
    const TimePoint now = steady_now();
    alert_fence(engine, now);
    if (!engine.may_send()) {
        return;
    }
    if (now >= engine.chores_at && now >= engine.no_work_before) {
        expire_and_sweep(engine, now);
    }
    if (now >= engine.turn_ring_at) {
        turn_ring(engine, now);
    }
    if (engine.recounting && now >= engine.recount_at && now >= engine.no_work_before) {
        recount(engine);
    }
    if (now >= engine.forget_at) {
        forget_what_is_old(engine, now);
    }
}

}  // namespace pg_seats::engine
