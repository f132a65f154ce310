// What the tables say of installation and destinations, the files beside them, and the fence: may
// this database send?
#pragma once

#include "engine/memory.hpp"

namespace pg_seats::engine {

// Reads installation and destinations anew when they may have changed, and says whether this
// database may send (the fence).
void refresh_configuration(Engine& engine);

// Looks whether key files or the installation's file have changed, at most once a second.
void watch_files(Engine& engine);

}  // namespace pg_seats::engine
