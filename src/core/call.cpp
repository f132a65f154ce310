#include "core/call.hpp"

#include <array>

namespace pg_seats::core {
namespace {

constexpr std::array<std::string_view, 7> states{"pending",   "carried",  "sending", "waiting",
                                                 "verifying", "awaiting", "review"};

constexpr std::array<std::string_view, 3> verifiers{"", "object", "list"};

constexpr std::array<std::string_view, 9> purposes{
    "send",      "read object", "search list", "search events", "read missing object",
    "read base", "read items",  "list events", "probe"};

}  // namespace

std::string_view to_string(State state) {
    return states.at(static_cast<std::size_t>(state));
}

State state_of(std::string_view name) {
    for (std::size_t i = 0; i < states.size(); ++i) {
        if (states.at(i) == name) {
            return static_cast<State>(i);
        }
    }
    return State::review;  // nobody's but a person's
}

std::string_view to_string(Verifier verifier) {
    return verifiers.at(static_cast<std::size_t>(verifier));
}

Verifier verifier_of(std::string_view name) {
    for (std::size_t i = 0; i < verifiers.size(); ++i) {
        if (verifiers.at(i) == name) {
            return static_cast<Verifier>(i);
        }
    }
    return Verifier::events;
}

std::string_view to_string(Purpose purpose) {
    return purposes.at(static_cast<std::size_t>(purpose));
}

Purpose first_purpose(const Call& call) {
    if (call.state == State::sending) {
        return Purpose::send;
    }
    switch (call.verifier) {
        case Verifier::object:
            return Purpose::read_object;
        case Verifier::list:
            return Purpose::search_list;
        case Verifier::events:
            break;
    }
    return Purpose::search_events;
}

}  // namespace pg_seats::core
