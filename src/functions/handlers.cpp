// What SQL calls about handlers.
#include "pg/error.hpp"
#include "pg/shared_state.hpp"
#include "pg/wake.hpp"

using namespace pg_seats;

PG_SEATS_FUNCTION(pg_seats_wake_for_handlers) {
    pg::guard(pg::wake_worker_at_commit, static_cast<std::uint32_t>(pg::wake_rows));
    PG_RETURN_VOID();
}
