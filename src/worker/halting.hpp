// When a destination stops: our own mistakes and configuration, and the pace that the
// answers ask for.
#pragma once

#include "worker/engine.hpp"

namespace pg_seats::worker {

enum class NeedsPerson : std::uint8_t { no, yes };

// Stops the destination at once in memory; the table and the alert follow with
// store_destination_changes(). `reason` is a stable word, `message` for people.
void halt(Destination& destination, std::string_view reason, std::string_view message,
          NeedsPerson needs_person);

// An answer that speaks of the whole destination (a wrong key, a wrong mode) stops it. But if a
// probe has succeeded since the same call stopped it last, the answer is about that call alone: it
// would stop all others again and again. False then.
bool stops_everybody(const Flight& flight, const core::Judgement& judgement);

// The same refusal (not about a card) in five lanes within a minute is our mistake: halts the
// destination, and true says that this call is to be held, not refused. Calls that were put into
// review for it before are taken back.
bool is_everywhere(Destination& destination, const Call& call, std::string_view fingerprint,
                   bool goes_to_review, std::string_view message);

// Compares our clock with the Date of an answer. Certificates, the age of webhooks and when keys
// end go by our clock.
void note_clock(const Flight& flight);

// Breaker, bucket and clock learn from every answer.
void note_health(Engine& engine, const Flight& flight, const core::Judgement& judgement);

}  // namespace pg_seats::worker
