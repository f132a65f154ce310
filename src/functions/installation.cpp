// seats_internal.write_installation_file(uuid): the right to send, written beside the keys. Only
// create_installation() and adopt_database() come here, as the extension's owner; nobody else has
// EXECUTE.
//
// The file is written at the very end of the transaction, because it cannot be rolled back: an
// adoption that does not come about must not leave a copy with the right to send.
#include "functions/sqlstates.hpp"
#include "pg/error.hpp"
#include "pg/installation_file.hpp"

extern "C" {
#include "access/xact.h"
#include "utils/fmgrprotos.h"
#include "utils/uuid.h"
}

namespace {

using namespace pg_seats;

// Of the current transaction: what its commit is to write. Empty: nothing.
char pending_uuid[37];
SubTransactionId pending_in = InvalidSubTransactionId;
bool callbacks_registered = false;

void write_file() {
    const pg::Refusal refusal = pg::write_installation_file(MyDatabaseId, pending_uuid);
    if (!refusal.reason.empty()) {
        throw pg::SqlError(sqlstate::installation_file_not_written,
                           "the installation file could not be written", refusal.reason,
                           refusal.hint);
    }
}

void at_transaction_end(XactEvent event, void* /*argument*/) {
    if (pending_uuid[0] == '\0') {
        return;
    }
    switch (event) {
        case XACT_EVENT_PRE_COMMIT:
            pg::border(write_file);
            break;
        case XACT_EVENT_PRE_PREPARE:
            ereport(ERROR,
                    (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                     errmsg("a transaction that gives a database the right to send cannot be "
                            "prepared")));
            break;
        case XACT_EVENT_COMMIT:
        case XACT_EVENT_ABORT:
            pending_uuid[0] = '\0';
            break;
        default:
            break;
    }
}

void at_subtransaction_end(SubXactEvent event, SubTransactionId mine, SubTransactionId parent,
                           void* /*argument*/) {
    if (pending_uuid[0] == '\0' || pending_in != mine) {
        return;
    }
    if (event == SUBXACT_EVENT_COMMIT_SUB) {
        pending_in = parent;
    } else if (event == SUBXACT_EVENT_ABORT_SUB) {
        pending_uuid[0] = '\0';
    }
}

void write_at_commit(FunctionCallInfo fcinfo) {
    if (PG_ARGISNULL(0)) {
        ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("uuid must not be null")));
    }
    if (!callbacks_registered) {
        RegisterXactCallback(at_transaction_end, nullptr);
        RegisterSubXactCallback(at_subtransaction_end, nullptr);
        callbacks_registered = true;
    }
    strlcpy(pending_uuid, DatumGetCString(DirectFunctionCall1(uuid_out, PG_GETARG_DATUM(0))),
            sizeof pending_uuid);
    pending_in = GetCurrentSubTransactionId();
}

}  // namespace

PG_SEATS_FUNCTION(pg_seats_write_installation_file) {
    pg::guard(write_at_commit, fcinfo);
    return Datum{0};
}
