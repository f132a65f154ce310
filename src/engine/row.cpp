#include "engine/row.hpp"

namespace pg_seats::engine {

Call read_call(const pg::Rows& rows, std::size_t row) {
    Call call;
    pg::read(call_columns, rows, row, call);
    return call;
}

}  // namespace pg_seats::engine
