// Which handler may run next: order of lanes, times, suspects, and a memory that ends somewhere.
#include "core/handler_queue.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace pg_seats::core {
namespace {

constexpr RoleId shop = 10;
constexpr RoleId bank = 20;
constexpr Moment now = 1'000'000;

using Calls = std::vector<std::int64_t>;

// A table of handlers, read as the dispatcher reads it.
struct Table {
    std::map<std::int64_t, WaitingHandler> rows;
    HandlerQueue queue;

    explicit Table(HandlerLimits limits = {}) : queue(limits) {}

    WaitingHandler& put(std::int64_t call, std::int64_t lane = 0, RoleId role = shop) {
        return rows[call] = {.call = call, .lane = lane, .role = role};
    }

    void arrive(std::int64_t call, std::int64_t lane = 0, RoleId role = shop) {
        queue.take_arrival(put(call, lane, role), now);
    }

    // False: there is nothing to be read.
    bool read_page() {
        const auto after = queue.wanted_page();
        if (!after) {
            return false;
        }
        HandlerPage page;
        for (auto row = rows.upper_bound(*after);
             row != rows.end() && page.rows.size() < queue.limits().page; ++row) {
            page.rows.push_back(row->second);
        }
        if (page.rows.size() == queue.limits().page) {
            page.read_up_to = page.rows.back().call;
        }
        queue.take_page(page, now);
        return true;
    }

    void read() {
        for (int pages = 0; read_page(); ++pages) {
            ASSERT_LT(pages, 1'000) << "it reads for ever";
        }
    }

    Calls take(std::size_t most = 50, RoleId role = shop, Allowed allowed = {}) {
        return queue.take(role, allowed, most).calls;
    }

    void run(const Calls& calls) {
        for (const std::int64_t call : calls) {
            rows.erase(call);
            queue.forget(call, now);
        }
    }

    // All that there is, in the order in which it runs.
    Calls run_all() {
        Calls all;
        for (bool ran = true; ran;) {
            ran = false;
            queue.look_at_clock(now);
            for (const RoleId role : queue.roles()) {
                const Calls calls = take(50, role);
                ran = ran || !calls.empty();
                all.insert(all.end(), calls.begin(), calls.end());
                run(calls);
            }
            ran = read_page() || ran;
        }
        return all;
    }
};

TEST(HandlerQueue, what_has_no_lane_runs_in_order_and_at_once) {
    Table table;
    table.arrive(3);
    table.arrive(1);
    table.arrive(2);
    EXPECT_EQ(table.take(), (Calls{1, 2, 3}));
    EXPECT_EQ(table.take(), Calls{});
}

TEST(HandlerQueue, a_batch_is_of_one_role) {
    Table table;
    table.arrive(1);
    table.arrive(2, 0, bank);
    EXPECT_EQ(table.queue.roles(), (std::vector<RoleId>{shop, bank}));
    EXPECT_EQ(table.take(), Calls{1});
    EXPECT_EQ(table.take(50, bank), Calls{2});
}

TEST(HandlerQueue, a_batch_has_its_limit) {
    Table table;
    table.arrive(1);
    table.arrive(2);
    table.arrive(3);
    EXPECT_EQ(table.take(2), (Calls{1, 2}));
    EXPECT_EQ(table.take(2), Calls{3});
}

TEST(HandlerQueue, of_a_lane_one_runs_at_a_time) {
    Table table;
    table.arrive(1, 7);
    table.arrive(2, 7);
    table.arrive(3, 8);
    EXPECT_EQ(table.take(), (Calls{1, 3}));
    EXPECT_EQ(table.take(), Calls{});
    table.run({1});
    EXPECT_EQ(table.take(), Calls{2});
}

TEST(HandlerQueue, an_earlier_call_of_a_lane_that_ends_later_waits_for_the_one_that_runs) {
    Table table;
    table.arrive(2, 7);
    EXPECT_EQ(table.take(), Calls{2});
    table.arrive(1, 7);
    table.arrive(3, 7);
    EXPECT_EQ(table.take(), Calls{});
    table.run({2});
    EXPECT_EQ(table.take(), Calls{1});
}

TEST(HandlerQueue, an_earlier_call_of_a_lane_goes_first) {
    Table table;
    table.arrive(2, 7);
    table.arrive(1, 7);
    EXPECT_EQ(table.queue.ready(shop, {}), 1U);
    EXPECT_EQ(table.take(), Calls{1});
}

TEST(HandlerQueue, a_lane_waits_for_the_next_try_of_its_first) {
    Table table;
    WaitingHandler& first = table.put(1, 7);
    first.due_at = now + 10;
    table.queue.take_arrival(first, now);
    table.arrive(2, 7);
    table.arrive(3);
    EXPECT_EQ(table.take(), Calls{3});
    EXPECT_EQ(table.queue.next_due(), now + 10);
    table.queue.look_at_clock(now + 9);
    EXPECT_EQ(table.take(), Calls{});
    table.queue.look_at_clock(now + 10);
    EXPECT_EQ(table.take(), Calls{1});
    EXPECT_EQ(table.queue.next_due(), std::nullopt);
}

TEST(HandlerQueue, what_was_not_begun_is_given_again) {
    Table table;
    table.arrive(1, 7);
    EXPECT_EQ(table.take(), Calls{1});
    table.queue.give_back(1, now);
    EXPECT_EQ(table.take(), Calls{1});
}

TEST(HandlerQueue, a_lane_whose_earlier_one_is_unknown_waits_until_it_is_heard_of) {
    Table table;
    table.arrive(2, 7);
    EXPECT_EQ(table.take(), Calls{2});
    table.queue.hold_lane_of(2, now);
    EXPECT_EQ(table.take(), Calls{});
    table.arrive(1, 7);
    EXPECT_EQ(table.take(), Calls{1});
    table.run({1});
    EXPECT_EQ(table.take(), Calls{2});
}

TEST(HandlerQueue, a_lane_that_is_held_is_looked_at_again_when_all_is_read) {
    Table table;
    table.arrive(2, 7);
    EXPECT_EQ(table.take(), Calls{2});
    table.queue.hold_lane_of(2, now);
    table.queue.read_all();
    table.read();
    EXPECT_EQ(table.take(), Calls{2});
}

// A person has left the earlier one out, say: nobody will tell of that one.
TEST(HandlerQueue, a_lane_that_is_held_is_looked_at_again_when_one_of_it_is_told_of_anew) {
    Table table;
    table.arrive(2, 7);
    table.arrive(3, 7);
    EXPECT_EQ(table.take(), Calls{2});
    table.queue.hold_lane_of(2, now);
    EXPECT_EQ(table.take(), Calls{});
    table.arrive(3, 7);
    EXPECT_EQ(table.take(), Calls{2});
}

TEST(HandlerQueue, an_earlier_call_that_came_while_the_later_one_was_refused_goes_first) {
    Table table;
    table.arrive(2, 7);
    EXPECT_EQ(table.take(), Calls{2});
    table.arrive(1, 7);
    table.queue.hold_lane_of(2, now);
    EXPECT_EQ(table.take(), Calls{1});
    table.run({1});
    EXPECT_EQ(table.take(), Calls{2});
}

TEST(HandlerQueue, what_was_told_of_while_it_ran_is_known) {
    Table table;
    table.arrive(1);
    EXPECT_EQ(table.take(), Calls{1});
    EXPECT_FALSE(table.queue.is_told_anew(1));
    table.arrive(1);
    EXPECT_TRUE(table.queue.is_told_anew(1));
    table.run({1});
    table.arrive(1);
    EXPECT_EQ(table.take(), Calls{1});
    EXPECT_FALSE(table.queue.is_told_anew(1));
}

TEST(HandlerQueue, those_behind_one_in_review_are_forgotten_until_they_are_offered_anew) {
    Table table;
    table.arrive(1, 7);
    table.arrive(2, 7);
    table.arrive(3, 7);
    table.arrive(4, 8);
    EXPECT_EQ(table.take(1), Calls{1});
    EXPECT_EQ(table.queue.forget_lane_of(1, now), (Calls{3, 2, 1}));
    EXPECT_EQ(table.take(), Calls{4});
    EXPECT_EQ(table.queue.size(), 1U);
    table.arrive(2, 7);
    EXPECT_EQ(table.take(), Calls{2});
}

TEST(HandlerQueue, careful_ones_go_by_themselves_and_only_if_they_may) {
    Table table;
    WaitingHandler& careful = table.put(1);
    careful.careful = true;
    table.queue.take_arrival(careful, now);
    table.arrive(2);
    table.arrive(3);
    EXPECT_EQ(table.queue.ready(shop, {.careful = false}), 2U);
    EXPECT_EQ(table.take(50, shop, {.careful = false}), (Calls{2, 3}));
    const HandlerBatch batch = table.queue.take(shop, {}, 50);
    EXPECT_EQ(batch.calls, Calls{1});
    EXPECT_TRUE(batch.careful);
}

TEST(HandlerQueue, suspects_go_one_at_a_time_whosoever_they_are) {
    Table table;
    for (const auto& [call, role] : {std::pair{1, shop}, {2, shop}, {3, bank}}) {
        WaitingHandler& row = table.put(call, 0, role);
        row.suspect = true;
        table.queue.take_arrival(row, now);
    }
    table.arrive(4);
    EXPECT_EQ(table.take(), Calls{1});
    EXPECT_EQ(table.queue.ready(bank, {}), 0U);
    EXPECT_EQ(table.take(), Calls{4});
    EXPECT_EQ(table.take(50, bank), Calls{});
    table.run({1});
    EXPECT_EQ(table.take(50, bank), Calls{3});
    table.queue.give_back(3, now);
    EXPECT_EQ(table.take(), Calls{2});
}

TEST(HandlerQueue, what_runs_from_an_earlier_life_is_not_given_twice) {
    Table table;
    table.arrive(1, 7);
    table.queue.set_running(1);
    table.put(2, 7);
    table.put(3);
    table.queue.read_all();
    table.read();
    EXPECT_TRUE(table.queue.is_running(1));
    EXPECT_EQ(table.take(), Calls{3});
    table.run({1});
    EXPECT_EQ(table.take(), Calls{2});
}

TEST(HandlerQueue, what_was_asked_of_a_suspect_from_an_earlier_life_holds_up_the_others) {
    Table table;
    for (const int call : {1, 2}) {
        WaitingHandler& row = table.put(call);
        row.suspect = true;
        table.queue.take_arrival(row, now);
    }
    table.queue.set_running(1);
    EXPECT_EQ(table.take(), Calls{});
    table.run({1});
    EXPECT_EQ(table.take(), Calls{2});
}

TEST(HandlerQueue, an_arrival_that_is_still_to_be_read_is_left_to_that) {
    Table table({.page = 2});
    table.put(1);
    table.put(2);
    table.queue.read_all();
    EXPECT_TRUE(table.read_page());
    table.arrive(9);
    EXPECT_EQ(table.queue.size(), 2U);
    table.read();
    EXPECT_EQ(table.take(), (Calls{1, 2, 9}));
}

TEST(HandlerQueue, what_the_table_shows_no_more_is_forgotten) {
    Table table;
    table.arrive(1);
    table.arrive(2);
    table.arrive(3);
    EXPECT_EQ(table.take(1), Calls{1});
    table.rows.clear();
    table.queue.read_all();
    table.arrive(4);
    table.read();
    EXPECT_EQ(table.take(), Calls{4});
    EXPECT_TRUE(table.queue.is_running(1));
}

TEST(HandlerQueue, who_asks_for_everything_again_and_again_does_not_keep_it_from_its_end) {
    Table table({.page = 1});
    table.put(1);
    table.put(2);
    table.put(3);
    for (int i = 0; i < 4; ++i) {
        table.queue.read_all();
        EXPECT_TRUE(table.read_page());
    }
    EXPECT_EQ(table.take(), (Calls{1, 2, 3}));
}

TEST(HandlerQueue, another_role_by_an_adoption_is_another_role) {
    Table table;
    table.arrive(1, 7);
    table.rows[1].role = bank;
    table.queue.read_all();
    table.read();
    EXPECT_EQ(table.queue.roles(), std::vector<RoleId>{bank});
    EXPECT_EQ(table.take(50, bank), Calls{1});
}

TEST(HandlerQueue, a_role_that_cannot_run_does_not_fill_the_memory) {
    Table table({.most = 100, .most_of_role = 20, .page = 7});
    for (int call = 1; call <= 200; ++call) {
        table.put(call, 0, call % 10 == 0 ? bank : shop);
    }
    table.queue.read_all();
    table.read();
    EXPECT_EQ(table.queue.size(), 40U);
    Calls expected;
    for (int call = 10; call <= 200; call += 10) {
        expected.push_back(call);
    }
    EXPECT_EQ(table.take(50, bank), expected);
}

TEST(HandlerQueue, those_that_wait_for_their_next_try_leave_room_for_others_of_their_role) {
    Table table({.most = 8, .most_of_role = 4, .page = 3});
    for (std::int64_t call = 1; call <= 6; ++call) {
        table.put(call).due_at = now + call;
        table.queue.take_arrival(table.rows[call], now);
    }
    EXPECT_EQ(table.queue.size(), 4U);
    EXPECT_EQ(table.queue.left_out_until(), now + 5);
    table.arrive(7);
    table.arrive(8);
    EXPECT_EQ(table.queue.size(), 4U);
    EXPECT_EQ(table.take(), (Calls{7, 8}));
    EXPECT_EQ(table.queue.left_out_until(), now + 3);
    table.run({7, 8});
    // Nothing is lost.
    for (auto& [call, row] : table.rows) {
        row.due_at = now;
    }
    table.queue.read_all();
    EXPECT_EQ(table.queue.left_out_until(), std::nullopt);
    EXPECT_EQ(table.run_all(), (Calls{1, 2, 3, 4, 5, 6}));
}

TEST(HandlerQueue, what_had_no_room_is_read_when_those_that_had_wait_for_their_next_try) {
    Table table({.most = 8, .most_of_role = 4, .page = 3});
    for (std::int64_t call = 1; call <= 12; ++call) {
        table.arrive(call);
    }
    EXPECT_EQ(table.take(), (Calls{1, 2, 3, 4}));
    for (std::int64_t call = 1; call <= 4; ++call) {
        table.queue.forget(call, now);
        table.rows[call].due_at = now + call;
        table.queue.take_arrival(table.rows[call], now);
    }
    EXPECT_EQ(table.take(), Calls{});
    table.read();
    EXPECT_EQ(table.take(), (Calls{5, 6, 7}));
    table.run({5, 6, 7});
    EXPECT_EQ(table.run_all(), (Calls{8, 9, 10, 11, 12}));
    EXPECT_LE(table.queue.left_out_until(), now + 4);
}

TEST(HandlerQueue, what_had_no_room_is_read_when_there_is) {
    for (const std::size_t page : {1U, 3U, 7U, 50U}) {
        Table table({.most = 10, .most_of_role = 6, .page = page});
        Calls all;
        for (int call = 1; call <= 60; ++call) {
            table.put(call, call % 3, call % 4 == 0 ? bank : shop);
            all.push_back(call);
        }
        table.queue.read_all();
        Calls ran = table.run_all();
        EXPECT_LE(table.queue.size(), 10U);
        std::ranges::sort(ran);
        EXPECT_EQ(ran, all) << "pages of " << page;
    }
}

TEST(HandlerQueue, an_earlier_call_finds_room_where_there_is_none) {
    Table table({.most = 4, .most_of_role = 2, .page = 10});
    table.arrive(5, 7);
    table.arrive(6, 7);
    table.arrive(7, 7);
    table.arrive(1, 7);
    EXPECT_EQ(table.queue.size(), 2U);
    EXPECT_EQ(table.run_all(), (Calls{1, 5, 6, 7}));
}

TEST(HandlerQueue, arrivals_behind_what_had_no_room_keep_their_place) {
    Table table({.most = 4, .most_of_role = 2, .page = 10});
    for (const int call : {1, 2, 3, 4, 5}) {
        table.arrive(call, 7);
    }
    EXPECT_EQ(table.queue.size(), 2U);
    EXPECT_EQ(table.run_all(), (Calls{1, 2, 3, 4, 5}));
}

TEST(HandlerQueue, lanes_keep_their_order_whatever_the_memory_holds) {
    std::uint64_t state = 42;
    const auto random = [&state](std::uint64_t below) {
        state = state * 6364136223846793005U + 1442695040888963407U;
        return static_cast<std::int64_t>((state >> 33U) % below);
    };
    for (int round = 0; round < 200; ++round) {
        Table table({.most = 12, .most_of_role = 5, .page = 4});
        std::map<std::int64_t, std::int64_t> lane_of;
        std::map<std::int64_t, std::int64_t> last_of_lane;
        Calls running;
        std::size_t ran = 0;
        for (int step = 0; step < 400; ++step) {
            const std::int64_t call = step + 1;
            switch (random(5)) {
                case 0:
                case 1:
                    if (step < 300) {
                        lane_of[call] = random(4);
                        WaitingHandler& row =
                            table.put(call, lane_of[call], random(2) == 0 ? shop : bank);
                        row.due_at = random(4) == 0 ? now + 1 : 0;
                        table.queue.take_arrival(row, now);
                    }
                    break;
                case 2:
                    table.read_page();
                    break;
                case 3:
                    for (const std::int64_t taken : table.take(2, random(2) == 0 ? shop : bank)) {
                        const std::int64_t lane = lane_of.at(taken);
                        // As take_handler says it: an earlier one of its lane is there.
                        const bool held =
                            lane != 0 && std::ranges::any_of(table.rows, [&](auto& row) {
                                return row.second.lane == lane && row.first < taken;
                            });
                        if (held) {
                            table.queue.hold_lane_of(taken, now);
                        } else {
                            running.push_back(taken);
                        }
                    }
                    break;
                default:
                    if (!running.empty()) {
                        const std::int64_t done = running.front();
                        running.erase(running.begin());
                        const std::int64_t lane = lane_of.at(done);
                        EXPECT_TRUE(lane == 0 || last_of_lane[lane] < done);
                        last_of_lane[lane] = done;
                        ++ran;
                        table.run({done});
                    }
            }
            EXPECT_LE(table.queue.size(), 12U);
        }
        table.run(running);
        for (auto& [call, row] : table.rows) {
            row.due_at = 0;
        }
        table.queue.read_all();
        EXPECT_EQ(ran + running.size() + table.run_all().size(), lane_of.size());
    }
}

}  // namespace
}  // namespace pg_seats::core
