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

Decision decide_creation(Situation& situation);
Decision payment_was_made(Situation& situation);
Decision payment_is_in_list(Situation& situation, std::string object);
Decision payment_is_not_proven(Situation& situation);
Decision decide_payment_cancel(Situation& situation);
Decision payment_was_cancelled(Situation& situation);
Decision payment_cancel_was_refused(Situation& situation);
Decision payment_was_read(Situation& situation);
Decision payments_were_listed(Situation& situation);
Decision decide_list(Situation& situation);
Decision payment_cannot_be_read(Situation& situation);
Decision refund_was_made(Situation& situation);
Decision refund_is_in_list(Situation& situation, std::string object);

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
    // A list has it: the element, as JSON.
    Decision (*in_list)(Situation&, std::string) = nullptr;
    // It cannot be sent again as Stripe has forgotten its key, and nothing shows that it was
    // executed. With it, a list is looked through until then, however long it is, and no person is
    // asked.
    Decision (*when_key_is_forgotten)(Situation&) = nullptr;
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
    // An unknown outcome is looked for in a list of its objects, and not among events.
    bool is_proven_by_list = false;
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
inline constexpr Rules payment{.decide = decide_creation,
                               .done = payment_was_made,
                               .in_list = payment_is_in_list,
                               .when_key_is_forgotten = payment_is_not_proven,
                               .is_ours = true,
                               .has_own_journal = true,
                               .is_proven_by_list = true};
inline constexpr Rules payment_cancel{.decide = decide_payment_cancel,
                                      .done = payment_was_cancelled,
                                      .refused = payment_cancel_was_refused,
                                      .not_accepted = payment_cancel_was_refused,
                                      .is_ours = true,
                                      .can_be_in_doubt = false};
inline constexpr Rules payment_read{.decide = decide_list,
                                    .done = payment_was_read,
                                    .refused = payment_cannot_be_read,
                                    .not_accepted = payment_cannot_be_read,
                                    .is_ours = true,
                                    .can_be_in_doubt = false,
                                    .is_refused_by_status = true};
inline constexpr Rules payment_list{.decide = decide_list,
                                    .done = payments_were_listed,
                                    .refused = payment_cannot_be_read,
                                    .not_accepted = payment_cannot_be_read,
                                    .is_ours = true,
                                    .can_be_in_doubt = false,
                                    .is_refused_by_status = true};
inline constexpr Rules refund{.decide = decide_creation,
                              .done = refund_was_made,
                              .in_list = refund_is_in_list,
                              .is_ours = true,
                              .has_own_journal = true,
                              .is_proven_by_list = true};
inline constexpr Rules delivery{.decide = decide_delivery, .can_be_in_doubt = false};

}  // namespace rules

}  // namespace pg_seats::core
