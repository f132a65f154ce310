// Places where a test can make the worker stand still, to kill it or to look at it there.
#pragma once

namespace pg_seats::pg {

// Stands still while the setting pg_seats.debug_point is `point`: says so in the process's slot and
// waits until the setting is another. While the setting is "raise 1 <point>" it raises an error
// there instead, once. Works inside and outside a transaction. Does nothing unless
// it was built for tests (make PG_SEATS_TEST=1): nobody stops a release by a setting.
void stand_at(const char* point);

}  // namespace pg_seats::pg
