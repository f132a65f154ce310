// What a flight asks of its destination: method, path and parameters, by its purpose.
#pragma once

#include "engine/memory.hpp"

namespace pg_seats::engine {

struct Target {
    std::string method, path, query, body;
};

Target target_of(const Flight& flight);

}  // namespace pg_seats::engine
