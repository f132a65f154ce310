#include "pg/transaction.hpp"

#include "pg/log.hpp"

extern "C" {
#include "mb/pg_wchar.h"
#include "pgstat.h"
#include "utils/errcodes.h"
}

namespace pg_seats::pg {
namespace {

void begin() {
    SetCurrentStatementStartTimestamp();
    StartTransactionCommand();
    if (SPI_connect() != SPI_OK_CONNECT) {
        elog(ERROR, "could not connect to SPI");
    }
    PushActiveSnapshot(GetTransactionSnapshot());
}

void commit() {
    SPI_finish();
    PopActiveSnapshot();
    CommitTransactionCommand();
    MemoryContextSwitchTo(TopMemoryContext);
}

// Without it autovacuum would never learn of what the worker writes and deletes.
void report_statistics() {
    pgstat_report_stat(false);
}

void abort_current() {
    AbortCurrentTransaction();
    MemoryContextSwitchTo(TopMemoryContext);
}

// What a function raises can be as long as its memory allows, and would be copied again and again.
std::string bounded(const char* text) {
    constexpr int most_bytes = 16'384;
    if (text == nullptr) {
        return {};
    }
    const int length = static_cast<int>(strnlen(text, most_bytes + 1));
    return {text, static_cast<std::size_t>(
                      length <= most_bytes ? length : pg_mbcliplen(text, length, most_bytes))};
}

}  // namespace

void detail::begin_transaction() {
    guard(begin);
}

void detail::commit_transaction() {
    guard(commit);
    // What is committed is committed, whatever becomes of its statistics.
    try {
        guard(report_statistics);
    } catch (const ServerError& error) {
        LWLockReleaseAll();
        log_warning(std::string("statistics could not be reported: ") + error.what());
    }
}

Failure failure_of_current_exception() noexcept {
    BorderError error;
    describe_current_exception(error);
    Failure failure;
    try {
        if (error.original != nullptr) {
            const ErrorData& data = *error.original;
            failure.sqlstate = data.sqlerrcode;
            failure.message = bounded(data.message);
            failure.detail = bounded(data.detail);
            failure.hint = bounded(data.hint);
            failure.context = bounded(data.context);
        } else {
            failure = {error.sqlstate, error.message, error.detail, error.hint, {}};
        }
    } catch (const std::bad_alloc&) {
        failure.sqlstate = ERRCODE_OUT_OF_MEMORY;
    }
    return failure;
}

Failure detail::abort_after_current_exception() noexcept {
    Failure failure = failure_of_current_exception();
    try {
        guard(abort_current);
    } catch (...) {
        // A transaction that cannot even be aborted: the process must go. FATAL does not return;
        // the launcher starts another worker, which finds what was on the wire.
        ereport(FATAL, (errmsg("pg_seats worker could not abort its transaction")));
    }
    return failure;
}

std::string Failure::sqlstate_text() const {
    return unpack_sql_state(sqlstate);
}

bool Failure::is_retriable() const {
    return sqlstate == ERRCODE_T_R_DEADLOCK_DETECTED ||
           sqlstate == ERRCODE_T_R_SERIALIZATION_FAILURE || sqlstate == ERRCODE_LOCK_NOT_AVAILABLE;
}

bool Failure::is_lock_timeout() const {
    return sqlstate == ERRCODE_LOCK_NOT_AVAILABLE;
}

bool Failure::is_cancel() const {
    return sqlstate == ERRCODE_QUERY_CANCELED;
}

bool Failure::is_about_resources() const {
    const int category = ERRCODE_TO_CATEGORY(sqlstate);
    return category == ERRCODE_INSUFFICIENT_RESOURCES ||
           category == ERRCODE_OPERATOR_INTERVENTION || category == ERRCODE_SYSTEM_ERROR ||
           category == ERRCODE_CONNECTION_EXCEPTION ||
           sqlstate == ERRCODE_READ_ONLY_SQL_TRANSACTION;
}

}  // namespace pg_seats::pg
