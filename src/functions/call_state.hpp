// Where a call stands, for functions that anybody may be granted: read as the extension's owner,
// for callers who may see the call.
//
// These raise and hold no C++ objects: they are called below a guard.
#pragma once

#include "pg/postgres.hpp"

namespace pg_seats {

// Plain bytes: it outlives the transaction in which it was read.
struct CallState {
    bool found;    // and the caller may see it
    bool settled;  // nothing more will happen to it, nor to its handler, if that was asked for
    bool stands;   // in review or awaiting payment: nothing will happen to it soon
    bool has_http_status;
    std::int32_t http_status;
    std::int64_t renewal;  // of a settled preview: its other call, if that is still open; 0: none
    char state[64];
    char reason[256];  // empty: none
};

// A seat change is looked up as one, and told of in its application's words.
enum class LookFor : std::uint8_t { call, change };

// Whether a call whose handler has not been committed yet is over for who asks.
enum class Handlers : std::uint8_t { ignored, belong_to_it };

// `function`: one of ours, whose owner reads. Takes a snapshot of its own and leaves none behind.
void look_up_call(std::int64_t call, LookFor what, Handlers handlers, Oid function,
                  CallState* state);

// The stored answer, in the current memory context. nullptr: not settled, or no answer was kept;
// state->found tells whether there is such a call at all.
bytea* look_up_answer(std::int64_t call, Oid function, CallState* state);

[[noreturn]] void raise_no_such_call(std::int64_t call, LookFor what = LookFor::call);

// (state text, http_status integer, reason text) as the row that the function being called returns.
Datum call_state_row(FunctionCallInfo fcinfo, const CallState* state);

// What a caller who has just made a change does not know yet.
struct MadeChange {
    std::int64_t change;
    bool repeated;  // it was made before, under the same request key
};

// (state text, reason text); with `made`: (change bigint, state text, reason text, repeated
// boolean).
Datum change_state_row(FunctionCallInfo fcinfo, const CallState* state, const MadeChange* made);

}  // namespace pg_seats
