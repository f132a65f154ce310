#include "engine/effects.hpp"

#include <algorithm>
#include <iterator>

#include "engine/halts.hpp"

#include "pg/log.hpp"

namespace pg_seats::engine {
namespace {

pg_atomic_uint64& counter_of(Engine& engine, core::Counter counter) {
    pg::WorkerCounters& counters = engine.slot.counters;
    switch (counter) {
        case core::Counter::done:
            return counters.done;
        case core::Counter::refused:
            return counters.refused;
        case core::Counter::again:
            return counters.again;
        case core::Counter::unknown:
            return counters.unknown;
        case core::Counter::halted:
            return counters.halted;
        case core::Counter::reads:
            break;
    }
    return counters.reads;
}

}  // namespace

void apply(Engine& engine, const Flight& flight, const core::Effects& effects) {
    Destination& destination = destination_of(flight);
    core::Mistakes& mistakes = destination.mistakes;
    if (effects.question) {
        mistakes.ask(flight.call.id);
    }
    if (effects.wants_probe) {
        destination.probe_is_wanted = true;
    }
    if (effects.refusal) {
        mistakes.note(*effects.refusal);
    }
    if (effects.is_everywhere) {
        std::ranges::copy(mistakes.take_back(*effects.refusal),
                          std::back_inserter(destination.take_back));
    }
    if (effects.halt) {
        halt(destination, effects.halt->reason, effects.halt->message,
             effects.halt->needs_person ? NeedsPerson::yes : NeedsPerson::no);
    }
    if (effects.is_everywhere) {
        destination.halt_is_stored = false;  // also if it was halted already: calls are taken back
    }
    for (const core::LogLine& line : effects.log) {
        pg::log_warning(line.text, line.hint);
    }
    // Last: what is interrupted before is decided again, and all but this may be done twice.
    if (effects.count) {
        count(counter_of(engine, *effects.count));
    }
}

}  // namespace pg_seats::engine
