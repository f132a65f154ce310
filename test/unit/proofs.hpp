// A call, an answer to it, and what is known besides: made up for the tests of decisions. What a
// row of the tables does not say is as it is here.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "core/rules.hpp"

namespace pg_seats::test {

inline constexpr core::Moment now = 1'000'000'000'000'000;
inline constexpr core::TimePoint tick{std::chrono::hours{1'000}};

inline core::Moment ago(std::int64_t seconds) {
    return now - seconds * 1'000'000;
}

inline constexpr core::Moment sent_at = now - 500'000;  // of the request at hand

struct Case {
    core::Call call;
    const core::Rules* rules = &core::rules::call;
    core::Leg leg;
    core::Response response;
    core::Policy policy;
    core::Mistakes mistakes;
    bool halted = false;
    bool is_stripe = true;

    Case();
    [[nodiscard]] core::Decision decide() const;

    // ---- the row
    Case& change();  // of seats: a POST to sub_1, alone
    Case& bought();  // one that asks for an invoice
    Case& read();    // of sub_1
    Case& price();   // of price_1
    Case& preview();
    Case& delivery();
    Case& in(core::State state);
    Case& doubt();

    // ---- the leg
    Case& asks(core::Purpose purpose);  // as a verification; its state goes with it
    Case& missing(std::string_view error, bool doubt = false);  // the POST had this 404
    Case& proven(std::string_view reason, core::Proof proof);  // … and only its base is asked for

    // ---- the answer
    Case& answer(int status, std::string_view body);
    Case& error(int status, std::string_view members);
    Case& replayed();
    Case& nothing(core::Transport transport, bool sent = true);
    Case& too_large();
};

// One whose key can execute no more.
Case& is_final(Case& situation);
// One that had such an answer before, and a probe has succeeded since.
Case& was_asked(Case& situation);

// Members of an error.
inline constexpr std::string_view no_seat = R"("code":"resource_missing","param":"id")";
inline constexpr std::string_view no_item =
    R"("param":"subscription_item","message":"No such item")";
inline constexpr std::string_view no_parameter = R"("code":"parameter_unknown","param":"foo")";
// Of a subscription: our marker on a pending update; items of which one came along; its end.
inline constexpr std::string_view pending =
    R"(,"pending_update":{"metadata":{"pg_seats":"uuid-uuid-1"}})";
inline constexpr std::string_view half =
    R"(,"items":{"object":"list","data":[{"id":"si_1","price":{"id":"price_1"}}],"has_more":true})";
[[nodiscard]] std::string over();
// … its latest invoice, made so many seconds before the request at hand.
[[nodiscard]] std::string latest(std::string_view id, std::string_view status,
                                 std::int64_t seconds_ago = 0,
                                 std::string_view reason = "subscription_update");

[[nodiscard]] std::string subscription(std::string_view marker, std::string_view more = "");
[[nodiscard]] std::string event(std::string_view key, std::string_view marker,
                                std::string_view type = "customer.subscription.updated");
[[nodiscard]] std::string list(std::string_view elements, bool has_more = false);

// All of a decision that differs from the call as it was, in one line. (But for texts meant for
// people other than errors: ProofsOf has tests for those.)
[[nodiscard]] std::string told(const Case& situation, const core::Decision& decision);

// ---- tables

struct Row {
    const char* name;
    void (*make)(Case&);
    const char* expected;
};
void PrintTo(const Row& row, std::ostream* out);

inline constexpr auto name_of = [](const auto& parameter) {
    return std::string(parameter.param.name);
};

class Proofs : public testing::TestWithParam<Row> {};

}  // namespace pg_seats::test
