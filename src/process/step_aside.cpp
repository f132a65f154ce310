// A worker that is connected to a database would make DROP DATABASE, ALTER DATABASE … RENAME and
// SET TABLESPACE, and CREATE DATABASE … TEMPLATE fail after five seconds. So it steps aside: the
// session that wants the database puts a hold on it, waits until the worker is gone, and the hold
// ends with the command, or with the transaction if the command succeeded. So do the processes that
// run handlers; what one of them does just then is rolled back, and runs again later.
#include "pg/error.hpp"
#include "pg/shared_state.hpp"
#include "pg/wake.hpp"
#include "process/hooks.hpp"

extern "C" {
#include "access/htup_details.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "nodes/parsenodes.h"
#include "storage/condition_variable.h"
#include "tcop/utility.h"
#include "utils/syscache.h"
}

namespace pg_seats::process {
namespace {

using pg::SharedState;
using pg::WorkerSlot;

ProcessUtility_hook_type next_hook = nullptr;

constexpr long longest_wait_ms = 10'000;
constexpr long patience_with_handlers_ms = 1'000;

// The holds of this backend. More than one only if a transaction renames several databases.
constexpr int most_holds = 8;
Oid held[most_holds];
int held_count = 0;

// --- the hold ---------------------------------------------------------------------------------

// The lock is held. Without a free slot there is no hold: the command then takes its chance.
WorkerSlot* slot_to_hold(SharedState& shared, Oid database) {
    WorkerSlot* slot = pg::find_worker(shared, database);
    if (slot == nullptr && (slot = pg::find_worker(shared, InvalidOid)) != nullptr) {
        // No worker, but the launcher might be about to start one.
        pg::give_slot(*slot, database);
        slot->only_held = true;
    }
    return slot;
}

// Raises nothing between the count in shared memory and the note that it must be taken back.
bool take_hold(Oid database) {
    SharedState& shared = *pg::shared_state();
    bool taken = false;
    LWLockAcquire(shared.lock, LW_EXCLUSIVE);
    if (WorkerSlot* slot = slot_to_hold(shared, database);
        slot != nullptr && held_count < most_holds) {
        ++slot->holders;
        slot->held_by = MyProcPid;
        held[held_count++] = database;
        taken = true;
    }
    LWLockRelease(shared.lock);
    if (taken) {
        pg::wake_worker(database, pg::wake_step_aside);
        pg::disturb_handlers(database, false);
    }
    return taken;
}

// Also after a commit and at the process's end, so it raises nothing.
void release_last_hold() {
    SharedState& shared = *pg::shared_state();
    const Oid database = held[--held_count];
    bool last = false;
    LWLockAcquire(shared.lock, LW_EXCLUSIVE);
    if (WorkerSlot* slot = pg::find_worker(shared, database);
        slot != nullptr && slot->holders > 0 && --slot->holders == 0) {
        slot->held_by = 0;
        if (slot->only_held) {
            slot->only_held = false;
            slot->database = InvalidOid;
        } else {
            last = true;
        }
    }
    LWLockRelease(shared.lock);
    if (last) {
        pg::request_probe(database);
    } else {
        // A request may have come meanwhile, and the launcher waits for the hold's end.
        pg::wake_launcher();
    }
}

void release_holds() {
    while (held_count > 0) {
        release_last_hold();
    }
}

void at_transaction_end(XactEvent event, void* /*argument*/) {
    if (held_count > 0 &&
        (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)) {
        release_holds();
    }
}

void at_exit(int /*code*/, Datum /*argument*/) {
    release_holds();
}

void register_callbacks() {
    static bool registered = false;
    if (!registered) {
        RegisterXactCallback(at_transaction_end, nullptr);
        before_shmem_exit(at_exit, Datum{0});
        registered = true;
    }
}

bool somebody_is_there(Oid database) {
    if (pg::has_handler_process(database)) {
        return true;
    }
    SharedState& shared = *pg::shared_state();
    LWLockAcquire(shared.lock, LW_SHARED);
    const WorkerSlot* slot = pg::find_worker(shared, database);
    const bool there = slot != nullptr && slot->pid != 0;
    LWLockRelease(shared.lock);
    return there;
}

void await_departure(Oid database) {
    static uint32 wait_event = 0;
    if (wait_event == 0) {
        wait_event = pg::new_wait_event("PgSeatsStepAside");
    }
    ConditionVariable* const changed = &pg::shared_state()->worker_changed;
    const TimestampTz begun = GetCurrentTimestamp();
    long waited_ms = 0;
    bool handlers_were_ended = false;
    ConditionVariablePrepareToSleep(changed);
    while (somebody_is_there(database)) {
        if (waited_ms >= longest_wait_ms) {
            break;  // the command itself will say that the database is in use
        }
        if (waited_ms >= patience_with_handlers_ms && !handlers_were_ended) {
            handlers_were_ended = true;
            pg::disturb_handlers(database, true);
        }
        const long until_ms = handlers_were_ended ? longest_wait_ms : patience_with_handlers_ms;
        ConditionVariableTimedSleep(changed, until_ms - waited_ms, wait_event);
        waited_ms = TimestampDifferenceMilliseconds(begun, GetCurrentTimestamp());
    }
    ConditionVariableCancelSleep();
}

// --- which database, and may the session do that with it? --------------------------------------
//
// Whoever may not, or asks for what cannot be, gets the server's own error, and the worker is not
// disturbed. What is checked here is checked again by the command.

bool may_create_databases() {
    if (superuser()) {
        return true;
    }
    bool may = false;
    HeapTuple tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
    if (HeapTupleIsValid(tuple)) {
        may = reinterpret_cast<Form_pg_authid>(GETSTRUCT(tuple))->rolcreatedb;
        ReleaseSysCache(tuple);
    }
    return may;
}

Oid own_database_called(const char* name) {
    const Oid database = name != nullptr ? get_database_oid(name, true) : InvalidOid;
    // One's own database can be neither dropped nor renamed nor moved.
    if (!OidIsValid(database) || database == MyDatabaseId ||
        !pg::owns_database(database, GetUserId())) {
        return InvalidOid;
    }
    return database;
}

bool is_template(Oid database) {
    bool result = false;
    HeapTuple tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database));
    if (HeapTupleIsValid(tuple)) {
        result = reinterpret_cast<Form_pg_database>(GETSTRUCT(tuple))->datistemplate;
        ReleaseSysCache(tuple);
    }
    return result;
}

const char* option_of(List* options, const char* name) {
    ListCell* cell = nullptr;
    foreach (cell, options) {
        auto* option = static_cast<DefElem*>(lfirst(cell));
        if (strcmp(option->defname, name) == 0 && option->arg != nullptr) {
            return defGetString(option);
        }
    }
    return nullptr;
}

Oid template_of(const CreatedbStmt* statement) {
    const char* const name = option_of(statement->options, "template");
    const Oid database = get_database_oid(name != nullptr ? name : "template1", true);
    if (!OidIsValid(database) || !may_create_databases() ||
        OidIsValid(get_database_oid(statement->dbname, true))) {
        return InvalidOid;
    }
    const bool may_copy = is_template(database) || pg::owns_database(database, GetUserId());
    // Connected to the template oneself: that is one's own business, and only the worker's to
    // leave.
    return may_copy ? database : InvalidOid;
}

Oid renamed_by(const RenameStmt* statement) {
    if (statement->renameType != OBJECT_DATABASE || !may_create_databases() ||
        OidIsValid(get_database_oid(statement->newname, true))) {
        return InvalidOid;
    }
    return own_database_called(statement->subname);
}

// The database that has to be free of our worker for this command; InvalidOid: none.
Oid wanted_database(Node* statement, bool is_top_level) {
    switch (nodeTag(statement)) {
        case T_DropdbStmt:
            PreventInTransactionBlock(is_top_level, "DROP DATABASE");
            return own_database_called(reinterpret_cast<DropdbStmt*>(statement)->dbname);
        case T_CreatedbStmt:
            PreventInTransactionBlock(is_top_level, "CREATE DATABASE");
            return template_of(reinterpret_cast<CreatedbStmt*>(statement));
        case T_AlterDatabaseStmt: {
            const auto* alter = reinterpret_cast<AlterDatabaseStmt*>(statement);
            if (option_of(alter->options, "tablespace") == nullptr) {
                return InvalidOid;
            }
            PreventInTransactionBlock(is_top_level, "ALTER DATABASE SET TABLESPACE");
            return own_database_called(alter->dbname);
        }
        case T_RenameStmt:
            return renamed_by(reinterpret_cast<RenameStmt*>(statement));
        default:
            return InvalidOid;
    }
}

// --- the hook ---------------------------------------------------------------------------------

struct Utility {
    PlannedStmt* statement;
    const char* query;
    bool read_only_tree;
    ProcessUtilityContext context;
    ParamListInfo parameters;
    QueryEnvironment* environment;
    DestReceiver* receiver;
    QueryCompletion* completion;
};

void run_next(const Utility* utility) {
    const ProcessUtility_hook_type run = next_hook != nullptr ? next_hook : standard_ProcessUtility;
    run(utility->statement, utility->query, utility->read_only_tree, utility->context,
        utility->parameters, utility->environment, utility->receiver, utility->completion);
}

void run_while_holding(const Utility* utility, Oid database) {
    register_callbacks();
    if (!take_hold(database)) {
        run_next(utility);
        return;
    }
    // A savepoint's or a block's rollback is no end of the transaction, but the command is over.
    const int mine = held_count;
    PG_TRY();
    {
        await_departure(database);
        run_next(utility);
    }
    PG_CATCH();
    {
        while (held_count >= mine) {
            release_last_hold();
        }
        PG_RE_THROW();
    }
    PG_END_TRY();
}

bool is_commit_prepared(Node* statement) {
    return IsA(statement, TransactionStmt) &&
           reinterpret_cast<TransactionStmt*>(statement)->kind == TRANS_STMT_COMMIT_PREPARED;
}

// What the prepared transaction wanted to tell at its commit was forgotten when it was prepared, so
// everything that it can have been is told now.
void after_commit_prepared() {
    pg::hand_over_all(MyDatabaseId);
    pg::wake_worker_at_commit(pg::wake_rows | pg::wake_configuration | pg::wake_extension |
                              pg::wake_handlers);
    SharedState& shared = *pg::shared_state();
    LWLockAcquire(shared.lock, LW_SHARED);
    const bool known = pg::find_worker(shared, MyDatabaseId) != nullptr;
    LWLockRelease(shared.lock);
    if (!known && OidIsValid(get_extension_oid("pg_seats", true))) {
        pg::probe_at_commit(MyDatabaseId);
    }
}

void on_utility(const Utility* utility) {
    Node* const statement = utility->statement->utilityStmt;
    if (pg::shared_state() == nullptr) {
        run_next(utility);
        return;
    }
    const bool prepared = is_commit_prepared(statement);
    // A read-only transaction and a standby refuse all of these commands.
    const Oid database =
        XactReadOnly ? InvalidOid
                     : wanted_database(statement, utility->context == PROCESS_UTILITY_TOPLEVEL);
    if (OidIsValid(database)) {
        run_while_holding(utility, database);
    } else {
        run_next(utility);
    }
    // Not `statement`: a COMMIT inside a procedure may have freed it.
    if (prepared) {
        after_commit_prepared();
    }
}

void process_utility(PlannedStmt* statement, const char* query, bool read_only_tree,
                     ProcessUtilityContext context, ParamListInfo parameters,
                     QueryEnvironment* environment, DestReceiver* receiver,
                     QueryCompletion* completion) {
    const Utility utility{statement,  query,       read_only_tree, context,
                          parameters, environment, receiver,       completion};
    pg::border(on_utility, &utility);
}

}  // namespace

void watch_utility_commands() {
    next_hook = ProcessUtility_hook;
    ProcessUtility_hook = process_utility;
}

}  // namespace pg_seats::process
