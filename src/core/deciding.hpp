// What the files of decisions share; nobody else includes it.
#pragma once

#include "core/rules.hpp"

#include "core/pure.hpp"

namespace pg_seats::core {

// ---- decisions in the making

[[nodiscard]] Decision keep(const Situation& situation, State state);
[[nodiscard]] Decision finish(const Situation& situation, Result result, std::string_view reason);
// Of seats: executed, as the answer at hand tells, and what is there now may still have to be read.
void set_proven(Situation& situation, std::string_view reason);
[[nodiscard]] Decision to_review(const Situation& situation, std::string_view reason,
                                 std::string_view what_happened);
// Pending again, under a key that nothing was sent under and nothing is stored under.
[[nodiscard]] Decision under_new_key(const Situation& situation, std::string_view reason);
// A list is read from its first page on.
void begin_list(Leg& leg, Purpose purpose);
// The leg as it stands is asked next.
[[nodiscard]] Decision ask(const Situation& situation);
[[nodiscard]] Decision refuse(const Situation& situation);

[[nodiscard]] bool older_than(const Situation& situation, Moment moment, int seconds);
[[nodiscard]] Duration backoff(const Situation& situation, int tries,
                               std::optional<std::chrono::seconds> retry_after);

// ---- halting (halting.cpp)

// True if an answer that speaks of the whole destination (a wrong key, a wrong mode) may be about
// more than its call, which is then held. Somebody's parameters can cause such words, too, so a
// probe is asked first: its failure halts the destination, and if it succeeds and the call gets the
// same answer again, that is about this call alone (false).
[[nodiscard]] bool may_be_about_everybody(Situation& situation);

// The same refusal in five lanes within a minute, of what only we can have caused, is our mistake:
// halts the destination, and true says that this call is to be held, not refused. Calls that were
// put into review for it before are taken back. For a minute after a person has resumed it, one
// lane is enough.
[[nodiscard]] bool is_our_mistake(Situation& situation);

// ---- verification

[[nodiscard]] Decision decide_read(Situation& situation);
[[nodiscard]] Decision search_events_next(Situation& situation);
[[nodiscard]] Decision proven_done(const Situation& situation, std::string_view reason,
                                   std::string answer = {});
[[nodiscard]] Decision awaiting_still(const Situation& situation);
// The object shows nothing of this call: is that proof, or are events to be asked?
[[nodiscard]] Decision object_shows_nothing(Situation& situation, const ObjectFacts& facts);

// ---- seats

// The subscription in the answer. True: all of it is known. False: not the subscription that was
// asked for, or some items are on other pages.
[[nodiscard]] bool take_subscription(Situation& situation);
// The subscription is known, all its items too: what was that asked for?
[[nodiscard]] Decision with_subscription(const Situation& situation);
void add_facts(const Situation& situation, Decision& decision);
// Of a change that was executed: see Decision::invoice.
void add_invoice(const Situation& situation, Decision& decision);
[[nodiscard]] Decision read_items_next(Situation& situation);
[[nodiscard]] Decision items_were_read(Situation& situation);
// It is not there, or something else is.
[[nodiscard]] Decision base_is_missing(Situation& situation, const Judgement& judgement);
// It says nothing.
[[nodiscard]] Decision base_not_read(const Situation& situation, const Judgement& judgement);

}  // namespace pg_seats::core
