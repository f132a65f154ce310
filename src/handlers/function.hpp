// Calling a function of the application's.
#pragma once

#include "pg/sql.hpp"

namespace pg_seats::handlers {

struct Call {
    std::int64_t id;
    std::string function;  // qualified and quoted
    Oid owner;             // to whom it belonged when it was judged
    pg::Value outcome, context;
};

// Of the application's own, until the end of the transaction; as the role may set them.
void set_for_transaction(const std::string& name, const std::string& value);

// In the transaction of the moment, as whoever the process is then.
void call_function(const Call& call);

}  // namespace pg_seats::handlers
