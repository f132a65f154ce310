// Places where a test can make the worker stand still, to kill it or to look at it there.
#pragma once

namespace pg_seats::pg {

// Stands still while the setting pg_seats.debug_point is `point`: says so in the worker's slot and
// waits until the setting is another. Works inside and outside a transaction; costs a look at an
// empty string otherwise.
void stand_at(const char* point);

}  // namespace pg_seats::pg
