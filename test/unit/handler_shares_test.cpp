// Which role gets a process, and whose is to end for it: pictures of the server's processes.
#include "core/handler_shares.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace pg_seats::core {
namespace {

using enum ProcessSeen::State;

constexpr ProcessOwner a{1, 10}, b{1, 20}, c{1, 30}, elsewhere{2, 10};

struct Picture {
    std::vector<ProcessSeen> processes{};
    std::vector<ProcessWish> wishes{};
    std::vector<OtherWishes> others{};
    int most = 2;

    [[nodiscard]] ShareChoices choose() const {
        return choose_shares(processes, wishes, others, most);
    }
    // Which are told to leave.
    [[nodiscard]] std::vector<int> leave() const {
        std::vector<int> leave;
        const ShareChoices choices = choose();
        for (std::size_t i = 0; i < processes.size(); ++i) {
            if (choices.leave.at(i)) {
                leave.push_back(static_cast<int>(i));
            }
        }
        return leave;
    }
    [[nodiscard]] std::vector<int> granted() const {
        std::vector<int> granted;
        const ShareChoices choices = choose();
        for (std::size_t i = 0; i < wishes.size(); ++i) {
            if (choices.granted.at(i)) {
                granted.push_back(static_cast<int>(i));
            }
        }
        return granted;
    }
};

using Numbers = std::vector<int>;

TEST(HandlerShares, where_there_is_room_everybody_gets_one) {
    const Picture picture{.wishes = {{a, 1}, {b, 2}}};
    EXPECT_EQ(picture.granted(), (Numbers{0, 1}));
    EXPECT_EQ(picture.choose().waiting, 0);
}

TEST(HandlerShares, none_without_processes) {
    const Picture picture{.processes = {{idle, a}}, .wishes = {{b, 1}}, .most = 0};
    EXPECT_EQ(picture.granted(), Numbers{});
    EXPECT_EQ(picture.leave(), Numbers{0});
}

TEST(HandlerShares, who_is_alone_may_have_all_of_them) {
    const Picture picture{.processes = {{busy, a}}, .wishes = {{a, 1}}};
    EXPECT_EQ(picture.granted(), Numbers{0});
}

TEST(HandlerShares, who_has_all_of_them_gives_one_back_when_its_batch_is_done) {
    const Picture picture{.processes = {{busy, a, false, false, 5}, {busy, a, false, false, 3}},
                          .wishes = {{b, 9}}};
    EXPECT_EQ(picture.leave(), Numbers{1}) << "the one that has worked longest";
    EXPECT_EQ(picture.choose().waiting, 1);
    EXPECT_EQ(picture.choose().waiting_since, 9);
}

TEST(HandlerShares, nobody_else_is_asked_when_one_is_leaving_already) {
    const Picture picture{.processes = {{busy, a, true}, {busy, a}}, .wishes = {{b, 9}}};
    EXPECT_EQ(picture.leave(), Numbers{});
    EXPECT_EQ(picture.choose().waiting, 1);
}

TEST(HandlerShares, who_should_leave_and_does_not_is_not_waited_for) {
    const Picture picture{
        .processes = {{.state = busy, .owner = a, .leaves = true, .is_late = true}, {busy, a}},
        .wishes = {{b, 9}}};
    EXPECT_EQ(picture.leave(), Numbers{1});
}

TEST(HandlerShares, who_has_the_most_gives_one) {
    const Picture picture{
        .processes = {{busy, a}, {busy, c}, {busy, c}}, .wishes = {{b, 9}}, .most = 3};
    EXPECT_EQ(picture.leave(), Numbers{1});
}

TEST(HandlerShares, where_late_ones_keep_all_shares_only_who_has_none_gets_one) {
    const ProcessSeen late{.state = busy, .owner = a, .leaves = true, .is_late = true};
    const std::vector<ProcessSeen> processes = {late, late, late, {busy, b}, {busy, c}};
    const Picture who_has_none{.processes = processes, .wishes = {{elsewhere, 9}}, .most = 5};
    EXPECT_EQ(who_has_none.leave(), Numbers{3});
    std::vector<ProcessSeen> more = processes;
    more.insert(more.end(), 3, late);
    const Picture who_has_one{.processes = more, .wishes = {{b, 9}}, .most = 8};
    EXPECT_EQ(who_has_one.leave(), Numbers{});
    EXPECT_EQ(who_has_one.choose().waiting, 1);
}

TEST(HandlerShares, who_does_nothing_goes_first) {
    const Picture picture{.processes = {{busy, a}, {idle, elsewhere}}, .wishes = {{b, 9}}};
    EXPECT_EQ(picture.leave(), Numbers{1});
}

TEST(HandlerShares, a_role_that_wants_more_sends_nobody_away_who_has_his_share) {
    const Picture picture{.processes = {{busy, a}, {busy, b}}, .wishes = {{a, 9}}};
    EXPECT_EQ(picture.leave(), Numbers{});
    EXPECT_EQ(picture.choose().waiting, 0);
}

TEST(HandlerShares, the_third_of_three_roles_gets_its_turn_with_two_processes) {
    const Picture picture{.processes = {{busy, a, false, false, 5}, {busy, b, false, false, 4}},
                          .wishes = {{c, 9}}};
    EXPECT_EQ(picture.leave(), Numbers{1});
}

TEST(HandlerShares, two_that_wait_send_two_away) {
    const Picture picture{.processes = {{busy, a}, {busy, a}}, .wishes = {{b, 8}, {c, 9}}};
    EXPECT_EQ(picture.leave(), (Numbers{0, 1}));
    EXPECT_EQ(picture.choose().waiting, 2);
}

TEST(HandlerShares, who_has_less_than_his_share_gets_it) {
    const Picture picture{
        .processes = {{busy, a}, {busy, a}, {busy, a}, {busy, b}}, .wishes = {{b, 9}}, .most = 4};
    EXPECT_EQ(picture.leave(), Numbers{0});
    EXPECT_EQ(picture.choose().waiting, 1);
}

TEST(HandlerShares, who_came_first_gets_the_last_one) {
    const Picture picture{.processes = {{busy, a}}, .wishes = {{b, 8}, {c, 9}}};
    EXPECT_EQ(picture.granted(), Numbers{0});
    EXPECT_EQ(picture.choose().waiting_since, 9);
}

TEST(HandlerShares, another_database_that_came_first_gets_the_last_one) {
    const Picture picture{.processes = {{busy, a}}, .wishes = {{b, 8}}, .others = {{1, 7}}};
    EXPECT_EQ(picture.granted(), Numbers{});
    EXPECT_EQ(picture.choose().waiting, 1);
}

TEST(HandlerShares, another_database_that_came_later_waits) {
    const Picture picture{.processes = {{busy, a}}, .wishes = {{b, 8}}, .others = {{1, 9}}};
    EXPECT_EQ(picture.granted(), Numbers{0});
}

TEST(HandlerShares, nobody_takes_more_than_his_share_while_others_wait) {
    const Picture picture{
        .processes = {{busy, a}, {busy, a}}, .wishes = {{a, 1}}, .others = {{1, 9}}, .most = 3};
    EXPECT_EQ(picture.granted(), Numbers{});
    EXPECT_EQ(picture.choose().waiting, 0);
}

TEST(HandlerShares, a_process_that_comes_is_one_that_its_role_has) {
    const Picture picture{.processes = {{coming, a}, {busy, a}}, .wishes = {{b, 9}}};
    EXPECT_EQ(picture.leave().size(), 1U);
}

TEST(HandlerShares, what_is_too_many_ends) {
    const Picture picture{
        .processes = {{busy, a, false, false, 2}, {busy, a, false, false, 1}, {idle, b}},
        .most = 1};
    EXPECT_EQ(picture.leave(), (Numbers{1, 2}));
}

// Whatever the picture: never more than there may be, and what is too many leaves.
TEST(HandlerShares, rules_of_any_picture) {
    std::uint64_t state = 7;
    const auto random = [&state](std::uint64_t below) {
        state = state * 6364136223846793005U + 1442695040888963407U;
        return static_cast<int>((state >> 33U) % below);
    };
    for (int round = 0; round < 20'000; ++round) {
        Picture picture{.most = random(6)};
        int used = 0, leaving = 0;
        for (int i = random(7); i > 0; --i) {
            picture.processes.push_back(
                {static_cast<ProcessSeen::State>(random(4)),
                 {static_cast<std::uint32_t>(1 + random(2)), static_cast<std::uint32_t>(random(3))},
                 random(4) == 0,
                 random(4) == 0,
                 random(9)});
            used += picture.processes.back().state != unused ? 1 : 0;
        }
        for (std::uint32_t role = 0; role < 3; ++role) {
            if (random(2) == 0) {
                picture.wishes.push_back({{1, role}, random(9)});
            }
        }
        picture.others.push_back({random(3), random(9)});
        const ShareChoices choices = picture.choose();
        const int granted = static_cast<int>(picture.granted().size());
        EXPECT_TRUE(granted == 0 || used + granted <= picture.most);
        for (std::size_t i = 0; i < picture.processes.size(); ++i) {
            const ProcessSeen& process = picture.processes[i];
            leaving += process.state != unused && (process.leaves || choices.leave.at(i)) ? 1 : 0;
        }
        EXPECT_LE(choices.waiting + granted, static_cast<int>(picture.wishes.size()));
        EXPECT_GE(leaving, used - picture.most);
    }
}

}  // namespace
}  // namespace pg_seats::core
