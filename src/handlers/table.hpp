// What the dispatcher asks of the tables, and writes there. To be called in a transaction of the
// worker's.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "core/handler_queue.hpp"

#include "pg/sql.hpp"
#include "pg/transaction.hpp"

namespace pg_seats::handlers {

// Runs a body in a transaction of the worker's.
using Transaction = std::function<std::optional<pg::Failure>(const std::function<void()>&)>;

struct Found {
    core::HandlerPage page;
    std::vector<std::int64_t> of_nobody;  // their role is not what it was: a person must decide
    std::vector<std::int64_t> begun;      // and not heard of since
};

void begin_dispatching();
[[nodiscard]] Found waiting_handlers(std::int64_t after, std::size_t most);
[[nodiscard]] Found handed_handlers(const std::vector<std::int64_t>& calls);

void forget_starts(const std::vector<std::int64_t>& calls);
void review_for_role(const std::vector<std::int64_t>& calls);
// The process has died in its handler. True: it waits for its next try.
[[nodiscard]] bool charge_for_death(std::int64_t call, bool timed_out);

void alert_stuck(std::int64_t call, pid_t pid, TimestampTz since);
void resolve_stuck(std::int64_t call);
// Empty: one of its processes works.
void alert_role(Oid role, std::string_view trouble);

}  // namespace pg_seats::handlers
