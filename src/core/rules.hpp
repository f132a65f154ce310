// What a kind of rows makes of an answer: where its rules differ from the general ones. The table
// of kinds points here.
#pragma once

#include <optional>

#include "core/decision.hpp"
#include "core/objects.hpp"

#include "core/pure.hpp"

namespace pg_seats::core {

Decision decide_answer(Situation& situation);
Decision decide_delivery(Situation& situation);

Decision change_was_done(Situation& situation);
Decision change_awaits_payment(Situation& situation);
Decision change_was_refused(Situation& situation);
Decision change_was_looked_at(Situation& situation, const ObjectFacts& facts);
Decision change_is_proven_by_event(Situation& situation);
std::optional<Decision> change_was_there(Situation& situation);
void plan_anew_if_harmless(const Situation& situation, Decision& decision);
void add_known_facts(const Situation& situation, Decision& decision);

Decision base_was_read(Situation& situation);
Decision subscription_is_missing(Situation& situation);
Decision read_of_base_failed(Situation& situation);
Decision price_was_read(Situation& situation);
Decision price_is_missing(Situation& situation);

// Null: the general rule.
struct Rules {
    Decision (*decide)(Situation&) = decide_answer;
    Decision (*done)(Situation&) = nullptr;
    Decision (*awaiting)(Situation&) = nullptr;
    Decision (*refused)(Situation&) = nullptr;
    // Its form, or the way it asks, is not accepted, and that is no question for a person.
    Decision (*not_accepted)(Situation&) = nullptr;
    // A verification has read its object.
    Decision (*object)(Situation&, const ObjectFacts&) = nullptr;
    // An event has proved that it was executed.
    Decision (*by_event)(Situation&) = nullptr;
    // After a plain 404 its object was read, and is there. Nothing: the general rule after all.
    std::optional<Decision> (*object_is_there)(Situation&) = nullptr;
    // Provably not executed now.
    void (*not_executed)(const Situation&, Decision&) = nullptr;
    // What the read at hand tells of its object goes along with a decision.
    void (*add_facts)(const Situation&, Decision&) = nullptr;

    // Made by us and not by an application: a mistake in it is ours, and may be everywhere.
    bool is_ours = false;
    // Whether it was executed makes a difference, so that is proven before it is sent again under a
    // key that Stripe may have forgotten.
    bool can_be_in_doubt = true;
    // Its ends are told by what settles them.
    bool has_own_journal = false;
    // A GET of the subscription itself.
    bool reads_subscription = false;
    // A 400, 403 or 404 is about this row alone, whatever it says.
    bool is_refused_by_status = false;
};

namespace rules {

inline constexpr Rules call{};
inline constexpr Rules of_our_own{.is_ours = true};
inline constexpr Rules change{.done = change_was_done,
                              .awaiting = change_awaits_payment,
                              .refused = change_was_refused,
                              .object = change_was_looked_at,
                              .by_event = change_is_proven_by_event,
                              .object_is_there = change_was_there,
                              .not_executed = plan_anew_if_harmless,
                              .add_facts = add_known_facts,
                              .is_ours = true,
                              .has_own_journal = true};
inline constexpr Rules read{.done = base_was_read,
                            .refused = subscription_is_missing,
                            .not_accepted = read_of_base_failed,
                            .is_ours = true,
                            .can_be_in_doubt = false,
                            .reads_subscription = true};
inline constexpr Rules price{.done = price_was_read,
                             .refused = price_is_missing,
                             .is_ours = true,
                             .can_be_in_doubt = false,
                             .is_refused_by_status = true};
inline constexpr Rules delivery{.decide = decide_delivery, .can_be_in_doubt = false};

}  // namespace rules

}  // namespace pg_seats::core
