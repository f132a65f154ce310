#include "engine/show.hpp"

#include "pg/time.hpp"

namespace pg_seats::engine {
namespace {

void broadcast(std::int64_t call) {
    ConditionVariableBroadcast(&pg::settled_condition(*pg::shared_state(), call));
}

void broadcast_to_all() {
    for (ConditionVariable& condition : pg::shared_state()->settled) {
        ConditionVariableBroadcast(&condition);
    }
}

}  // namespace

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
