#include "pg/activity.hpp"

extern "C" {
#include "access/xact.h"
#include "pgstat.h"
}

namespace pg_seats::pg {
namespace {

BackendState shown_state = STATE_UNDEFINED;
char shown[128];

// Raises nothing.
void show(BackendState state, std::string_view text) {
    text = text.substr(0, sizeof shown - 1);
    if (state == shown_state && text == shown) {
        return;
    }
    shown_state = state;
    text.copy(shown, sizeof shown);
    shown[text.size()] = '\0';
    SetCurrentStatementStartTimestamp();  // what query_start shows
    pgstat_report_activity(state, shown);
}

}  // namespace

void show_working(std::string_view at_what) {
    show(STATE_RUNNING, at_what);
}

void show_waiting(std::string_view for_what) {
    show(STATE_IDLE, for_what);
}

}  // namespace pg_seats::pg
