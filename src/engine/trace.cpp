#include "engine/trace.hpp"

#include "core/safe_text.hpp"

#include "pg/log.hpp"

namespace pg_seats::engine {
namespace {

// Probes and lists of events are nobody's rows.
std::string row_of(const Flight& flight) {
    return flight.call.id != 0 ? "row " + std::to_string(flight.call.id)
                               : "destination " + destination_of(flight).name;
}

std::string what(Decision::Outcome outcome) {
    switch (outcome) {
        case Decision::Outcome::settled:
            return "is settled as ";
        case Decision::Outcome::stays:
            return "stays, as ";
        case Decision::Outcome::asks:
            return "is asked about: ";
        case Decision::Outcome::learned:
            break;
    }
    return "is learned from";
}

}  // namespace

void trace_claimed(const Flight& flight) {
    pg::trace([&] {
        const Call& call = flight.call;
        return row_of(flight) + ": claimed, a " + call.kind + " in generation " +
               std::to_string(call.generation) + ", attempt " + std::to_string(call.attempts) +
               ", in lane " + std::to_string(call.busy_lane()) + (call.doubt ? ", in doubt" : "");
    });
}

void trace_sent(const Flight& flight, std::uint64_t request) {
    pg::trace([&] {
        return row_of(flight) + ": " + std::string(to_string(flight.leg.purpose)) + ", request " +
               std::to_string(request) + (flight.key.empty() ? "" : " under key " + flight.key);
    });
}

void trace_answered(const Flight& flight) {
    pg::trace([&] {
        const core::Response& response = flight.answer.response;
        return row_of(flight) + ": answered after " +
               std::to_string(response.duration.count() / 1'000) + " ms, status " +
               std::to_string(response.status) + ", request_id " +
               core::safe_text(response.headers.request_id, 100) +
               (response.headers.replayed ? ", replayed" : "") +
               (response.error.empty() ? "" : ", " + core::safe_text(response.error, 200));
    });
}

void trace_decided(const Flight& flight, const Decision& decision) {
    pg::trace([&] {
        std::string text = row_of(flight) + ": ";
        if (decision.verdict) {
            text += "verdict " + std::string(to_string(*decision.verdict)) + ", ";
        }
        text += what(decision.outcome);
        if (decision.outcome == Decision::Outcome::settled) {
            text += to_string(decision.result);
        } else if (decision.outcome == Decision::Outcome::stays) {
            text += to_string(decision.state);
        } else if (decision.outcome == Decision::Outcome::asks) {
            text += to_string(decision.next.purpose);
        }
        return text +
               (decision.reason.empty() ? "" : ", reason " + core::safe_text(decision.reason, 100));
    });
}

void trace_stored(const Settlement& item, bool left) {
    pg::trace([&] {
        return row_of(item.flight) +
               (left ? ": changed behind our back, and left alone" : ": stored");
    });
}

}  // namespace pg_seats::engine
