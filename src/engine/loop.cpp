#include <algorithm>
#include <stdexcept>

#include "core/identity.hpp"
#include "engine/announce.hpp"
#include "engine/answers.hpp"
#include "engine/choose.hpp"
#include "engine/chores.hpp"
#include "engine/claim.hpp"
#include "engine/configuration.hpp"
#include "engine/counting.hpp"
#include "engine/event_lists.hpp"
#include "engine/find.hpp"
#include "engine/halts.hpp"
#include "engine/probes.hpp"
#include "engine/recovery.hpp"
#include "engine/send.hpp"
#include "engine/settle.hpp"
#include "engine/show.hpp"
#include "engine/suspects.hpp"
#include "engine/trace.hpp"
#include "engine/webhook_retry.hpp"

#include "engine/loop.hpp"
#include "pg/activity.hpp"
#include "pg/debug_point.hpp"
#include "pg/extension.hpp"
#include "pg/interrupts.hpp"
#include "pg/log.hpp"
#include "pg/own_slot.hpp"
#include "pg/settings.hpp"

extern "C" {
#include "postmaster/interrupt.h"
}

namespace pg_seats::engine {
namespace {

// Beside the calls: probes and lists of events.
constexpr std::size_t more_connections = 16;

// Answers whose rows are locked by others: how soon to look again, as most locks are over in a
// moment and whoever waits for the answer should not wait for the others that are not; and how many
// before nothing new is claimed.
constexpr core::Duration first_held_pause{10};
constexpr core::Duration longest_held_pause{500};
constexpr std::size_t most_held = 1'000;
constexpr std::size_t most_held_bytes = std::size_t{64} << 20U;

// While no destination takes calls, what arrives goes nowhere and is only to be counted: to look at
// it after every commit would cost about as much as the commit.
constexpr core::Duration pause_while_none_takes_calls{20};

// Somebody may hold what we want to change, and go to lunch. Whoever waits here makes all others
// wait.
constexpr const char* longest_wait_for_locks = "200ms";

std::size_t most_connections() {
    return static_cast<std::size_t>(pg::settings.max_in_flight) + more_connections;
}

void limit_waits_for_locks(const char* longest) {
    SetConfigOption("lock_timeout", longest, PGC_SUSET, PGC_S_OVERRIDE);
}

// The latch, the postmaster's death and curl's sockets (one epoll descriptor for all of them) are
// one wait. The set never changes: the server has no way to take an event out of it.
WaitEventSet* make_wait_set(int descriptor) {
    WaitEventSet* set = pg::create_wait_event_set(3);
    AddWaitEventToSet(set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, nullptr);
    AddWaitEventToSet(set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, nullptr, nullptr);
    AddWaitEventToSet(set, WL_SOCKET_READABLE, descriptor, nullptr, nullptr);
    return set;
}

void wait(WaitEventSet* set, long timeout_ms) {
    static uint32 wait_event = 0;
    if (wait_event == 0) {
        wait_event = pg::new_wait_event("PgSeatsWorkerMain");
    }
    WaitEvent events[3];
    WaitEventSetWait(set, timeout_ms, events, 3, wait_event);
    ResetLatch(MyLatch);
}

struct LoopState {
    Engine engine;
    std::vector<Settlement> batch;  // decided, not yet stored
    std::vector<Settlement> held;   // the same, and somebody else has locked their rows
    TimePoint held_at{};            // when to look whether they are free
    core::Duration held_pause{};    // before the next look
    TimePoint poll_at{};
    TimePoint arrivals_at{};  // when to look at arrivals, while none of them can go
    bool recovered = false;

    explicit LoopState(pg::WorkerSlot& slot) : engine(slot) {}
};

bool none_takes_calls(const Engine& engine) {
    return std::ranges::none_of(engine.destinations,
                                [](const auto& entry) { return entry.second.takes_calls(); });
}

// Whether all that we were told is left for later. The reason stays where it is, so whoever commits
// meanwhile finds it there and wakes nobody.
bool arrivals_can_wait(const LoopState& state, TimePoint now) {
    return pg_atomic_read_u32(&state.engine.slot.wake) == pg::wake_rows &&
           now < state.arrivals_at && none_takes_calls(state.engine);
}

void read_wake_reasons(LoopState& state) {
    Engine& engine = state.engine;
    const TimePoint now = steady_now();
    if (arrivals_can_wait(state, now)) {
        return;
    }
    const std::uint32_t reasons = pg_atomic_exchange_u32(&engine.slot.wake, 0);
    if (reasons == 0) {
        return;
    }
    state.arrivals_at = now + pause_while_none_takes_calls;
    count(engine.slot.counters.wakes);
    if ((reasons & pg::wake_webhooks) != 0) {
        engine.webhooks_at = TimePoint{};
        engine.announce = true;
    }
    if ((reasons & (pg::wake_rows | pg::wake_extension)) != 0) {
        engine.look_for_arrivals = true;
    }
    if ((reasons & pg::wake_news) != 0) {
        engine.announce = true;
    }
    if ((reasons & pg::wake_handlers) != 0) {
        engine.handlers.look_again();
    }
    // A changed extension, too: without an installation there is no claim, and rereading the
    // configuration is then the only transaction that would notice it.
    if ((reasons & (pg::wake_configuration | pg::wake_extension)) != 0) {
        engine.configuration_is_stale = true;
        engine.look_for_arrivals = true;
        engine.announce = true;  // verbs write the journal
        wake_all_waiters();
        look_for_missed_events(engine);
    }
}

// Answers that cannot be stored for now are not to fill the memory, whether they are many or large.
bool holds_too_much(const LoopState& state) {
    std::size_t bytes = 0;
    for (const Settlement& item : state.held) {
        bytes += item.decision.answer.size() + item.decision.facts.size();
    }
    return state.held.size() >= most_held || bytes >= most_held_bytes;
}

bool claim_is_due(Engine& engine) {
    if (!engine.may_send() || engine.installation.empty() || engine.configuration_is_stale) {
        return false;
    }
    if (!engine.answered_suspects.empty() ||
        engine.calls_under_way() >= pg::settings.max_in_flight) {
        return false;
    }
    const TimePoint now = steady_now();
    const auto until = until_ready(engine, now);
    return engine.look_for_arrivals || engine.next_due == 0 || has_ready(engine, now) ||
           (until && *until <= core::Duration{0});
}

std::optional<core::Duration> until_work(LoopState& state, TimePoint now) {
    Engine& engine = state.engine;
    if (engine.no_work_before > now) {
        return std::chrono::ceil<core::Duration>(engine.no_work_before - now);
    }
    if (!state.batch.empty() || engine.configuration_is_stale) {
        return core::Duration{100};
    }
    if (!engine.answered.empty() || !engine.answered_suspects.empty() || !engine.to_send.empty() ||
        engine.responses_taken < engine.responses.size()) {
        return core::Duration{0};
    }
    if (!engine.may_send() || holds_too_much(state)) {
        return std::nullopt;
    }
    if (claim_is_due(engine)) {  // what this loop has left in the outbox itself wakes nobody
        return core::Duration{0};
    }
    if (engine.calls_under_way() < pg::settings.max_in_flight) {
        return until_ready(engine, now);
    }
    return std::nullopt;
}

core::Duration until_next(LoopState& state) {
    Engine& engine = state.engine;
    const TimePoint now = steady_now();
    core::Duration until =
        std::max(std::chrono::ceil<core::Duration>(state.poll_at - now), core::Duration{0});
    const auto consider = [&until](std::optional<core::Duration> other) {
        if (other) {
            until = std::clamp(*other, core::Duration{0}, until);
        }
    };
    consider(until_work(state, now));
    // The server's own waits (for a lock, for a standby's flush) may have swallowed the latch of a
    // wake-up whose bits nobody has read yet. (And that of a reload: loop_until_end asks for it.)
    if (pg_atomic_read_u32(&engine.slot.wake) != 0) {
        consider(arrivals_can_wait(state, now)
                     ? std::chrono::ceil<core::Duration>(state.arrivals_at - now)
                     : core::Duration{0});
    }
    consider(engine.client.until_due());
    if (!engine.is_shown) {  // or the views would tell of a moment long past
        consider(pause_between_shows);
    }
    // Only while they would be looked at: a time that is past would keep the loop running.
    if (engine.may_send() && state.recovered && engine.no_work_before <= now) {
        consider(std::chrono::ceil<core::Duration>(engine.webhooks_at - now));
        consider(std::chrono::ceil<core::Duration>(engine.forget_at - now));
        if (engine.recounting) {
            consider(std::chrono::ceil<core::Duration>(engine.recount_at - now));
        }
        if (engine.events_expected && state.batch.empty()) {
            consider(std::chrono::ceil<core::Duration>(engine.events_at - now));
        }
    }
    if (state.batch.empty() && engine.no_work_before <= now) {
        consider(until_count(engine));
    }
    if (!state.held.empty()) {
        consider(std::chrono::ceil<core::Duration>(state.held_at - now));
    }
    if (engine.may_send() && state.recovered) {
        consider(engine.handlers.until_next());
    }
    for (const TimePoint before : {engine.changes_before, engine.housework_before}) {
        if (before > now) {
            consider(std::chrono::ceil<core::Duration>(before - now));
        }
    }
    if (engine.may_send() && engine.no_work_before <= now &&
        engine.deliver_at != TimePoint::max() && has_receivers(engine)) {
        consider(std::chrono::ceil<core::Duration>(
            std::max(engine.deliver_at, engine.delivered_at + pause_between_deliveries) - now));
    }
    consider(engine.may_send() ? until_probe(engine, now)
                               : core::Duration{1'000});  // the file may come at any moment
    // Interrupts are noticed within a second, whatever else is wrong.
    return std::min(until, core::Duration{state.engine.flights.empty() ? 60'000 : 1'000});
}

// What is looked at without having been told of: everything at each safety poll, files every
// second.
void look_around(LoopState& state, TimePoint now) {
    Engine& engine = state.engine;
    if (now >= state.poll_at) {
        state.poll_at = now + core::Duration{pg::settings.safety_poll_ms};
        engine.look_for_arrivals = true;
        engine.configuration_is_stale = true;
        engine.announce = true;
        engine.next_due = 0;
        expect_unseen(engine);
        look_for_missed_events(engine);
        engine.handlers.look_around();
        engine.counting.is_polled = true;
    }
    if (engine.configuration_is_stale && now >= engine.no_work_before) {
        refresh_configuration(engine);
    }
    watch_files(engine);
}

// What an earlier worker left on the wire comes first. (The calls of a copy are left as they are
// until it is adopted.) False: not yet.
bool is_recovered(LoopState& state, TimePoint now) {
    Engine& engine = state.engine;
    if (state.recovered || !engine.may_send()) {
        return true;
    }
    if (now >= engine.no_work_before) {
        pg::show_working("taking over what an earlier worker left");
        state.recovered = recover(engine);
    }
    return state.recovered;
}

void take_and_settle(LoopState& state, TimePoint now) {
    Engine& engine = state.engine;
    engine.client.limit_connections(most_connections());
    engine.client.work();
    take_answers(engine, state.batch);
    if (state.batch.empty() && !engine.answered_suspects.empty() && now >= engine.no_work_before) {
        take_answer_of_suspect(engine, state.batch);
    }
    const std::size_t held_before = state.held.size();
    if (!state.held.empty() && now >= state.held_at) {
        state.held_pause = std::min(2 * state.held_pause, longest_held_pause);
        state.held_at = now + state.held_pause;
        settle_held(engine, state.held, state.batch);
    }
    if (!state.batch.empty() && now >= engine.no_work_before) {
        pg::show_working("settling answers: " + std::to_string(state.batch.size()));
        pg::stand_at("after_answer");
        settle(engine, state.batch, state.held);
        if (state.held.size() > held_before) {
            state.held_pause = first_held_pause;
            state.held_at = now + state.held_pause;
        }
        wake_waiters(engine);
        if (state.batch.empty()) {
            pg::stand_at("after_settle");
        }
    }
    if (state.batch.empty()) {
        unmark_suspects(engine);
    }
}

void claim_and_send(LoopState& state, TimePoint now) {
    Engine& engine = state.engine;
    if (state.recovered && now >= engine.no_work_before) {
        deliver_news(engine);  // leaves rows for the claim
    }
    // While answers cannot be stored, nothing new goes out.
    if (state.batch.empty() && !holds_too_much(state) && now >= engine.no_work_before &&
        state.recovered && claim_is_due(engine)) {
        pg::show_working("claiming");
        claim(engine);
        if (!engine.to_send.empty()) {
            pg::stand_at("after_freeze");
        }
    }
    if (engine.may_send()) {
        due_probes(engine);
        if (state.recovered && state.batch.empty() && now >= engine.no_work_before) {
            due_event_lists(engine);
        }
    }
    send_all(engine);
    engine.client.work();
    if (state.batch.empty()) {
        unmark_suspects(engine);
    }
    wake_waiters(engine);  // of what was settled without a call
}

// Of calls that have ended, also just now: their handlers wait for nothing that follows here.
void dispatch_handlers(Engine& engine) {
    engine.handlers.work(
        [&](const std::function<void()>& body) { return engine.transaction(body); },
        engine.may_send());
    engine.announce |= engine.handlers.take_news();
}

void work_once(LoopState& state) {
    Engine& engine = state.engine;
    const TimePoint now = steady_now();
    look_around(state, now);
    if (!is_recovered(state, now)) {
        return;
    }
    take_and_settle(state, now);
    store_destination_changes(engine);
    dispatch_handlers(engine);
    if (engine.leave) {
        return;
    }
    claim_and_send(state, now);
    if (state.recovered && now >= engine.no_work_before) {
        retry_webhooks(engine);
    }
    keep_house(engine);
    announce(engine);
    if (state.batch.empty()) {
        count_rows(engine);
    }
    show_state(engine);
}

LoopEnd loop_until_end(LoopState& state, WaitEventSet* wait_set) {
    Engine& engine = state.engine;
    while (true) {
        try {
            pg::check_interrupts();
            count(engine.slot.counters.loops);
            if (pg::reload_configuration_if_asked()) {
                state.poll_at = TimePoint{};  // the intervals may be others
                engine.handlers.look_again();
                engine.events_at = TimePoint{};
            }
            read_wake_reasons(state);
            if (pg::must_step_aside()) {
                return LoopEnd::step_aside;
            }
            work_once(state);
            if (engine.leave) {
                return *engine.leave;
            }
            const long pause =
                ConfigReloadPending != 0 ? 0L : static_cast<long>(until_next(state).count());
            if (pause > 0) {
                pg::show_waiting(engine.flights.empty() ? "waiting" : "waiting for answers");
            }
            pg::guard(wait, wait_set, pause);
        } catch (const pg::ServerError& error) {
            // A cancel, say. Nothing was open: the transactions catch their own.
            pg::log_line(std::string("the worker's loop was interrupted: ") + error.what());
        }
    }
}

}  // namespace

Engine::Engine(pg::WorkerSlot& worker_slot)
    : slot(worker_slot), client(most_connections()), handlers(worker_slot) {}

Destination* Engine::find_destination(std::string_view name) {
    const auto entry = destinations.find(name);
    return entry == destinations.end() ? nullptr : &entry->second;
}

void Engine::check_extension() {
    switch (pg::check_extension(extension)) {
        case pg::ExtensionState::present:
            break;
        case pg::ExtensionState::gone:
            leave = LoopEnd::extension_gone;
            throw std::runtime_error("the extension is gone");
        case pg::ExtensionState::version_mismatch:
            leave = LoopEnd::version_mismatch;
            throw std::runtime_error("library and extension differ in version");
    }
}

LoopEnd run_loop(pg::WorkerSlot& slot) {
    LoopState state(slot);
    state.engine.extension = pg::own_extension();
    // Names this run of the worker: what an earlier one knew of subscriptions may be old.
    std::mt19937_64& random = state.engine.random;
    const std::uint64_t high = random();
    state.engine.run = core::random_uuid(high, random());
    WaitEventSet* const wait_set = pg::guard(make_wait_set, state.engine.client.descriptor());
    pg::guard(limit_waits_for_locks, longest_wait_for_locks);
    const LoopEnd end = loop_until_end(state, wait_set);
    pg::guard(limit_waits_for_locks, "0");
    pg::guard(FreeWaitEventSet, wait_set);  // before curl closes the descriptor in it
    return end;
}

}  // namespace pg_seats::engine
