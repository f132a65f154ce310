#include "core/call.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace pg_seats::test {
namespace {

using core::Purpose;
using core::State;
using core::Verifier;

TEST(Call, purpose_of_its_first_request) {
    struct Row {
        State state;
        Verifier verifier;
        Purpose purpose;
    };
    for (const auto& [state, verifier, purpose] : std::vector<Row>{
             {State::sending, Verifier::events, Purpose::send},
             {State::sending, Verifier::object, Purpose::send},
             {State::sending, Verifier::list, Purpose::send},
             {State::verifying, Verifier::object, Purpose::read_object},
             {State::verifying, Verifier::list, Purpose::search_list},
             {State::verifying, Verifier::events, Purpose::search_events},
             {State::awaiting, Verifier::object, Purpose::read_object},
         }) {
        core::Call call;
        call.state = state;
        call.verifier = verifier;
        EXPECT_EQ(core::first_purpose(call), purpose)
            << to_string(state) << " " << to_string(verifier);
    }
}

TEST(Call, verifiers_are_found_by_their_names) {
    for (const Verifier verifier : {Verifier::events, Verifier::object, Verifier::list}) {
        EXPECT_EQ(core::verifier_of(to_string(verifier)), verifier);
    }
    EXPECT_EQ(core::verifier_of("something new"), Verifier::events);
}

TEST(Call, states_are_found_by_their_names) {
    for (const State state : {State::pending, State::carried, State::sending, State::waiting,
                              State::verifying, State::awaiting, State::review}) {
        EXPECT_EQ(core::state_of(to_string(state)), state);
    }
    EXPECT_EQ(core::state_of("something new"), State::review) << "is a person's";
}

}  // namespace
}  // namespace pg_seats::test
