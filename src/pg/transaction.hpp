// A transaction of the worker's own, from begin to commit or abort, with SPI connected.
#pragma once

#include "pg/error.hpp"

namespace pg_seats::pg {

// What ended a transaction before its commit. Plain C++ values: it outlives the transaction.
struct Failure {
    int sqlstate = 0;
    std::string message, detail, hint, context;

    [[nodiscard]] std::string sqlstate_text() const;
    // Deadlock or serialisation failure: the same again may go through.
    [[nodiscard]] bool is_retriable() const;
    // Somebody held a lock for longer than lock_timeout.
    [[nodiscard]] bool is_lock_timeout() const;
    // Somebody wanted us to stop what we did.
    [[nodiscard]] bool is_cancel() const;
    // Out of memory, disk full, read-only, shutting down …: nobody's row is to blame.
    [[nodiscard]] bool is_about_resources() const;
};

// To be called inside a catch (...) block only.
[[nodiscard]] Failure failure_of_current_exception() noexcept;

namespace detail {
void begin_transaction();
void commit_transaction();
Failure abort_after_current_exception() noexcept;
}  // namespace detail

// Runs `body` in a transaction. nullopt: committed (synchronously, as far as the site asks for).
template <class Body>
std::optional<Failure> in_transaction(Body&& body) {
    try {
        detail::begin_transaction();
        body();
        detail::commit_transaction();
        return std::nullopt;
    } catch (...) {
        return detail::abort_after_current_exception();
    }
}

}  // namespace pg_seats::pg
