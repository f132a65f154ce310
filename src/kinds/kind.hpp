// The kinds of outbox rows: all that the engine has to know of each is its line in this table.
//
// Not in it is what columns of the row say already: its lane, beside which lane it runs, how it is
// verified. What an answer means in general is in core, and storing the row itself is the engine's.
#pragma once

#include <array>
#include <span>

#include "core/rules.hpp"
#include "kinds/flight.hpp"

#include "kinds/address.hpp"
#include "pg/sql.hpp"

namespace pg_seats::http {
struct Request;
}  // namespace pg_seats::http

namespace pg_seats::kinds {

using core::Decision;
using core::Result;
using core::State;

// What is to be stored of an answer.
struct Settlement {
    Flight flight;
    Decision decision;

    [[nodiscard]] bool is_over() const { return decision.outcome == Decision::Outcome::settled; }
    [[nodiscard]] bool stays() const { return decision.outcome == Decision::Outcome::stays; }
};

// What a batch leaves for the worker to do, once it is committed.
struct Follow {
    bool arrivals = false;              // rows were left, or may go on
    bool news = false;                  // alerts, or entries of the journal
    bool numbers = false;               // entries of the journal that have theirs
    bool all_waiters = false;           // others were settled along with it
    bool events = false;                // of calls, to be compared with what they were computed on
    bool receivers = false;             // there is room for more to tell them
    std::vector<std::int64_t> secrets;  // calls whose answer's client secret may be given away
};

struct Storing {
    std::string_view run;                // of this worker: a base of another run is not trusted
    std::span<const std::int64_t> left;  // rows that somebody has changed or settled meanwhile
    std::string_view journal_seen{};     // up to where the journal has numbers; empty: give none
    Follow follow{};

    [[nodiscard]] bool is_left(const Settlement& item) const;
};

// Candidates that are not sent now, by what is to become of them.
struct Plans {
    std::vector<std::int64_t> to_read;  // what they are computed from is read first
    std::vector<std::int64_t>
        settled_or_waits;              // settled without a call, or they wait, or are in review
    std::vector<std::int64_t> locked;  // somebody holds their lane
    std::vector<std::int64_t> later;   // too many for one claim
    // What was planned and not yet written: the freeze does it. All but `calls` are arrays, as they
    // came, good until the end of the transaction, with a line for each call that was looked at:
    // those that are not among these calls have no body.
    struct Unwritten {
        std::vector<std::int64_t> calls;
        pg::Value ids{}, bodies{}, bases{}, targets{}, last_ids{}, last_uuids{};
    } unwritten;

    [[nodiscard]] bool is_not_sent(std::int64_t id) const;
};

struct ToPlan {
    std::int64_t id, lane_id;
};

struct Planning {
    std::string_view run;
    std::int64_t queue_for_lane;  // the one lane that is queued up for; 0: none
    Plans plans{};
};

using Settlements = std::span<const Settlement* const>;

struct Kind {
    std::string_view name;
    // What it makes of an answer. (Whether it can be in doubt is said in SQL, too:
    // seats_internal.kinds().)
    const core::Rules& rules = core::rules::call;
    // It is sent alone when a worker has ended twice with it on the wire, and if it ends one then,
    // a person decides. Without it: never, and nobody.
    bool may_be_suspect = true;
    // What it asks for is the application's from the start: a refusal takes it back.
    bool is_given_at_once = false;
    // The query of every read of its object.
    std::string_view read_query{};

    // Before it is frozen, in the claim's transaction: rows of lanes that have no body yet, of
    // whichever kind that plans, become calls or go into `plans`. (Until then it has none.)
    void (*plan)(Planning&, const std::vector<ToPlan>& rows) = nullptr;
    // The same, of rows of such kinds that are calls already and are not to be sent now: into
    // `plans` with them.
    void (*hold)(Planning&, const std::vector<std::int64_t>& ids) = nullptr;
    // What a list is asked for in which its object is looked for. Without it: what was made since.
    void (*narrow_list)(const Call&, std::string& query) = nullptr;
    // Puts on what its receiver wants; without it the request is one to Stripe, with its key.
    void (*dress)(const Flight&, const Address&, http::Request&) = nullptr;
    // For whose secret sessions may wait while it is on its way: the number in their slots. Without
    // it nobody waits for one.
    std::int64_t (*secret_subject)(const Call&) = nullptr;
    // Storing needs the lane's lock.
    bool (*wants_lane)(const Settlement&) = nullptr;
    // What hangs on its rows, when these themselves are written: one call a batch, with all of its
    // kind, in the batch's transaction.
    void (*store)(Storing&, Settlements) = nullptr;
};

// One file each.
extern const Kind call_kind;
extern const Kind change_kind;
extern const Kind read_kind;
extern const Kind price_kind;
extern const Kind void_kind;
extern const Kind delivery_kind;
extern const Kind payment_kind;
extern const Kind payment_cancel_kind;
extern const Kind payment_read_kind;
extern const Kind payment_list_kind;
extern const Kind refund_kind;

inline constexpr std::array all{&call_kind,         &change_kind,         &read_kind,
                                &price_kind,        &void_kind,           &delivery_kind,
                                &payment_kind,      &payment_cancel_kind, &payment_read_kind,
                                &payment_list_kind, &refund_kind};

// A row of a kind that nobody knows is a call: what an application wants.
[[nodiscard]] const Kind& find(std::string_view name);
[[nodiscard]] inline const Kind& kind_of(const Call& call) {
    return find(call.kind);
}
[[nodiscard]] inline const Kind& kind_of(const Settlement& item) {
    return find(item.flight.call.kind);
}

// Parameters of statements.
[[nodiscard]] pg::Value never_in_doubt();
[[nodiscard]] pg::Value never_suspect();
[[nodiscard]] pg::Value planned();
[[nodiscard]] pg::Value may_be_held();

}  // namespace pg_seats::kinds
