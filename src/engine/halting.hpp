// When a destination stops: our own mistakes and configuration, and the pace that the
// answers ask for.
#pragma once

#include "engine/memory.hpp"

namespace pg_seats::engine {

enum class NeedsPerson : std::uint8_t { no, yes };

// Stops the destination at once in memory; the table and the alert follow with
// store_destination_changes(). `reason` is a stable word, `message` for people. One that is halted
// already takes the new words: what is wrong may have changed.
void halt(Destination& destination, std::string_view reason, std::string_view message,
          NeedsPerson needs_person);

// What a decision wants of the worker's memory.
void apply(Engine& engine, const Flight& flight, const core::Effects& effects);

// Compares our clock with the Date of an answer. Certificates, the age of webhooks and when keys
// end go by our clock.
void note_clock(const Flight& flight);

// Breaker, bucket and clock learn from every answer.
void note_health(Engine& engine, const Flight& flight, const core::Judgement& judgement);

}  // namespace pg_seats::engine
