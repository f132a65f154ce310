// What pg_stat_activity shows of this process: whether it works or waits, and at what.
#pragma once

#include "pg/postgres.hpp"

namespace pg_seats::pg {

// To be called outside of transactions. Costs a comparison where it is shown already.
void show_working(std::string_view at_what);
void show_waiting(std::string_view for_what);

}  // namespace pg_seats::pg
