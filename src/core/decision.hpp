// From an answer to what is to be written: a function of the call, the answer, the policy, the
// time and chance, which touches nothing. What a decision wants of the worker's memory it says in
// its effects, and what is to be stored of it is stored with the row.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/call.hpp"
#include "core/client_secret.hpp"
#include "core/exchange.hpp"
#include "core/mistakes.hpp"
#include "core/pace.hpp"
#include "core/subscription.hpp"
#include "core/verdict.hpp"

#include "core/pure.hpp"

namespace pg_seats::core {

struct Rules;

// How an end is known.
enum class Proof : std::uint8_t {
    none,      // of what has not ended
    answered,  // by the answer to the call itself
    replayed,  // … which Stripe has given once more
    read,      // by what a read, or a list, shows
    event,
};
// Empty: none.
[[nodiscard]] std::string_view to_string(Proof proof);

// Where a conversation about one call stands; a follow-up replaces it.
struct Leg {
    Purpose purpose = Purpose::send;
    int pages = 0;         // of a list or of events, read so far
    int page_size = 100;   // fewer where so many are more than an answer may hold
    std::string cursor;    // where the next page starts
    Judgement first;       // of the call, while read_missing asks about it
    bool doubted = false;  // this very exchange has left doubt, and the row does not know of it yet
    // Of seats: why it is known to be executed (static storage), and how, while a read tells what
    // is there now; and what the reads have told so far, as of when.
    std::string_view proven;
    Proof proof = Proof::none;
    std::optional<SubscriptionFacts> subscription;
    Moment as_of = 0;
    std::optional<InvoiceFacts> invoice;  // that the call has made, by its own answer
};

// What may differ from one installation to the other, and what does not.
struct Policy {
    Duration retry_first{1'000};
    Duration retry_cap{60'000};
    Duration base_lifetime{60'000};
    int final_answer_gap_s = 60;
    int verify_after_silence_s = 300;
    int key_lifetime_s = 20 * 60 * 60;
    int delivery_lifetime_s = 24 * 60 * 60;

    Duration pause_between_looks{600'000};  // for what can neither be sent again nor be given up
    int key_forgotten_s = 24 * 60 * 60;     // by Stripe, after its last use
    // After so many tries in doubt a read is the better way to learn what happened.
    int tries_before_verifying = 4;
    int most_verifications = 6;  // reads that prove nothing, before a person is asked
    int most_pages = 20;
    int most_item_pages = 10;
    int most_plans = 5;
    // Of failed reads in a row: a person is told, and the pause between two grows no longer.
    int failed_reads_to_tell = 4;
    int most_failed_reads_counted = 10;
    // So long waits a call whose answer speaks of the whole destination; a probe tells meanwhile.
    Duration pause_for_probe{500};
};

// What is known of the destination.
struct Standing {
    const Mistakes& mistakes;
    bool halted = false;
    std::string_view name{};
};

struct Halt {
    std::string_view reason;  // a stable word
    std::string message;      // for people
    bool needs_person = false;
};

enum class Counter : std::uint8_t { done, refused, again, unknown, halted, reads };

struct LogLine {
    std::string text, hint;
};

// On the worker's memory: applied when the decision is complete, before anything is stored.
struct Effects {
    bool question = false;           // its answer may be about everybody: noted of this call
    bool wants_probe = false;        // … and a probe is to tell
    std::optional<Refusal> refusal;  // of what only we can have caused
    bool is_everywhere = false;      // … and it is our mistake
    std::optional<Halt> halt;
    std::optional<Counter> count;
    std::vector<LogLine> log;
};

struct Situation {
    const Call& call;
    const Rules& rules;
    Leg leg;
    const Answer& answer;
    const Judgement& judgement;
    const Standing& standing;
    const Policy& policy;
    Moment sent_at = 0;  // of the request that was answered
    Moment now = 0;
    TimePoint tick{};
    double chance = 0;  // uniform over [0, 1)
    Effects effects{};

    [[nodiscard]] bool is_in_doubt() const { return call.doubt || leg.doubted; }
    [[nodiscard]] int verifications() const { return call.verifications + (leg.doubted ? 1 : 0); }
};

struct Alert {
    std::string fingerprint, severity, kind, summary, hint;
};

enum class Result : std::uint8_t { none, done, refused, cancelled };
[[nodiscard]] std::string_view to_string(Result result);

enum class JournalKind : std::uint8_t {
    none,
    refused,
    review,
    awaiting_payment,
    proven_done,
    new_generation,
};
// Empty: no entry.
[[nodiscard]] std::string_view to_string(JournalKind kind);

struct Decision {
    enum class Outcome : std::uint8_t {
        settled,  // leaves the outbox for history, with its result
        stays,    // in `state`
        learned,  // the row stays as it is; what was read is stored
        asks,     // nothing yet: `next` is asked first
    };
    Outcome outcome = Outcome::stays;
    Result result = Result::none;
    Proof proof = Proof::none;
    State state = State::pending;
    Leg next;

    std::optional<Duration> due_in;
    bool doubt = false;
    bool forget_first_sent = false;  // thawed, or a new generation: nothing was sent under this key
    int tries = 0;
    int attempts = 0;
    int generation = 1;
    int verifications = 0;
    Moment key_final_at = 0;

    std::string reason, error;
    std::string error_code, decline_code;  // Stripe's, of that error
    std::optional<Verdict> verdict;
    bool clean = false;          // settled by the only attempt, no replay: needs no attempt row
    bool proves_marker = false;  // our marker is on the object now
    std::string answer;
    std::string list_cursor;  // of a call that stays, and is looked for in a list
    // What Stripe says of its object (to_json), as of when; and of seats, whether the changes of a
    // refused call are to be tried in smaller ones.
    std::string facts;
    Moment facts_as_of = 0;
    bool split = false;
    // Of seats that were bought or given back: to_json of the invoice that the call has made, or
    // else of the latest one (which may be that of its payment).
    std::string invoice;
    // Of a PaymentIntent that was made or read: handed over after the commit, or wiped with this.
    ClientSecret secret;
    // Why the subscription cannot be read, and whether a person should know.
    std::string read_problem;
    bool problem_lasts = false;
    // Stored with the row, or not at all.
    std::optional<Alert> alert;
    JournalKind journal = JournalKind::none;

    Effects effects;
};

// What the answer means, for the call itself or for a read about it.
struct Expectation {
    bool is_stripe = true;
    std::optional<bool> livemode{};
};
[[nodiscard]] Judgement judge_leg(const Call& call, const Rules& rules, Purpose purpose,
                                  const Answer& answer, Expectation expected);

[[nodiscard]] Decision decide(Situation situation);

}  // namespace pg_seats::core
