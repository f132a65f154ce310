// What an answer means for the changes that a call carries, and for what is known of their
// subscription.
#pragma once

#include "engine/decision.hpp"

namespace pg_seats::engine {

// Provably not executed, and nothing stored under the key: the changes are planned anew, on a new
// base and with what has come since.
void plan_anew_if_harmless(const Flight& flight, Decision& decision);

// Somebody has removed an item that our call was to change. Nothing was executed: the changes are
// planned anew on what is there now. (Not for ever: then a person looks at it.)
[[nodiscard]] bool can_be_planned_anew(const Call& call, const core::Judgement& judgement);
Decision plan_anew(const Flight& flight, const core::Judgement& judgement);

// A refusal about the amount, or about one line, says nothing about fewer changes.
[[nodiscard]] bool can_be_split(const Call& call, const core::Judgement& judgement);
Decision split(const Flight& flight, const core::Judgement& judgement);

Decision change_was_done(Flight& flight);
Decision change_awaits_payment(Flight& flight);
Decision change_still_awaits(Flight& flight);
// Executed; what is there now is read, if the answer at hand does not tell.
Decision change_is_proven(Flight& flight, std::string_view reason);
// Executed, or waiting for its payment, but in another call than the one that we know of: its
// freeze was lost. Whom that one carried is told by its marker.
Decision change_went_with_others(Flight& flight);
Decision payment_did_not_come(Flight& flight);

Decision subscription_was_read(Engine& engine, Flight& flight);
Decision subscription_is_missing(const Flight& flight, const core::Judgement& judgement);
Decision price_was_read(const Flight& flight);
Decision price_is_missing(const Flight& flight, const core::Judgement& judgement);
Decision base_was_read(Engine& engine, Flight& flight);
Decision items_were_read(Engine& engine, Flight& flight);
Decision base_is_missing(Engine& engine, Flight& flight, const core::Judgement& judgement);
Decision read_of_base_failed(Engine& engine, const Flight& flight,
                             const core::Judgement& judgement);

// The facts of the answer at hand as SQL takes them; empty if it does not tell them all.
[[nodiscard]] std::string known_facts(const Flight& flight);

}  // namespace pg_seats::engine
