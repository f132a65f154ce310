#include <algorithm>
#include <climits>
#include <cstdlib>
#include <string_view>

#include "pg/settings.hpp"

#include "pg/error.hpp"
#include "pg/handler_slots.hpp"

extern "C" {
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/varlena.h"
}

namespace pg_seats::pg {

Settings settings{};

namespace {

constexpr int day_s = 24 * 60 * 60;

// Without symbolic links and "..", as far as the path exists.
void resolve(const char* path, char (&resolved)[MAXPGPATH]) {
    char real[PATH_MAX];
    strlcpy(resolved, realpath(path, real) != nullptr ? real : path, sizeof resolved);
    canonicalize_path(resolved);
}

bool lies_within(const char* path, const char* directory) {
    char inner[MAXPGPATH];
    char outer[MAXPGPATH];
    resolve(path, inner);
    resolve(directory, outer);
    return path_is_prefix_of_path(outer, inner);
}

// A directory of secrets inside the data directory would travel with every base backup, and with it
// the right to send.
bool check_secrets_directory(char** value, void** /*extra*/, GucSource /*source*/) {
    if (*value == nullptr || **value == '\0') {
        return true;
    }
    if (!is_absolute_path(*value)) {
        GUC_check_errdetail("The secrets directory must be an absolute path.");
        return false;
    }
    if (DataDir != nullptr && lies_within(*value, DataDir)) {
        GUC_check_errdetail(
            "The secrets directory must lie outside the data directory: what is inside is copied "
            "with it, and a copy must not be able to send.");
        return false;
    }
    return true;
}

// It is written into the journal as it stands, and read there on one line.
bool check_person(char** value, void** /*extra*/, GucSource /*source*/) {
    constexpr int longest_person = 100;
    if (*value == nullptr) {
        return true;
    }
    const int length = static_cast<int>(strlen(*value));
    if (pg_mbstrlen_with_len(*value, length) > longest_person) {
        GUC_check_errdetail("A person's name has at most %d characters.", longest_person);
        return false;
    }
    for (const char* c = *value; *c != '\0'; ++c) {
        if (static_cast<unsigned char>(*c) < ' ' || *c == '\x7f') {
            GUC_check_errdetail(
                "A person's name has no line breaks and no other control characters.");
            return false;
        }
    }
    return true;
}

// Only what renders alerts reads it, in SQL.
char* console_url;

// It stands in messages of others' formats, so nothing in it may mean anything there.
bool check_console_url(char** value, void** /*extra*/, GucSource /*source*/) {
    if (*value == nullptr || **value == '\0') {
        return true;
    }
    const std::string_view url{*value};
    const bool is_plain = std::all_of(url.begin(), url.end(), [](unsigned char c) {
        return c > ' ' && c < 0x7f &&
               std::string_view{"@<>|&\"'?#"}.find(char(c)) == std::string_view::npos;
    });
    if (is_plain && (url.starts_with("https://") || url.starts_with("http://"))) {
        return true;
    }
    GUC_check_errdetail("The desk's address is like https://desk.example.com/prefix.");
    return false;
}

const config_enum_entry reconcile_modes[] = {{"off", reconcile_off, false},
                                             {"report", reconcile_report, false},
                                             {"repair", reconcile_repair, false},
                                             {nullptr, 0, false}};

const config_enum_entry payment_sweeps[] = {{"off", payment_sweep_off, false},
                                            {"report", payment_sweep_report, false},
                                            {"cancel", payment_sweep_cancel, false},
                                            {nullptr, 0, false}};

struct Number {
    const char* name;
    const char* description;
    int* variable;
    int value, least, most, flags;
    GucContext context = PGC_SIGHUP;
};

const Number numbers[] = {
    {"pg_seats.alert_period", "A receiver is told of the same alert at most once in this time.",
     &settings.alert_period_s, 60 * 60, 1, 30 * day_s, GUC_UNIT_S},
    {"pg_seats.alert_reminder",
     "A fatal alert that nobody has acknowledged is told again after this time.",
     &settings.alert_reminder_s, 4 * 60 * 60, 1, 30 * day_s, GUC_UNIT_S},
    {"pg_seats.alerts_per_minute",
     "A receiver is told of so many alerts one by one in a minute; the rest is summed up.",
     &settings.alerts_per_minute, 10, 1, 1'000, 0},
    {"pg_seats.base_lifetime",
     "How long a read of a subscription is good to compute quantities from.",
     &settings.base_lifetime_ms, 60'000, 0, 600'000, GUC_UNIT_MS},
    {"pg_seats.secret_slots",
     "How many sessions of the server may wait for client secrets at once; 2 kB of shared memory "
     "each.",
     &settings.secret_slots, 64, 0, 10'000, 0, PGC_POSTMASTER},
    {"pg_seats.connect_timeout", "Time to connect, TLS included.", &settings.connect_timeout_ms,
     10'000, 100, 120'000, GUC_UNIT_MS},
    {"pg_seats.default_wait", "How long wait_for_change and its like wait when no time is given.",
     &settings.default_wait_ms, 3'000, 0, day_s * 1'000, GUC_UNIT_MS, PGC_USERSET},
    {"pg_seats.delivery_lifetime", "What a receiver has not taken after this time is given up.",
     &settings.delivery_lifetime_s, day_s, 1, 30 * day_s, GUC_UNIT_S},
    {"pg_seats.event_check_after",
     "Events of our own calls that have not come after this time are looked for.",
     &settings.event_check_after_ms, 60'000, 100, 3'600'000, GUC_UNIT_MS},
    {"pg_seats.final_answer_gap",
     "A replayed failure must be seen twice, this far apart, to be final.",
     &settings.final_answer_gap_s, 60, 0, 3'600, GUC_UNIT_S},
    {"pg_seats.handler_memory",
     "Memory that an application's handler may take beyond what its process has at its start.",
     &settings.handler_memory_mb, 256, 16, 65'536, GUC_UNIT_MB},
    {"pg_seats.handler_timeout",
     "An application's handler that runs longer is cancelled, and a second later ended.",
     &settings.handler_timeout_ms, 10'000, 10, 3'600'000, GUC_UNIT_MS},
    {"pg_seats.handler_workers",
     "How many processes of the server may run applications' handlers at once; 0: none runs.",
     &settings.handler_workers, 2, 0, max_handler_processes, 0},
    {"pg_seats.history_days", "How long settled calls and the journal are kept.",
     &settings.history_days, 56, 8, 3'650, 0},
    {"pg_seats.key_lifetime",
     "How long an idempotency key is trusted after its first use. Stripe forgets them after 24 "
     "hours.",
     &settings.key_lifetime_s, 20 * 60 * 60, 1, 23 * 60 * 60, GUC_UNIT_S},
    {"pg_seats.max_in_flight", "How many requests may be on the wire at once.",
     &settings.max_in_flight, 256, 1, 2'000, 0},
    {"pg_seats.max_waiters", "How many sessions may wait in wait_for_call at once.",
     &settings.max_waiters, 50, 0, 10'000, 0},
    {"pg_seats.reconcile_interval",
     "Every subscription is read at least that often, if there is time.",
     &settings.reconcile_interval_s, 7 * day_s, 1, 90 * day_s, GUC_UNIT_S},
    {"pg_seats.request_timeout", "Time for a whole request, from connect to the end.",
     &settings.request_timeout_ms, 80'000, 100, 600'000, GUC_UNIT_MS},
    {"pg_seats.response_limit", "An answer longer than this is not read to its end.",
     &settings.response_limit_kb, 1'024, 16, 65'536, GUC_UNIT_KB},
    {"pg_seats.retry_delay", "Upper bound of the first pause before a repetition.",
     &settings.retry_delay_ms, 1'000, 10, 60'000, GUC_UNIT_MS},
    {"pg_seats.retry_delay_limit", "Upper bound of every pause before a repetition.",
     &settings.retry_delay_limit_ms, 60'000, 10, 3'600'000, GUC_UNIT_MS},
    {"pg_seats.safety_poll", "How often the worker looks without having been woken.",
     &settings.safety_poll_ms, 30'000, 100, 600'000, GUC_UNIT_MS},
    {"pg_seats.verify_after_silence",
     "A call in doubt without any answer for this long is verified by a read.",
     &settings.verify_after_silence_s, 300, 1, day_s, GUC_UNIT_S},
    {"pg_seats.webhook_silence",
     "Stripe's list of events is read when no webhook has come for this long; 0: never.",
     &settings.webhook_silence_s, 60 * 60, 0, 7 * day_s, GUC_UNIT_S},
};

struct Text {
    const char* name;
    const char* description;
    char** variable;
    int flags = GUC_SUPERUSER_ONLY;
    GucStringCheckHook check = nullptr;
};

const Text texts[] = {
    {"pg_seats.ca_file", "File of certificate authorities for HTTPS; empty: the system's.",
     &settings.ca_file},
    {"pg_seats.console_url",
     "Where the operator's desk is reached, for links in alerts; empty: there are none.",
     &console_url, 0, check_console_url},
    {"pg_seats.debug_point",
     "Where the worker stands still, for tests of crashes, if it was built for that.",
     &settings.debug_point, GUC_SUPERUSER_ONLY | GUC_NOT_IN_SAMPLE},
    {"pg_seats.secrets_directory",
     "Directory of API keys and of the right to send, outside the data directory.",
     &settings.secrets_directory, GUC_SUPERUSER_ONLY, check_secrets_directory},
};

}  // namespace

void define_settings() {
    for (const Number& each : numbers) {
        // A library that is loaded later has no shared memory that it could size.
        if (each.context == PGC_POSTMASTER && !process_shared_preload_libraries_in_progress) {
            continue;
        }
        DefineCustomIntVariable(each.name, each.description, nullptr, each.variable, each.value,
                                each.least, each.most, each.context, each.flags, nullptr, nullptr,
                                nullptr);
    }
    for (const Text& each : texts) {
        DefineCustomStringVariable(each.name, each.description, nullptr, each.variable, "",
                                   PGC_SIGHUP, each.flags, each.check, nullptr, nullptr);
    }
    // (Not in a file: the worker would act in somebody's name.)
    DefineCustomStringVariable(
        "pg_seats.person",
        "Who acts, where several share a role of the database: the journal's entries tell.",
        nullptr, &settings.person, "", PGC_USERSET, GUC_DISALLOW_IN_FILE | GUC_NOT_IN_SAMPLE,
        check_person, nullptr, nullptr);
    DefineCustomEnumVariable(
        "pg_seats.reconcile",
        "What the sweep over all subscriptions does with differences: off, report, repair.",
        nullptr, &settings.reconcile, reconcile_report, reconcile_modes, PGC_SIGHUP, 0, nullptr,
        nullptr, nullptr);
    DefineCustomEnumVariable(
        "pg_seats.payment_sweep",
        "What the daily listing does with payment intents that are forgotten here: off (there is "
        "none), report, cancel.",
        nullptr, &settings.payment_sweep, payment_sweep_report, payment_sweeps, PGC_SIGHUP, 0,
        nullptr, nullptr, nullptr);
    MarkGUCPrefixReserved("pg_seats");
}

}  // namespace pg_seats::pg
