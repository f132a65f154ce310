#include "engine/trouble.hpp"

#include <algorithm>

#include "core/safe_text.hpp"

#include "pg/log.hpp"
#include "pg/own_slot.hpp"

namespace pg_seats::engine {
namespace {

constexpr core::Duration longest_pause{30'000};

}  // namespace

std::string in_words(const pg::Failure& failure) {
    return core::safe_text(failure.message + " (SQLSTATE " + failure.sqlstate_text() + ")", 400);
}

void pause(Engine& engine, const pg::Failure& failure, std::string_view what) {
    if (engine.leave) {
        return;
    }
    const auto doubled = core::Duration{500} * (1 << std::min(engine.troubles_in_a_row, 6));
    engine.no_work_before = steady_now() + std::min(doubled, longest_pause);
    if (engine.troubles_in_a_row++ == 0) {
        pg::log_warning(std::string(what) + ": " + in_words(failure),
                        "The worker keeps the answers that it has and tries again.");
    }
    pg::set_trouble(std::string(what) + ": " + in_words(failure));
}

void trouble_is_over(Engine& engine) {
    if (engine.troubles_in_a_row == 0) {
        return;
    }
    engine.troubles_in_a_row = 0;
    pg::set_trouble(engine.fence);
    pg::log_line("the database takes what the worker writes again");
}

}  // namespace pg_seats::engine
