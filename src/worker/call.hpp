// What the worker holds in memory of an outbox row while it is on the wire.
#pragma once

#include "core/verdict.hpp"

#include "pg/postgres.hpp"

namespace pg_seats::worker {

struct Destination;

// A row as it was frozen. The database stays the truth: whatever is written back is compared with
// (id, generation, state) first.
struct Call {
    std::int64_t id = 0;
    std::int64_t lane_id = 0;  // 0: none
    std::string uuid, installation, method, path, body, verifier, marker, api_version, enqueued_by;
    std::string last_lane_marker;  // of the call before it in its lane
    int generation = 1;
    int tries = 0;
    int attempts = 0;
    int verifications = 0;
    int interrupted = 0;
    int row_errors = 0;
    bool doubt = false;
    bool alone = false;
    TimestampTz created_at = 0;
    TimestampTz first_sent_at = 0;
    TimestampTz last_sent_at = 0;
    TimestampTz key_final_at = 0;
    std::string state;  // as it stands in the table while we hold it

    [[nodiscard]] bool is_mutation() const { return method != "GET"; }
};

// Why a request is on the wire.
enum class Purpose : std::uint8_t {
    send,           // the call itself
    read_object,    // verification: does the object carry our marker?
    search_list,    // verification: does the list have an object with our marker?
    search_events,  // verification: is there an event with our key?
    read_missing,   // after a plain 404: is the object really not there?
    probe,          // is the destination well, and the right one?
};

[[nodiscard]] std::string_view to_string(Purpose purpose);

struct Flight {
    Purpose purpose = Purpose::send;
    Destination* destination = nullptr;
    Call call;
    std::string key;               // the idempotency key, also while verifying
    int key_number = 0;            // of a probe: which key it is about
    int pages = 0;                 // of a list or of events, read so far
    std::string cursor;            // where the next page starts
    core::Judgement first_answer;  // of the call, while read_missing asks about it
    int first_status = 0;
    std::string first_request_id;
    http::Response response;  // once it is there
};

}  // namespace pg_seats::worker
