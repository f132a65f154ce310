// seats_internal.write_installation_file(uuid): the right to send, written beside the keys. Only
// create_installation() and adopt_database() come here, as the extension's owner; nobody else has
// EXECUTE.
#include "functions/sqlstates.hpp"
#include "pg/error.hpp"
#include "pg/installation_file.hpp"

extern "C" {
#include "utils/fmgrprotos.h"
#include "utils/uuid.h"
}

namespace {

using namespace pg_seats;

const char* uuid_text(FunctionCallInfo fcinfo) {
    if (PG_ARGISNULL(0)) {
        ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("uuid must not be null")));
    }
    return DatumGetCString(DirectFunctionCall1(uuid_out, PG_GETARG_DATUM(0)));
}

}  // namespace

PG_SEATS_FUNCTION(pg_seats_write_installation_file) {
    const std::string uuid = pg::guard(uuid_text, fcinfo);
    const pg::Refusal refusal = pg::write_installation_file(MyDatabaseId, uuid);
    if (!refusal.reason.empty()) {
        throw pg::SqlError(sqlstate::installation_file_not_written,
                           "the installation file could not be written", refusal.reason,
                           refusal.hint);
    }
    return Datum{0};
}
