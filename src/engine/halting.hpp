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

// True if an answer that speaks of the whole destination (a wrong key, a wrong mode) may be about
// more than its call, which is then held. Somebody's parameters can cause such words, too, so a
// probe is asked first: its failure halts the destination, and if it succeeds and the call gets the
// same answer again, that is about this call alone (false).
bool may_be_about_everybody(const Flight& flight, const core::Judgement& judgement);

// The same refusal in five lanes within a minute, of what only we can have caused, is our mistake:
// halts the destination, and true says that this call is to be held, not refused. Calls that were
// put into review for it before are taken back. For a minute after a person has resumed it, one
// lane is enough.
bool is_our_mistake(Destination& destination, const Call& call, const core::Judgement& judgement);

// A person has ended the halt of this destination.
void resumed_by_person(Destination& destination);

// Compares our clock with the Date of an answer. Certificates, the age of webhooks and when keys
// end go by our clock.
void note_clock(const Flight& flight);

// Breaker, bucket and clock learn from every answer.
void note_health(Engine& engine, const Flight& flight, const core::Judgement& judgement);

}  // namespace pg_seats::engine
