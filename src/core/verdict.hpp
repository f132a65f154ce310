// What an answer means: the one place where meaning is given to a status, a header or a body.
//
// A pure function of the exchange and of what was doubtful before it. Who calls it, and what is
// done about the verdict, is not known here. The table is docs/verdicts.md; test/unit/verdict has
// one test for each of its rows.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/exchange.hpp"

#include "core/pure.hpp"

namespace pg_seats::core {

enum class Verdict : std::uint8_t {
    done,      // executed, and the object says so
    awaiting,  // executed, but it waits for a payment (pending_update)
    refused,   // proven not executed, and never will be: compensate
    again,     // proven not executed now: same key, same bytes, later
    unknown,   // may have been executed: doubt
    halted,    // our own mistake or our configuration: nothing is compensated, no attempt is spent
};

// How far a halt reaches. A wrong key stops the destination at once. A form error in one caller's
// parameters stops that call (review); the worker halts the destination when the same mistake
// shows in several lanes.
enum class HaltScope : std::uint8_t { none, call, destination };

struct Question {
    bool mutation = true;       // false for reads: nothing of them can be in doubt
    bool deletion = false;      // a DELETE: what is gone after a doubtful try was deleted by it
    bool doubt_before = false;  // an earlier try under this key may have been executed
    bool expect_stripe = true;  // the answer must be Stripe's JSON; else any 2xx of a receiver does
    std::optional<bool> livemode{};  // what the destination is pinned to; nullopt: do not check
    const Answer& answer;
};

struct Judgement {
    Verdict verdict = Verdict::unknown;
    HaltScope halt_scope = HaltScope::none;
    bool doubt_after = false;   // may have been executed, all tries under this key together
    bool key_is_final = false;  // Stripe has stored an answer under this key (replay, stored 4xx)
    bool needs_read = false;    // a plain 404: a read of the object must say what it means
    bool is_card_refusal = false;     // about the payment method: refuses all carried increases
    bool slow_down = false;           // the limiter spoke: slow the whole destination
    bool counts_for_breaker = false;  // transport errors and 5xx
    std::optional<std::chrono::seconds> retry_after;
    std::string_view reason;  // stable word for tables and tests, e.g. "key_in_use"; static storage
    std::string error_type, error_code, decline_code, param;
    std::string message;      // Stripe's or the transport's words; no secret, one line, bounded
    std::string fingerprint;  // same refusal in several lanes = same text (status, code, param)
};

[[nodiscard]] Judgement judge(const Question& question);

[[nodiscard]] std::string_view to_string(Verdict verdict);

}  // namespace pg_seats::core
