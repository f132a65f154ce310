// Sleeping on the process's latch, for the launcher and for whatever waits outside the loop.
#pragma once

namespace pg_seats::pg {

// Sleeps until the latch is set or the time is over, and resets the latch. Takes care of
// interrupts (termination, cancel, ProcSignalBarrier) and of a reload of the configuration; the
// process ends with the postmaster. A cancel comes as pg::ServerError.
void wait_on_latch(long timeout_ms);

}  // namespace pg_seats::pg
