// The worker's memory. Everything in it can be lost at any moment and is rebuilt from the tables.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <unordered_map>

#include "engine/destination.hpp"
#include "http/client.hpp"

#include "engine/loop.hpp"
#include "handlers/dispatch.hpp"
#include "pg/shared_state.hpp"
#include "pg/transaction.hpp"

namespace pg_seats::engine {

// What is done beside the calls is tried again that much later if it fails.
constexpr core::Duration pause_after_failure{1'000};

// A pg_snapshot older than every transaction.
constexpr auto nothing_seen = "1:1:";

// How much of what is ready is kept in memory, per destination. What does not fit stays in the
// table and is read from there by id when there is room again.
constexpr std::size_t most_ready = 20'000;
constexpr std::size_t most_lanes = 100'000;
constexpr int most_rows_per_claim = 512;

// Of a lane in which nothing is ready only `above` is worth keeping: the next look at it begins
// there and not among what was settled long ago.
struct LaneMemory {
    bool busy = false;                // one of its calls is on the wire or being settled
    bool queued = false;              // stands in its destination's ready_lanes
    bool lowered = false;             // while busy: `above` was taken back
    std::vector<std::int64_t> reads;  // wait until it is not busy
    int base_reads = 0;               // in a row, without a call coming of them
    int locked_looks = 0;             // in a row, at which somebody held its team
    std::int64_t above = 0;           // everything up to this id is settled

    [[nodiscard]] bool is_idle() const { return !busy && !queued && reads.empty(); }
};

struct Candidate {
    std::int64_t id;
    std::int64_t lane_id;  // 0: none
    Destination* destination;
    bool is_suspect = false;
    std::int64_t beside_lane_id = 0;  // of a read: see Call
    bool may_be_held = false;         // its kind has to be asked
    bool is_to_be_planned = false;    // by its kind, before it can be sent

    [[nodiscard]] std::int64_t busy_lane() const { return lane_id != 0 ? lane_id : beside_lane_id; }
};

struct SecondLook {
    TimePoint at;
    Candidate candidate;
};

// Whom the table is being read for, and from where on he wants it.
struct BacklogReader {
    Destination* destination;
    std::int64_t above;
};

// What is told apart of the rows of a table; what of that is empty does not concern it.
struct RowKind {
    std::string destination, label, reason;
    auto operator<=>(const RowKind&) const = default;
};

struct Tally {
    std::int64_t rows = 0;
    std::int64_t amount = 0;
    TimestampTz oldest_at = 0;
    std::int64_t oldest_id = 0;
};

struct CountedTable {
    std::int64_t changes = -1;  // what its statistics said when it was counted; -1: it was not
    TimePoint due{};            // not counted again before
    TimePoint outdated_at = TimePoint::max();  // counted again then, though nothing was changed
    std::int64_t slice = 4;                    // pages that are counted at once
};

// See counting.hpp.
struct Counting {
    bool is_polled = true;   // look whether tables were changed that nobody has told us of
    bool is_wanted = false;  // one has changed, and is not due yet
    std::uint64_t activity = 0;
    TimePoint look_at{};
    std::array<CountedTable, pg::counted_tables> tables;
    // The table that is being counted, and how far.
    std::optional<std::size_t> current;
    std::int64_t page = 0, pages = 0;
    std::int64_t changes = 0;
    TimestampTz began_at = 0;
    TimePoint since{};                 // the same, to reckon with
    std::chrono::microseconds cost{};  // what its slices have taken so far
    TimePoint slice_at{};
    std::map<RowKind, Tally> found;
};

// Counts in shared memory.
inline void count(pg_atomic_uint64& counter, std::uint64_t by = 1) {
    pg_atomic_fetch_add_u64(&counter, static_cast<int64>(by));
}

struct Engine {
    explicit Engine(pg::WorkerSlot& worker_slot);

    pg::WorkerSlot& slot;
    Oid extension = InvalidOid;
    std::optional<LoopEnd> leave;  // set where a transaction found that we have no business here

    http::Client client;
    std::uint64_t next_request = 1;
    // By request. (What is on the wire, or comes from there, is large: it is moved by its pointer.)
    std::unordered_map<std::uint64_t, std::unique_ptr<Flight>> flights;
    // Whatever raises in between (a cancel, say), none is lost on its way from one to the other:
    // its next place is made first, and then it is moved, which cannot raise.
    std::vector<core::Response>
        responses;  // those that curl has given us, not yet with their flights
    std::size_t responses_taken = 0;
    std::deque<Flight> to_send;
    std::deque<std::unique_ptr<Flight>> answered;           // not yet decided
    std::deque<std::unique_ptr<Flight>> answered_suspects;  // … and looked at one by one

    Destinations destinations;
    std::string installation;  // as the table says; empty: create_installation() was not called
    bool adopted = false;      // a person has made this very database the installation's
    std::string fence = "its configuration was not read yet";  // why not to send; empty: we may
    pg::SecretStamp installation_stamp;
    TimePoint files_watched_at{};

    // Ready list.
    std::size_t turn = 0;  // which destination is asked first at the next claim
    std::unordered_map<std::int64_t, LaneMemory> lanes;
    std::deque<SecondLook> second_looks;
    std::deque<Candidate> suspects;  // rows that may have ended a worker: sent one by one
    std::vector<std::int64_t>
        marked_alone;  // the table says so, and has to be told that it is over
    std::vector<std::string> marked_destinations;
    TimePoint
        wary_until{};  // a worker has ended, and no row was alone: it may be a probe or a list
    std::string last_snapshot;      // arrivals are what it did not see
    TimestampTz last_due_look = 0;  // due rows are those between then and now
    TimestampTz next_due = 0;       // 0: unknown, look
    bool reading_backlog = false;
    std::int64_t backlog_above = 0;
    std::vector<BacklogReader> backlog_of;
    std::int64_t highest_seen = 0;  // the highest id that was looked at

    bool look_for_arrivals = true;
    bool configuration_is_stale = true;
    // What failed is not tried before then. (Each for itself: an alert that somebody has locked
    // must not keep the journal from its numbers.)
    TimePoint changes_before{};    // storing what became of destinations
    TimePoint housework_before{};  // announcing
    bool announce = true;          // alerts or journal entries may wait for a number or a NOTIFY
    bool has_numbered = false;     // entries have got their numbers, and nobody was told
    TimePoint no_work_before{};    // after disk full and the like: pause, keep the answers
    int troubles_in_a_row = 0;
    int claims_one_by_one = 0;                // a claim raised: the next ones take a single row
    std::string journal_seen = nothing_seen;  // of whose entries the journal has the numbers
    std::string fence_told = "unknown";  // what the alert says; one may be open from another life
    TimePoint deliver_at{};              // when to look what receivers are to be told
    TimePoint delivered_at{};            // when that was done last
    TimePoint turn_ring_at{};
    bool recounting = false;  // teams are to be counted by other prices
    TimePoint recount_at{};
    TimePoint forget_at{};
    TimePoint chores_at{};                   // invites that expire, and the sweep
    TimePoint chores_before{};               // when they were done last
    TimePoint all_chores_at{};               // when to begin from the beginning again
    std::string expired_until, swept_until;  // what was due before that is done
    std::string strays_after;                // those that come next to be looked at
    TimePoint shown_at{};
    bool is_shown = false;                    // what is shown is what is
    std::vector<std::int64_t> settled_calls;  // whose waiters are woken after the commit
    bool wake_all_waiters = false;            // changes were settled along with others

    // Of seats. A base that was proven in another run is not trusted; of teams that somebody is
    // always changing, one at a time is queued up for.
    std::string run;
    TimePoint events_at{};        // when to look whether events of our calls are missing
    bool events_expected = true;  // some may be
    TimePoint webhooks_at{};      // when to look at events that could not be processed
    std::int64_t queue_for_lane = 0;

    Counting counting;

    // Of what hangs on the ends of calls.
    handlers::Dispatcher handlers;

    std::mt19937_64 random{std::random_device{}()};

    // Runs `body` in a transaction that has first made sure that the extension is still ours.
    // A failure is returned; engine.leave says if it means that we must go.
    template <class Body>
    std::optional<pg::Failure> transaction(Body&& body) {
        count(slot.counters.transactions);
        return pg::in_transaction([&] {
            check_extension();
            body();
        });
    }
    void check_extension();

    [[nodiscard]] bool may_send() const { return fence.empty(); }
    // Weaker than may_send(), and asked by what is told also without that. A database that nobody
    // has adopted may be being loaded from a dump, or be a subscriber's: a row of ours would take
    // the place of one that is still to come.
    [[nodiscard]] bool may_write() const { return adopted; }
    [[nodiscard]] int calls_under_way() const {
        return static_cast<int>(flights.size() + answered.size() + answered_suspects.size());
    }
    double random_share() { return std::uniform_real_distribution<double>(0, 1)(random); }
    Destination* find_destination(std::string_view name);
};

static_assert(std::is_nothrow_move_assignable_v<Flight>);

// The time that everything in the worker goes by.
inline TimePoint steady_now() {
    return core::Clock::now();
}

}  // namespace pg_seats::engine
