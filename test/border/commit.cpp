// A transaction of the worker's own (src/pg/transaction.hpp) whose statistics cannot be reported
// once it is committed. It begins and ends outside of any statement, so a process does it and not a
// function.
#include <stdexcept>

#include "pg/transaction.hpp"

extern "C" {
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "tcop/tcopprot.h"

// Takes the place of the server's own (--wrap): it is called when a commit is over.
long __wrap_pgstat_report_stat(bool force);
PGDLLEXPORT void border_commit_main(Datum database);
}

using pg_seats::pg::Failure;
using pg_seats::pg::guard;
using pg_seats::pg::in_transaction;

namespace {

bool reporting_fails = false;

void execute(const char* statement) {
    SPI_execute(statement, false, 0);
}

}  // namespace

long __wrap_pgstat_report_stat(bool /*force*/) {
    if (reporting_fails) {
        ereport(ERROR, (errmsg("there is no memory for statistics")));
    }
    return 0;
}

// Writes a row, and then another with what the transaction of the first one has told of itself.
void border_commit_main(Datum database) {
    pg_seats::pg::border([database] {
        guard(BackgroundWorkerUnblockSignals);
        guard(BackgroundWorkerInitializeConnectionByOid, DatumGetObjectId(database), InvalidOid,
              uint32{0});
        reporting_fails = true;
        const std::optional<Failure> failure =
            in_transaction([] { guard(execute, "INSERT INTO written VALUES ('the row')"); });
        reporting_fails = false;
        in_transaction([&failure] {
            guard(execute, failure ? "INSERT INTO written VALUES ('it was rolled back')"
                                   : "INSERT INTO written VALUES ('it is committed')");
        });
    });
    proc_exit(0);
}

// The argument is this module's own file, as for the function itself.
PG_SEATS_FUNCTION(border_commit) {
    const std::string library = guard(
        +[](Datum name) { return text_to_cstring(DatumGetTextPP(name)); }, PG_GETARG_DATUM(0));
    BackgroundWorker worker{};
    worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
    worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
    worker.bgw_restart_time = BGW_NEVER_RESTART;
    worker.bgw_main_arg = ObjectIdGetDatum(MyDatabaseId);
    if (library.size() >= sizeof worker.bgw_library_name) {
        throw std::runtime_error("the module's path is too long for a background worker");
    }
    strlcpy(worker.bgw_library_name, library.c_str(), sizeof worker.bgw_library_name);
    strlcpy(worker.bgw_function_name, "border_commit_main", sizeof worker.bgw_function_name);
    strlcpy(worker.bgw_name, "border_commit", sizeof worker.bgw_name);
    strlcpy(worker.bgw_type, "border_commit", sizeof worker.bgw_type);
    if (!guard(RegisterDynamicBackgroundWorker, &worker, nullptr)) {
        throw std::runtime_error("there is no room for a background worker");
    }
    return Datum{0};
}
