// What a read of a subscription has told, or why it could not be read: a change's base, or a read
// of its own.
#pragma once

#include "kinds/kind.hpp"

#include "pg/sql.hpp"

namespace pg_seats::kinds {

// `read`: the row that has asked for it; null if none has.
void store_subscription(Storing& storing, const Settlement& item, pg::Value read);
void store_problem(Storing& storing, const Settlement& item);
// `lasts`: a person should know.
void read_failed(Storing& storing, const Call& call, std::string_view problem, bool lasts);

}  // namespace pg_seats::kinds
