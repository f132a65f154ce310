// Reading Stripe's JSON, defensively: every function takes JSON that may be anything and says
// nullopt (or false) where it does not find what it looks for.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/parsed_body.hpp"

#include "core/pure.hpp"

namespace pg_seats::core {

// The answer of GET /v1/account (or of any read of a destination).
struct AccountFacts {
    std::string id;
};
[[nodiscard]] std::optional<AccountFacts> read_account(const ParsedBody& body);

// What a verification looks for in an object that was read.
struct ObjectFacts {
    std::string id, object, status;
    bool deleted = false;
    std::optional<bool> livemode;
    std::string marker;          // metadata.pg_seats, or empty
    std::string pending_marker;  // pending_update.metadata.pg_seats, or empty
};
[[nodiscard]] std::optional<ObjectFacts> read_object(const ParsedBody& body);

// Searching a list ({"object":"list","data":[...],"has_more":...}).
struct ListSearch {
    bool found = false;
    bool has_more = false;
    bool is_whole = false;    // there are no more pages, and it says so
    std::string last_id;      // for starting_after
    std::string object_json;  // the found element, secrets stripped
};
[[nodiscard]] std::optional<ListSearch> find_marker_in_list(const ParsedBody& body,
                                                            std::string_view marker);
// What a page of events tells of the request with `key`. That there is an event proves that
// something was done, not that it succeeded: a declined payment has events, too.
struct EventSearch {
    bool found = false;          // an event of that request
    bool has_marker = false;     // an event whose object carries `marker`, by whatever request
    bool tells_failure = false;  // one of that request's events is about a failed payment
    bool has_more = false;
    std::string last_id;
    std::string object_json;  // of the event with the marker, else of the first; secrets stripped
};
[[nodiscard]] std::optional<EventSearch> search_events(const ParsedBody& body, std::string_view key,
                                                       std::string_view marker);

}  // namespace pg_seats::core
