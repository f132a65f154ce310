#include "engine/health.hpp"

#include "core/safe_text.hpp"

#include "pg/log.hpp"
#include "pg/time.hpp"

namespace pg_seats::engine {
namespace {

constexpr std::chrono::seconds most_clock_offset{60};
// One alone may have lain about while we stood still.
constexpr int answers_that_prove = 3;

}  // namespace

void note_clock(const Flight& flight) {
    Destination& destination = destination_of(flight);
    if (!flight.answer.response.headers.date || !destination.is_stripe()) {
        return;
    }
    // It was made between sending and now: we may have stood still for long.
    const std::chrono::seconds offset = std::chrono::duration_cast<std::chrono::seconds>(
        *flight.answer.response.headers.date - std::chrono::system_clock::now());
    const std::chrono::seconds waited{(pg::now() - flight.sent_at) / USECS_PER_SEC};
    const bool is_off = offset > most_clock_offset || offset < -most_clock_offset - waited;
    destination.answers_off = is_off ? destination.answers_off + 1 : 0;
    if (is_off && destination.answers_off < answers_that_prove) {
        return;
    }
    if (destination.clock_is_off != is_off || !destination.clock_was_compared) {
        destination.clock_is_stored = false;
    }
    destination.clock_offset = offset;
    destination.clock_is_off = is_off;
    destination.clock_was_compared = true;
}

void note_health(Engine& engine, const Flight& flight, const core::Judgement& judgement) {
    Destination& destination = destination_of(flight);
    note_clock(flight);
    const TimePoint now = steady_now();
    if (judgement.slow_down) {
        destination.bucket.slow_down(now);
    }
    if (!judgement.counts_for_breaker) {
        destination.breaker.succeeded();
    } else if (destination.breaker.failed(now)) {
        destination.trouble = core::safe_text(judgement.message, 150);
        pg::log_warning("destination " + destination.name +
                        " does not answer: sending is interrupted, a read tries it from time to "
                        "time. Last: " +
                        core::safe_text(judgement.message, 200));
        engine.announce = true;
    }
}

}  // namespace pg_seats::engine
