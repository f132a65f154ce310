// Settings that an application has kept for its handler (keep_settings).
#pragma once

#include "pg/postgres.hpp"

namespace pg_seats::pg {

// {name: value}, until the end of the transaction: what the handler defers needs them, too. With
// the privileges of the role that has named them, whoever acts: what only superusers may set, or
// may give to a library that is loaded later, is not to be had through one who decides. Raises.
void set_kept_settings(Datum json, Oid role);

}  // namespace pg_seats::pg
