// What the worker does for seats: planning calls of seat changes at the claim, what an answer means
// for the changes that a call carries, and storing what Stripe says of a subscription. The rules of
// seats themselves stand in SQL (src/schema/seats); here is what depends on answers and time.
#pragma once

#include "engine/decision.hpp"
#include "engine/settle.hpp"

namespace pg_seats::engine {

// ---- claim: seat changes become calls (seats_internal.freeze_changes)

// Candidates that are seat changes and not to be sent now.
struct SeatPlans {
    std::vector<std::int64_t> to_read;  // their subscriptions are read first
    std::vector<std::int64_t> over;     // settled without a call, or they wait, or are in review
    std::vector<std::int64_t> locked;   // somebody holds their team
    std::vector<std::int64_t> later;    // too many for one claim

    [[nodiscard]] bool is_settled_or_waits(std::int64_t id) const;
};

// Inside the claim's transaction.
SeatPlans plan_seat_changes(Engine& engine, const std::vector<Candidate>& candidates);
// After its commit: what is not sent is looked at again, at once or later.
void heed_seat_plans(Engine& engine, const std::vector<Candidate>& candidates,
                     const SeatPlans& plans);

// ---- decide

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

// ---- settle, inside its transaction

// Locks the teams of the items, and gives those whose team somebody else holds.
std::vector<const Settlement*> lock_teams(Engine& engine, std::span<const Settlement* const> items);
// After the rows themselves were written; `left` were not.
void store_seats(Engine& engine, std::span<const Settlement* const> items,
                 const std::vector<std::int64_t>& left);

}  // namespace pg_seats::engine
