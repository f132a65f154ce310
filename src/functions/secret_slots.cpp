// Who waits for client secrets, for the test that looks whether anything stays behind. (No secret
// is shown.)
#include "pg/secret_slots.hpp"
#include "pg/error.hpp"

extern "C" {
#include "funcapi.h"
#include "utils/tuplestore.h"
}

namespace pg_seats {
namespace {

void show_secret_slots(FunctionCallInfo fcinfo) {
    InitMaterializedSRF(fcinfo, 0);
    auto* const result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
    pg::SeenSecretSlot slot{};
    for (int i = 0; pg::look_at_secret_slot(i, &slot); ++i) {
        Datum values[] = {BoolGetDatum(slot.used), BoolGetDatum(slot.blank),
                          Int32GetDatum(slot.pid), Int64GetDatum(slot.subject)};
        bool nulls[] = {false, false, !slot.used, !slot.used};
        tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    }
}

}  // namespace
}  // namespace pg_seats

PG_SEATS_FUNCTION(pg_seats_secret_slots) {
    pg_seats::pg::guard(pg_seats::show_secret_slots, fcinfo);
    return Datum{0};
}
