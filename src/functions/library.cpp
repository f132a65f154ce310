// The library's beginning: what happens when the server loads it.
#include "pg/error.hpp"
#include "pg/settings.hpp"
#include "pg/shared_state.hpp"
#include "process/hooks.hpp"
#include "process/launcher.hpp"

extern "C" {
#if PG_VERSION_NUM >= 180000
PG_MODULE_MAGIC_EXT(.name = "pg_seats", .version = PG_SEATS_VERSION);
#else
PG_MODULE_MAGIC;
#endif

PGDLLEXPORT void _PG_init();  // NOLINT(bugprone-reserved-identifier): the server wants the name
}

namespace pg_seats {
namespace {

void initialise() {
    pg::define_settings();
    // A library that is loaded later, by the first call of one of its functions, can have neither
    // shared memory nor a launcher: the functions work then, and rows wait. pg_upgrade starts the
    // old and the new server, and nothing may be sent from either.
    if (!process_shared_preload_libraries_in_progress || IsBinaryUpgrade) {
        return;
    }
    pg::request_shared_state();
    process::register_launcher();
    process::watch_extension_events();
    process::watch_utility_commands();
}

}  // namespace
}  // namespace pg_seats

void _PG_init() {
    pg_seats::pg::border(pg_seats::initialise);
}
