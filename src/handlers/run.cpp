#include "handlers/run.hpp"

#include "handlers/function.hpp"
#include "handlers/identity.hpp"
#include "handlers/limits.hpp"
#include "pg/activity.hpp"
#include "pg/debug_point.hpp"
#include "pg/extension.hpp"
#include "pg/identity_switch.hpp"
#include "pg/interrupts.hpp"
#include "pg/kept_settings.hpp"
#include "pg/log.hpp"
#include "pg/settings.hpp"
#include "pg/shared_state.hpp"
#include "pg/transaction.hpp"
#include "pg/wait.hpp"

extern "C" {
#include "catalog/namespace.h"
#include "common/pg_prng.h"
#include "utils/syscache.h"
}

namespace pg_seats::handlers {
namespace {

using pg::HandlerResult;

// Who lost against others is tried again at once so often.
constexpr int most_tries_at_once = 4;
constexpr std::int32_t pause_without_extension_ms = 1'000;  // somebody changes it just now

pg::Statement count_starts("SELECT seats_internal.count_starts($1)");
pg::Statement forget_starts("SELECT seats_internal.forget_starts($1)");
pg::Statement take_handler(
    "SELECT h.state, h.function, h.outcome, h.context, h.settings, h.role_oid, h.owner_oid"
    "  FROM seats_internal.take_handler($1) AS h");
pg::Statement handler_failed("SELECT seats_internal.handler_failed($1, $2, $3, $4, $5, $6)");

struct Result {
    HandlerResult result = HandlerResult::none;
    std::int32_t retry_ms = 0;
};

// One transaction in which a handler is to run.
struct Try {
    bool is_begun = false;  // what fails from then on is charged to the handler
    HandlerResult result = HandlerResult::none;
};

bool extension_is_there = true;

// --- as the extension's owner -----------------------------------------------------------------

// Nobody's privileges on our schema matter here, and no search_path.
Oid owner_of_extension() {
    const Oid schema = get_namespace_oid("seats_internal", false);
    NameData name;
    namestrcpy(&name, "take_handler");
    const Oid types[] = {INT8OID};
    const Oid function =
        GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, NameGetDatum(&name),
                        PointerGetDatum(buildoidvector(types, 1)), ObjectIdGetDatum(schema));
    return pg::owner_of_function(function);
}

// What raises in between ends the transaction, and the role is itself again.
template <class Body>
void as_owner(Body&& body) {
    const pg::Identity before = pg::become(pg::guard(owner_of_extension));
    const int level = pg::guard(pg::prefer_indexes);
    body();
    pg::guard(AtEOXact_GUC, true, level);
    pg::become_again(before);
}

// A transaction of this process: as its role, and only while there is an extension.
template <class Body>
std::optional<pg::Failure> in_own_transaction(Body&& body) {
    std::optional<pg::Failure> failure = pg::in_transaction([&] {
        assume_role();
        pg::guard(require_same_rights);
        extension_is_there = true;
        if (pg::check_extension() != pg::ExtensionState::present) {
            extension_is_there = false;
            throw pg::SqlError(ERRCODE_UNDEFINED_OBJECT, "the extension is gone");
        }
        body();
    });
    after_transaction();
    return failure;
}

// --- one handler ------------------------------------------------------------------------------

HandlerResult result_of(std::string_view state) {
    if (state == "held") {
        return HandlerResult::held;
    }
    return state == "review" ? HandlerResult::review : HandlerResult::gone;
}

// nullopt: it is not to run now, and `attempt.result` says why.
std::optional<Call> take(std::int64_t id, Try& attempt) {
    std::optional<Call> taken;
    as_owner([&] {
        const pg::Rows rows = take_handler.run({pg::bigint(id)});
        if (rows.bytes(0, 1) != "run") {
            attempt.result = result_of(rows.bytes(0, 1));
            return;
        }
        if (DatumGetObjectId(rows.value(0, 6, OIDOID).datum) != own_role()) {
            throw pg::SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                               "the handler's role has become another one");
        }
        taken = Call{.id = id,
                     .function = rows.string(0, 2),
                     .owner = DatumGetObjectId(rows.value(0, 7, OIDOID).datum),
                     .outcome = rows.value(0, 3, JSONBOID),
                     .context = rows.value(0, 4, JSONBOID),
                     .settings = rows.value(0, 5, JSONBOID)};
    });
    return taken;
}

void take_and_run(std::int64_t id, Try& attempt) {
    pg::stand_at("handler_before_take");
    attempt.is_begun = true;
    const std::optional<Call> call = take(id, attempt);
    if (!call) {
        return;
    }
    announce_running(id);
    pg::show_working("call " + std::to_string(id) + ": " + call->function);
    pg::stand_at("handler_before_function");
    pg::guard(begin_time_limit);
    pg::guard(pg::set_kept_settings, call->settings.datum, own_role());
    call_function(*call);
    pg::stand_at("handler_before_commit");
    attempt.result = HandlerResult::gone;
}

bool has_lost_against_others(const pg::Failure& failure) {
    return failure.is_retriable() && !failure.is_lock_timeout();
}

// Whoever has lost waits a little, and not as long as the other one.
void pause_a_little() {
    try {
        pg::wait_on_latch(10 +
                          static_cast<long>(pg_prng_uint64_range(&pg_global_prng_state, 0, 90)));
    } catch (
        const pg::ServerError&) {  // NOLINT(bugprone-empty-catch): a cancel that comes too late
    }
}

// Its author may have said in the HINT what a person is to do.
pg::Value detail_and_hint(const pg::Failure& failure) {
    if (failure.hint.empty()) {
        return pg::text_or_null(failure.detail);
    }
    const std::string hint = "HINT: " + failure.hint;
    return pg::text(failure.detail.empty() ? hint : failure.detail + "\n" + hint);
}

// nullopt: it cannot be said from here (its role's settings or its memory are in the way). Who ends
// now while it runs has it charged by the worker; tried again and again it would never come before
// a person.
std::optional<Result> store_failure(std::int64_t call, pg::Failure failure) {
    const bool too_long = took_too_long() && failure.is_cancel();
    if (too_long) {
        failure.message = "it took longer than pg_seats.handler_timeout (" +
                          std::to_string(pg::settings.handler_timeout_ms) + " ms)";
    }
    Result result;
    const auto store = [&] {
        pg::stand_at("handler_before_failure");
        as_owner([&] {
            const pg::Rows rows = handler_failed.run(
                {pg::bigint(call), pg::text(failure.sqlstate_text()), pg::text(failure.message),
                 detail_and_hint(failure), pg::text_or_null(failure.context),
                 pg::boolean(too_long || failure.is_lock_timeout())});
            result = rows.is_null(0, 1) ? Result{HandlerResult::review, 0}
                                        : Result{HandlerResult::again, rows.integer(0, 1)};
        });
    };
    std::optional<pg::Failure> not_stored = in_own_transaction(store);
    for (int tries = 1; not_stored && not_stored->is_retriable() && tries < most_tries_at_once;
         ++tries) {
        pause_a_little();
        not_stored = in_own_transaction(store);
    }
    if (not_stored) {
        pg::log_warning("the failure of the handler of call " + std::to_string(call) +
                        " could not be stored: " + not_stored->message);
        if (!extension_is_there) {
            return Result{};
        }
        announce_running(call);
        return std::nullopt;
    }
    return result;
}

// `stays` becomes false if the process is not to run another one. nullopt: it is to end at once.
std::optional<Result> run_one(std::int64_t call, bool& stays) {
    for (int tries = 1;; ++tries) {
        Try attempt;
        const std::optional<pg::Failure> failure =
            in_own_transaction([&] { take_and_run(call, attempt); });
        const bool is_clean = pg::guard(clean_session);
        stays = stays && extension_is_there && is_clean && is_own_role();
        if (!failure) {
            pg::stand_at("handler_after_commit");
            return Result{attempt.result, 0};
        }
        pg::trace(
            [&] { return "handler of call " + std::to_string(call) + ": " + failure->message; });
        if (!attempt.is_begun) {
            return Result{};
        }
        if (!has_lost_against_others(*failure) || tries == most_tries_at_once) {
            stays = stays && !is_swollen();
            return store_failure(call, *failure);
        }
        pause_a_little();
    }
}

// --- a batch ----------------------------------------------------------------------------------

// On disk before the first of them runs: one that crashes its process takes the server along.
bool count(const Batch& batch) {
    const std::vector<std::int64_t> calls(batch.calls, batch.calls + batch.count);
    const std::optional<pg::Failure> failure = in_own_transaction([&] {
        ForceSyncCommit();
        as_owner([&] { count_starts.run({pg::bigints(calls)}); });
    });
    if (failure) {
        pg::log_line("handlers wait, because their starts could not be counted: " +
                     failure->message);
    }
    return !failure;
}

void forget(const std::vector<std::int64_t>& calls) {
    if (calls.empty()) {
        return;
    }
    const std::optional<pg::Failure> failure =
        in_own_transaction([&] { as_owner([&] { forget_starts.run({pg::bigints(calls)}); }); });
    if (failure && extension_is_there) {
        pg::log_line("starts of handlers that did not run could not be forgotten: " +
                     failure->message);
    }
}

void tell_waiters(std::int64_t call) {
    ConditionVariableBroadcast(&pg::settled_condition(*pg::shared_state(), call));
}

// Between two of them nothing is open: a cancel that comes now comes too late for whom it was
// meant.
void look_at_interrupts() {
    try {
        pg::check_interrupts();
    } catch (const pg::ServerError&) {  // NOLINT(bugprone-empty-catch)
    }
}

}  // namespace

bool run_batch(const Batch& batch) {
    pg::show_working("handlers: " + std::to_string(batch.count));
    bool goes_on = count(batch);
    const bool counted = goes_on;
    bool stays = extension_is_there;
    std::vector<std::int64_t> not_run;
    for (int i = 0; i < batch.count; ++i) {
        const std::int64_t call = batch.calls[i];
        look_at_interrupts();
        Result result;
        if (goes_on && stays && !must_leave()) {
            const std::optional<Result> came = run_one(call, stays);
            if (!came) {
                return false;
            }
            result = *came;
            goes_on = result.result != HandlerResult::none;
        }
        if (counted &&
            (result.result == HandlerResult::none || result.result == HandlerResult::held)) {
            not_run.push_back(call);
        }
        if (!goes_on && stays) {
            result = {HandlerResult::again, pause_without_extension_ms};
        }
        announce_result(i, result.result, result.retry_ms);
        if (result.result == HandlerResult::gone || result.result == HandlerResult::review) {
            tell_waiters(call);
        }
    }
    forget(not_run);
    stays = stays && extension_is_there && !is_swollen();
    announce_finished(!stays);
    return stays;
}

}  // namespace pg_seats::handlers
