#include "core/handler_shares.hpp"

#include <algorithm>

namespace pg_seats::core {
namespace {

using Process = ProcessSeen::State;

struct Sharing {
    std::span<const ProcessSeen> processes;
    std::span<const ProcessWish> wishes;
    std::span<const OtherWishes> others;
    int most;
    ShareChoices choices{};
    int contenders = 0;  // roles that have something to run
    int room = 0;
    int leaving = 0;

    [[nodiscard]] bool leaves(std::size_t i) const {
        return processes[i].leaves || choices.leave.at(i);
    }

    [[nodiscard]] int count(const ProcessOwner& owner) const {
        int count = 0;
        for (std::size_t i = 0; i < processes.size(); ++i) {
            count +=
                processes[i].state != Process::unused && processes[i].owner == owner && !leaves(i)
                    ? 1
                    : 0;
        }
        for (std::size_t i = 0; i < wishes.size(); ++i) {
            count += choices.granted.at(i) && wishes[i].owner == owner ? 1 : 0;
        }
        return count;
    }

    [[nodiscard]] bool deserves_another(const ProcessOwner& owner) const {
        const int has = count(owner);
        return has == 0 || (has + 1) * contenders <= most;
    }

    // Those that came before, and those that need it more.
    [[nodiscard]] int others_before(Moment since) const {
        int roles = 0;
        for (const OtherWishes& other : others) {
            roles += other.since < since ? other.roles : 0;
        }
        return roles;
    }

    [[nodiscard]] int all_others() const { return others_before(INT64_MAX); }

    void count_contenders() {
        for (std::size_t i = 0; i < processes.size(); ++i) {
            const ProcessSeen& process = processes[i];
            const bool is_first =
                std::none_of(processes.begin(), processes.begin() + static_cast<std::ptrdiff_t>(i),
                             [&](const ProcessSeen& before) {
                                 return is_at_work(before) && before.owner == process.owner;
                             });
            contenders += is_at_work(process) && is_first ? 1 : 0;
        }
        for (const ProcessWish& wish : wishes) {
            contenders +=
                std::ranges::none_of(processes,
                                     [&](const ProcessSeen& process) {
                                         return is_at_work(process) && process.owner == wish.owner;
                                     })
                    ? 1
                    : 0;
        }
        contenders = std::max(1, contenders + all_others());
    }

    [[nodiscard]] static bool is_at_work(const ProcessSeen& process) {
        return process.state == Process::busy || process.state == Process::coming;
    }

    // One that does nothing; or else of the role that has the most, the one that has worked longest
    // without being asked. -1: there is none. Who has none gets one from anybody; but of two that
    // have some, the one that gives is not to have less afterwards, or it would ask it back.
    [[nodiscard]] int victim_for(const ProcessOwner& owner) const {
        const int own = count(owner);
        int found = -1;
        int most_of_owner = 0;
        for (std::size_t i = 0; i < processes.size(); ++i) {
            const ProcessSeen& process = processes[i];
            if (process.state == Process::unused || leaves(i) || process.owner == owner) {
                continue;
            }
            if (process.state == Process::idle) {
                return static_cast<int>(i);
            }
            const int has = count(process.owner);
            const bool is_better =
                found < 0 || has > most_of_owner ||
                (has == most_of_owner &&
                 process.since < processes[static_cast<std::size_t>(found)].since);
            if (is_better && (own == 0 || has > own + 1)) {
                found = static_cast<int>(i);
                most_of_owner = has;
            }
        }
        return found;
    }

    bool let_one_go(const ProcessOwner& for_whom) {
        const int victim = victim_for(for_whom);
        if (victim < 0) {
            return false;
        }
        choices.leave.at(static_cast<std::size_t>(victim)) = true;
        ++leaving;
        return true;
    }

    void grant(std::size_t wish) {
        choices.granted.at(wish) = true;
        --room;
    }

    void look_at(std::size_t i) {
        const ProcessWish& wish = wishes[i];
        if (room > others_before(wish.since)) {
            grant(i);
            return;
        }
        if (choices.waiting++ == 0) {
            choices.waiting_since = wish.since;
        }
        if (room + leaving < choices.waiting + all_others()) {
            static_cast<void>(let_one_go(wish.owner));
        }
    }
};

}  // namespace

ShareChoices choose_shares(std::span<const ProcessSeen> processes,
                           std::span<const ProcessWish> wishes, std::span<const OtherWishes> others,
                           int most) noexcept {
    Sharing sharing{.processes = processes.first(std::min(processes.size(), most_processes)),
                    .wishes = wishes.first(std::min(wishes.size(), most_processes)),
                    .others = others,
                    .most = most};
    sharing.count_contenders();
    sharing.room = most;
    for (const ProcessSeen& process : sharing.processes) {
        sharing.room -= process.state != Process::unused ? 1 : 0;
        const bool is_leaving = process.leaves && !process.is_late;
        sharing.leaving += process.state != Process::unused && is_leaving ? 1 : 0;
    }
    if (most <= 0) {
        sharing.choices.leave.fill(true);
        return sharing.choices;
    }
    for (std::size_t i = 0; i < sharing.wishes.size(); ++i) {
        if (sharing.deserves_another(sharing.wishes[i].owner)) {
            sharing.look_at(i);
        }
    }
    // What is left is for those that have their share already.
    for (std::size_t i = 0; i < sharing.wishes.size(); ++i) {
        if (!sharing.choices.granted.at(i) &&
            sharing.room > sharing.choices.waiting + sharing.all_others()) {
            sharing.grant(i);
        }
    }
    // The setting was made smaller.
    while (sharing.room + sharing.leaving < 0 && sharing.let_one_go({})) {
    }
    return sharing.choices;
}

}  // namespace pg_seats::core
