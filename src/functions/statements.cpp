// The worker's statements, for whoever wants to look at their plans (test/scenarios/51_plans.pl).
// No function of the install script has this symbol.
#include <cstring>

#include "pg/sql.hpp"

#ifdef PG_SEATS_TEST

extern "C" {
#include "funcapi.h"
#include "utils/tuplestore.h"
}

namespace pg_seats {
namespace {

// `claim.cpp:80`
Datum place_of(const pg::Statement& statement) {
    const char* const slash = strrchr(statement.file(), '/');
    return PointerGetDatum(cstring_to_text(
        psprintf("%s:%d", slash != nullptr ? slash + 1 : statement.file(), statement.line())));
}

void return_statements(FunctionCallInfo fcinfo) {
    InitMaterializedSRF(fcinfo, 0);
    auto* const result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
    for (const pg::Statement* one = pg::Statement::first(); one != nullptr; one = one->next()) {
        Datum values[2] = {place_of(*one), CStringGetTextDatum(one->sql())};
        bool nulls[2] = {false, false};
        tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    }
}

}  // namespace
}  // namespace pg_seats

PG_SEATS_FUNCTION(pg_seats_statements) {
    pg_seats::pg::guard(pg_seats::return_statements, fcinfo);
    return Datum{0};
}

#endif
