#include "process/life.hpp"

#include "engine/loop.hpp"
#include "pg/extension.hpp"
#include "pg/log.hpp"
#include "pg/own_slot.hpp"
#include "pg/settings.hpp"
#include "pg/transaction.hpp"
#include "pg/wait.hpp"

extern "C" {
#include "catalog/pg_authid_d.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/lock.h"
#include "tcop/tcopprot.h"
}

namespace pg_seats::process {
namespace {

// What this process itself entered into shared memory; only that is taken out again at its end. A
// worker that found another one in its slot must not clear the other's.
// (Where it stands for all of the process is pg/own_slot.)
pg::WorkerSlot* slot = nullptr;
pg::WorkerEnd end = pg::WorkerEnd::unexpected;
volatile sig_atomic_t asked_to_end = 0;

// The session lock's own kind of advisory lock: nobody's pg_advisory_lock() can meet it, whatever
// its numbers. (The server itself uses 1 and 2, Citus and Timescale others.)
constexpr uint16 lock_kind = 0x5EA7;

constexpr long predecessor_poll_ms = 200;

// At the process's end, however it comes. Registered before the process joins ProcArray, it runs
// after the process has left it: whoever then sees the slot without a process can drop the
// database.
void leave(int /*code*/, Datum /*argument*/) {
    pg::SharedState* const shared = pg::shared_state();
    if (slot == nullptr || shared == nullptr) {
        return;
    }
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    slot->pid = 0;
    slot->state = pg::WorkerState::none;
    slot->in_flight = slot->ready = slot->destination_count = 0;
    slot->reading_backlog = false;
    slot->roles_waiting = 0;
    slot->debug_point[0] = '\0';
    slot->ended = true;
    slot->end = end;
    slot->departure = asked_to_end != 0 || end != pg::WorkerEnd::unexpected
                          ? pg::WorkerDeparture::asked
                          : pg::WorkerDeparture::by_error;
    LWLockRelease(shared->lock);
    slot = nullptr;
    pg::set_own_slot(nullptr);
    ConditionVariableBroadcast(&shared->worker_changed);
    pg::wake_launcher();
}

// False if there is no place for this process: the launcher changed its mind meanwhile, another
// worker is there already, or somebody wants the database for himself.
bool enter(Oid database) {
    pg::SharedState* const shared = pg::shared_state();
    if (shared == nullptr) {
        return false;
    }
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    pg::WorkerSlot* const found = pg::find_worker(*shared, database);
    bool held = false;
    if (found != nullptr && found->pid == 0) {
        slot = found;
        pg::set_own_slot(found);
        slot->pid = MyProcPid;
        slot->proc_number = pg::my_proc_number();
        slot->state = pg::WorkerState::starting;
        slot->started_at = GetCurrentTimestamp();
        slot->last_loop_at = 0;
        pg::set_last_worker_crashed(
            slot->departure == pg::WorkerDeparture::by_error ||
            (slot->departure == pg::WorkerDeparture::unknown && shared->follows_crash));
        // A wish of yesterday: whether it still stands is said by the slot's holders.
        pg_atomic_fetch_and_u32(&slot->wake, ~static_cast<uint32>(pg::wake_step_aside));
        held = slot->holders > 0;
    }
    LWLockRelease(shared->lock);
    if (held) {
        end = pg::WorkerEnd::stepped_aside;
    }
    return slot != nullptr && !held;
}

void handle_sigterm(SIGNAL_ARGS) {
    asked_to_end = 1;
    die(postgres_signal_arg);
}

void set(const char* name, const char* value) {
    SetConfigOption(name, value, PGC_SUSET, PGC_S_OVERRIDE);
}

// Settings of the site, the database or the role that are meant for its own sessions must not
// change what the worker does: a default_transaction_read_only would stop it, a lock_timeout make
// it fail, a search_path lead it to other people's functions.
void settle_settings() {
    set("application_name", "pg_seats worker");
    set("search_path", "pg_catalog, pg_temp");
    set("role", "none");
    set("session_replication_role", "origin");
    set("row_security", "off");
    set("default_transaction_isolation", "read committed");
    set("default_transaction_read_only", "off");
    set("default_transaction_deferrable", "off");
    set("statement_timeout", "0");
    set("lock_timeout", "0");
    set("idle_in_transaction_session_timeout", "0");
    set("idle_session_timeout", "0");
    set("standard_conforming_strings", "on");
    set("bytea_output", "hex");
    set("DateStyle", "ISO");
    set("IntervalStyle", "postgres");
#if PG_VERSION_NUM >= 170000
    set("transaction_timeout", "0");
    set("restrict_nonsystem_relation_kind", "");
#endif
    // Each claim has one index that fits it. Stale statistics of a table that fills and empties all
    // day would choose others, or read all of it (a bitmap over 60,000 dead entries was seen).
    set("enable_indexscan", "on");
    set("enable_hashjoin", "on");
    set("enable_bitmapscan", "off");
    set("enable_seqscan", "off");
    set("enable_tidscan", "on");  // rows are counted by pages
    // A batch is joined by hash: a nested loop over a table whose statistics say that it is empty
    // goes through the whole of it once for each row. (Lateral joins are nested loops all the
    // same.)
    set("enable_nestloop", "off");
    set("enable_mergejoin", "off");
    set("plan_cache_mode", "force_generic_plan");
    set("max_parallel_workers_per_gather", "0");
    set("jit", "off");
}

// A claim must be on disk before its first byte leaves. What the site asks for beyond that is known
// only once the database's own settings are read, so this comes after the connection.
void settle_durability() {
    set("synchronous_commit",
        synchronous_commit > SYNCHRONOUS_COMMIT_REMOTE_FLUSH ? "remote_apply" : "on");
}

// A database's owner may set session_authorization for it, which cannot be overridden before there
// is a connection.
void settle_identity() {
    if (GetUserId() != BOOTSTRAP_SUPERUSERID) {
        SetSessionAuthorization(BOOTSTRAP_SUPERUSERID, true);
    }
}

void connect(Oid database) {
    settle_settings();
    BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
    settle_identity();
    settle_durability();
    pgstat_report_activity(STATE_IDLE, nullptr);
}

bool lock_is_mine() {
    LOCKTAG tag;
    SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, 0, 0, lock_kind);
    return LockAcquire(&tag, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL;
}

// C++ from here on.

void succeed_or_throw(const std::optional<pg::Failure>& failure) {
    if (failure) {
        throw pg::SqlError(failure->sqlstate, failure->message, failure->detail, failure->hint);
    }
}

// Held until the process ends, also over aborted transactions: who has it knows that no other
// worker is at work in this database, and may repair what a dead one left. False: asked to step
// aside.
bool take_session_lock() {
    for (bool told = false;; told = true) {
        bool mine = false;
        succeed_or_throw(pg::in_transaction([&] { mine = pg::guard(lock_is_mine); }));
        if (mine) {
            return true;
        }
        if (!told) {
            pg::log_line("waiting until the worker before this one is gone");
        }
        pg::wait_on_latch(predecessor_poll_ms);
        if (pg::must_step_aside()) {
            return false;
        }
    }
}

void announce_running() {
    pg::SharedState* const shared = pg::shared_state();
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    slot->state = pg::WorkerState::running;
    LWLockRelease(shared->lock);
    ConditionVariableBroadcast(&shared->worker_changed);
    // The launcher may look into the next database.
    pg::wake_launcher();
}

// Library and extension do not fit each other. Ending would only mean being started again, so the
// worker stays, and looks when it is told of a change and at every safety poll.
std::optional<engine::LoopEnd> wait_until_version_fits() {
    for (;;) {
        pg::wait_on_latch(pg::settings.safety_poll_ms);
        // The rows among the reasons are not lost: a loop begins with reading the whole table.
        pg_atomic_exchange_u32(&slot->wake, 0);
        if (pg::must_step_aside()) {
            return engine::LoopEnd::step_aside;
        }
        pg::ExtensionState state = pg::ExtensionState::gone;
        succeed_or_throw(pg::in_transaction([&] { state = pg::check_extension(); }));
        if (state == pg::ExtensionState::gone) {
            return engine::LoopEnd::extension_gone;
        }
        if (state == pg::ExtensionState::present) {
            return std::nullopt;
        }
    }
}

engine::LoopEnd live() {
    Oid extension = InvalidOid;
    succeed_or_throw(pg::in_transaction([&] { extension = pg::find_extension(); }));
    if (!OidIsValid(extension)) {
        return engine::LoopEnd::extension_gone;
    }
    if (pg::must_step_aside() || !take_session_lock()) {
        return engine::LoopEnd::step_aside;
    }
    announce_running();
    for (;;) {
        const engine::LoopEnd loop_end = engine::run_loop(*slot);
        if (loop_end != engine::LoopEnd::version_mismatch) {
            return loop_end;
        }
        if (const std::optional<engine::LoopEnd> other = wait_until_version_fits()) {
            return *other;
        }
    }
}

void main_body(Oid database) {
    // Before anything of this process is in shared memory.
    on_shmem_exit(leave, Datum{0});
    // `die`, because it ends the process at the next interrupt check only and not within a critical
    // section, and because everything of the server that waits knows it.
    pqsignal(SIGTERM, handle_sigterm);
    pqsignal(SIGHUP, SignalHandlerForConfigReload);
    BackgroundWorkerUnblockSignals();
    if (!enter(database)) {
        return;
    }
    connect(database);
    switch (live()) {
        case engine::LoopEnd::extension_gone:
            end = pg::WorkerEnd::extension_gone;
            break;
        case engine::LoopEnd::step_aside:
            end = pg::WorkerEnd::stepped_aside;
            break;
        case engine::LoopEnd::version_mismatch:
            break;  // does not come out of live()
    }
}

}  // namespace

}  // namespace pg_seats::process

void pg_seats_worker_main(Datum database) {
    pg_seats::pg::border(pg_seats::process::main_body, DatumGetObjectId(database));
    // Without an exit code the postmaster says nothing about it in the log: most of these ends are
    // a look into a database without the extension.
    proc_exit(0);
}
