// Why a subscription could not be read: for a change, as its base, or by a read of its own.
#pragma once

#include "kinds/kind.hpp"

namespace pg_seats::kinds {

void store_problem(Storing& storing, const Settlement& item);
// `lasts`: a person should know.
void read_failed(Storing& storing, const Call& call, std::string_view problem, bool lasts);

}  // namespace pg_seats::kinds
