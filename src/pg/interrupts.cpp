#include "pg/interrupts.hpp"

extern "C" {
#include "postmaster/interrupt.h"
}

namespace pg_seats::pg {
namespace {

void process_interrupts() {
    CHECK_FOR_INTERRUPTS();
}

void reload() {
    ProcessConfigFile(PGC_SIGHUP);
}

}  // namespace

void check_interrupts() {
    if (INTERRUPTS_PENDING_CONDITION()) {
        guard(process_interrupts);
    }
}

bool reload_configuration_if_asked() {
    if (ConfigReloadPending == 0) {
        return false;
    }
    ConfigReloadPending = 0;
    guard(reload);
    return true;
}

}  // namespace pg_seats::pg
