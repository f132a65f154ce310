// A row of the outbox as it was frozen, and why a request about it is on the wire.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/pure.hpp"

namespace pg_seats::core {

// Microseconds since 2000: the server's own number, so that nothing is converted. 0: never.
using Moment = std::int64_t;

// A POST by Stripe's word, and it changes nothing.
// (What statements say of it: claim, recovery.)
constexpr std::string_view preview_path = "/v1/invoices/create_preview";

// As seats_internal.outbox_state.
enum class State : std::uint8_t { pending, carried, sending, waiting, verifying, awaiting, review };
[[nodiscard]] std::string_view to_string(State state);
[[nodiscard]] State state_of(std::string_view name);

// How an unknown outcome of a row's call is proven. Where the row does not say, events are
// searched.
enum class Verifier : std::uint8_t { events, object, list };
[[nodiscard]] std::string_view to_string(Verifier verifier);
[[nodiscard]] Verifier verifier_of(std::string_view name);

// The database stays the truth: whatever is written back is compared with (id, generation, state)
// first.
struct Call {
    std::int64_t id = 0;
    std::int64_t lane_id = 0;  // 0: none
    std::string destination;   // its name
    std::string kind;          // call, change, read, price, …: see kinds/kind.hpp
    std::string uuid, installation, method, path, body, marker, api_version;
    std::string last_lane_marker;  // of the call before it in its lane
    Verifier verifier = Verifier::events;
    int generation = 1;
    int tries = 0;
    int attempts = 0;
    int verifications = 0;
    int interrupted = 0;
    int row_errors = 0;
    bool doubt = false;
    Moment created_at = 0;
    Moment first_sent_at = 0;
    Moment last_sent_at = 0;
    Moment key_final_at = 0;
    State state = State::pending;  // as it stands in the table while we hold it

    std::int64_t payment_id = 0;
    std::string list_cursor;  // where the next look into a list for it goes on

    // Of seats.
    std::int64_t team_id = 0;
    std::int64_t beside_lane_id = 0;  // of a read: nothing of that lane is on the wire meanwhile
    std::int64_t last_id = 0;         // the last change that it carries; 0: it is alone
    std::optional<int> splits_left;   // its changes were refused together; so many calls are left
    bool cancelled = false;           // somebody wants it back; its invoice is being voided

    [[nodiscard]] bool is_preview() const { return path == preview_path; }
    [[nodiscard]] bool is_mutation() const { return method != "GET" && !is_preview(); }
    // The lane in which nothing else happens while it is on the wire.
    [[nodiscard]] std::int64_t busy_lane() const { return lane_id != 0 ? lane_id : beside_lane_id; }
};

// Why a request is on the wire.
enum class Purpose : std::uint8_t {
    send,           // the call itself
    read_object,    // verification: does the object carry our marker?
    search_list,    // verification: does the list have an object with our marker?
    search_events,  // verification: is there an event with our key?
    read_missing,   // after a plain 404: is the object really not there?
    read_base,      // the subscription, before quantities are computed or after a replayed answer
    read_items,     // those of its items that did not fit into the answer
    list_events,    // what our own calls have really changed, and what no webhook has brought
    probe,          // is the destination well, and the right one?
};
[[nodiscard]] std::string_view to_string(Purpose purpose);

// Of the first request about a row that was claimed: a sending one is sent, and of any other a read
// tells what became of it.
[[nodiscard]] Purpose first_purpose(const Call& call);

}  // namespace pg_seats::core
