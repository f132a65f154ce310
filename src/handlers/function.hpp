// Calling a function of the application's.
#pragma once

#include "pg/sql.hpp"

namespace pg_seats::handlers {

struct Call {
    std::int64_t id;
    std::string function;  // qualified and quoted
    Oid owner;             // to whom it belonged when it was judged
    pg::Value outcome, context;
    pg::Value settings;  // {name: value}
};

// In the transaction of the moment, as whoever the process is then.
void call_function(const Call& call);

}  // namespace pg_seats::handlers
