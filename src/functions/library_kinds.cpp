// The kinds of rows that the library knows, to be compared with those that SQL knows
// (test/scenarios/51_plans.pl). No function of the install script has this symbol.
#include "kinds/kind.hpp"

#ifdef PG_SEATS_TEST

extern "C" {
#include "funcapi.h"
#include "utils/tuplestore.h"
}

namespace pg_seats {
namespace {

void return_kinds(FunctionCallInfo fcinfo) {
    InitMaterializedSRF(fcinfo, 0);
    auto* const result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
    for (const kinds::Kind* kind : kinds::all) {
        Datum values[3] = {PointerGetDatum(cstring_to_text_with_len(
                               kind->name.data(), static_cast<int>(kind->name.size()))),
                           BoolGetDatum(kind->rules.can_be_in_doubt),
                           BoolGetDatum(kind->plan != nullptr)};
        bool nulls[3] = {false, false, false};
        tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    }
}

}  // namespace
}  // namespace pg_seats

PG_SEATS_FUNCTION(pg_seats_library_kinds) {
    pg_seats::pg::guard(pg_seats::return_kinds, fcinfo);
    return Datum{0};
}

#endif
