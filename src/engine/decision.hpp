// From an answer to what is to be written: data flows one way, and nothing here touches the
// database. settle.cpp stores what is decided here.
#pragma once

#include "engine/memory.hpp"

namespace pg_seats::engine {

struct Alert {
    std::string fingerprint, severity, kind, summary, hint;
};

struct Decision {
    enum class Kind : std::uint8_t {
        finish,     // leaves the outbox for history: result done or refused
        change,     // stays, in `state`
        follow_up,  // nothing yet: a read was asked for first (Flight::purpose has changed)
        learned,    // the row stays as it is; what was read is stored
    };
    Kind kind = Kind::change;

    std::string_view result;  // finish: done, refused
    std::string_view state;   // change: pending, waiting, verifying, awaiting, review
    std::optional<core::Duration> due_in;
    bool doubt = false;
    bool forget_first_sent = false;  // thawed, or a new generation: nothing was sent under this key
    int tries = 0;
    int attempts = 0;
    int generation = 1;
    int verifications = 0;
    TimestampTz key_final_at = 0;

    std::string reason, error;
    std::string error_code, decline_code;  // Stripe's, of that error
    std::string_view verdict;
    bool clean = false;          // finish: by the only attempt, no replay: needs no attempt row
    bool proves_marker = false;  // our marker is on the object now
    std::string answer;
    // Of seats: what Stripe says of the subscription (core::to_json), as of when; and whether the
    // changes of a refused call are to be tried in smaller ones.
    std::string facts;
    TimestampTz facts_as_of = 0;
    bool split = false;
    // Why the subscription cannot be read, and whether a person should know.
    std::string read_problem;
    bool problem_lasts = false;
    std::optional<Alert> alert;
    std::string_view journal_kind;  // empty: no entry
};

// A call's answer (Purpose::send).
Decision decide_sent(Engine& engine, Flight& flight);

// A verification's answer, or that of the read after a plain 404.
Decision decide_read(Engine& engine, Flight& flight);

// Shared by both.
Decision keep(const Flight& flight, std::string_view state);
Decision to_review(const Flight& flight, std::string_view reason, std::string_view what_happened);
Decision finish(const Flight& flight, std::string_view result, std::string_view reason);
Decision search_events_next(Flight& flight);
Decision proven_done(const Flight& flight, std::string_view reason, std::string answer);
Decision inconclusive(Engine& engine, const Flight& flight, std::string_view why = {});
Decision awaiting_still(const Flight& flight);
bool older_than(TimestampTz moment, int seconds);
core::Duration backoff(Engine& engine, const Call& call, const core::Judgement& judgement);

}  // namespace pg_seats::engine
