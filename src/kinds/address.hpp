// Where a request goes, and what it takes to be let in there.
#pragma once

#include <optional>
#include <string>

#include "pg/secrets.hpp"

namespace pg_seats::kinds {

struct Address {
    std::string name, base_url, api_version;
    std::string format;  // of a receiver
    std::optional<bool> livemode;
    pg::Secret key;
};

}  // namespace pg_seats::kinds
