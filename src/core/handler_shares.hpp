// Which roles get a process for their handlers, and whose processes are to end for it. The
// processes are the server's, so each database's dispatcher looks at all of them.
//
// It is called under a lock of the server's: it neither allocates nor raises.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/call.hpp"

#include "core/pure.hpp"

namespace pg_seats::core {

constexpr std::size_t most_processes = 32;

// Of a role in a database.
struct ProcessOwner {
    std::uint32_t database = 0;
    std::uint32_t role = 0;
    bool operator==(const ProcessOwner&) const = default;
};

struct ProcessSeen {
    enum class State : std::uint8_t { unused, coming, idle, busy };
    State state = State::unused;
    ProcessOwner owner;
    bool leaves = false;   // is told to
    bool is_late = false;  // … and does not: nobody is to wait for that
    Moment since = 0;      // in this state
};

// A role of ours that has more to run than the processes that it has can take now.
struct ProcessWish {
    ProcessOwner owner;
    Moment since = 0;
};

// Another database's roles that have less than their share.
struct OtherWishes {
    int roles = 0;
    Moment since = 0;  // of the oldest
};

struct ShareChoices {
    std::array<bool, most_processes> leave{};    // of the processes seen
    std::array<bool, most_processes> granted{};  // of the wishes: a process is to be made
    int waiting = 0;                             // of ours, that have less than their share
    Moment waiting_since = 0;
};

// `wishes` in the order in which they came; those beyond the first `most_processes` wait.
[[nodiscard]] ShareChoices choose_shares(std::span<const ProcessSeen> processes,
                                         std::span<const ProcessWish> wishes,
                                         std::span<const OtherWishes> others, int most) noexcept;

}  // namespace pg_seats::core
