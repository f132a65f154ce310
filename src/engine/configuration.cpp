#include "engine/configuration.hpp"

#include <set>

#include "engine/find.hpp"
#include "engine/keys.hpp"
#include "engine/trouble.hpp"

#include "pg/activity.hpp"
#include "pg/installation_file.hpp"
#include "pg/log.hpp"
#include "pg/own_slot.hpp"
#include "pg/sql.hpp"

namespace pg_seats::engine {
namespace {

using core::Duration;
using pg::Statement;

// Which prices are seats is configuration, too: teams may have to be counted anew.
Statement recount_wanted_statement{"SELECT EXISTS (SELECT FROM seats_internal.recount)"};

Statement installation_statement{
    "SELECT i.uuid::text, EXISTS (SELECT FROM seats_internal.adoption AS a WHERE a.uuid = i.uuid)"
    "  FROM seats_internal.installation AS i"};

Statement destinations_statement{
    "SELECT d.name, d.kind, d.base_url, d.secret, d.account, d.livemode, d.api_version,"
    "       d.requests_per_second, d.probe_path, d.paused_at IS NOT NULL, d.halted_at IS NOT NULL,"
    "       d.halted_needs_person, d.halted_reason, r.format, d.halted_message"
    "  FROM seats_internal.destination AS d"
    "  LEFT JOIN seats_internal.receiver AS r ON r.name = d.name"};

void read_destination(Engine& engine, const pg::Rows& rows, std::size_t row) {
    const std::string name = rows.string(row, 1);
    const TimePoint now = steady_now();
    const auto [entry, is_new] = engine.destinations.try_emplace(name, now);
    Destination& destination = entry->second;
    const std::string base_url = rows.string(row, 3), secret = rows.string(row, 4),
                      account = rows.string(row, 5), format = rows.string(row, 14);
    std::optional<bool> livemode;
    if (!rows.is_null(row, 6)) {
        livemode = rows.boolean(row, 6);
    }
    const bool changed = is_new || base_url != destination.base_url ||
                         secret != destination.secret_name || livemode != destination.livemode ||
                         format != destination.format ||
                         (account != destination.account && !destination.account.empty());
    destination.name = name;
    destination.kind = rows.string(row, 2);
    destination.base_url = base_url;
    destination.secret_name = secret;
    destination.format = format;
    destination.account = account;
    destination.livemode = livemode;
    destination.api_version = rows.string(row, 7);
    destination.requests_per_second = rows.number(row, 8);
    destination.bucket.set_rate(destination.requests_per_second);
    destination.probe_path = rows.string(row, 9);
    destination.paused = rows.boolean(row, 10);
    bool released = false;
    if (destination.halt_is_stored) {
        const bool was_halted = destination.halted;
        destination.halted = rows.boolean(row, 11);
        destination.halted_needs_person = rows.boolean(row, 12);
        destination.halt_reason = destination.halt_reason_told = rows.string(row, 13);
        destination.halt_message = rows.string(row, 15);
        // A person said so: prove the key anew (it may be missing still), and forget what led to
        // it.
        released = was_halted && !destination.halted;
        if (released) {
            destination.mistakes.resumed(steady_now());
        }
    }
    if (is_new) {
        destination.missed_above = 0;
    }
    if (changed || released) {
        load_key(engine, destination);
    }
}

// Dropped. What is on the wire points at it, so it stays in its place, without its secret; it takes
// no call, no probe and no share. Defined again it is read like a new one.
void forget(Destination& destination) {
    destination.key = pg::Secret{};
    destination.base_url.clear();
    destination.secret_name.clear();
    destination.format.clear();
    destination.key_problem.clear();
    destination.trouble.clear();
    destination.proven = false;
    destination.paused = true;
}

void set_fence(Engine& engine, std::string reason) {
    if (reason == engine.fence) {
        return;
    }
    engine.fence = std::move(reason);
    // A restore brings journal entries of another cluster's transactions, with any number.
    engine.journal_seen = nothing_seen;
    pg::set_trouble(engine.fence);
    const bool fenced = !engine.fence.empty();
    engine.slot.state = fenced ? pg::WorkerState::fenced : pg::WorkerState::running;
    if (!fenced) {
        // (A worker that has ended may have given numbers of which nobody was told.)
        engine.announce = engine.has_numbered = true;
        pg::log_line("this database may send");
        return;
    }
    if (engine.installation.empty()) {
        pg::log_line("waiting for seats.create_installation()");
        return;
    }
    pg::log_warning(
        "nothing is sent from this database: " + engine.fence,
        "seats.create_installation() sets a new database up; "
        "seats.adopt_database(reason, replaces_original) gives a copy the right to send.");
}

void check_fence(Engine& engine) {
    const pg::InstallationFile file = pg::read_installation_file(MyDatabaseId);
    engine.installation_stamp = file.stamp;
    if (engine.installation.empty()) {
        set_fence(engine, "it has no installation yet");
    } else if (!file.ok()) {
        set_fence(engine, file.refusal.reason);
    } else if (file.uuid != engine.installation) {
        set_fence(engine, "it is a copy: the secrets directory names another installation");
    } else if (!engine.adopted) {
        set_fence(engine, "it was restored from a dump, and nobody has adopted it since");
    } else {
        set_fence(engine, {});
    }
}

}  // namespace

void refresh_configuration(Engine& engine) {
    pg::show_working("reading its configuration");
    const auto failure = engine.transaction([&] {
        const pg::Rows installation = installation_statement.run();
        std::string uuid = installation.empty() ? std::string{} : installation.string(0, 1);
        engine.adopted = !installation.empty() && installation.boolean(0, 2);
        if (uuid != engine.installation) {
            engine.installation = std::move(uuid);
            forget_what_was_seen(engine);
        }
        const pg::Rows rows = destinations_statement.run();
        std::set<std::string, std::less<>> defined;
        for (std::size_t row = 0; row < rows.size(); ++row) {
            read_destination(engine, rows, row);
            defined.insert(rows.string(row, 1));
        }
        for (auto& [name, destination] : engine.destinations) {
            if (!defined.contains(name) && !destination.base_url.empty()) {
                forget(destination);
            }
        }
        engine.recounting = recount_wanted_statement.run().boolean(0, 1);
    });
    if (failure) {
        pause(engine, *failure, "cannot read its configuration");
        return;  // stays stale; the loop comes back
    }
    trouble_is_over(engine);
    check_fence(engine);
    engine.configuration_is_stale = false;
}

void watch_files(Engine& engine) {
    const TimePoint now = steady_now();
    if (now < engine.files_watched_at + Duration{1'000}) {
        return;
    }
    engine.files_watched_at = now;
    // (What was not read yet is no reason to call the database a copy.)
    if (!engine.configuration_is_stale &&
        pg::installation_file_stamp(MyDatabaseId) != engine.installation_stamp) {
        check_fence(engine);
    }
    for (auto& [name, destination] : engine.destinations) {
        if (!destination.secret_name.empty() &&
            pg::stamp_of(destination.secret_name) != destination.key_stamp) {
            // Also when another file comes into the directory: then the key is what it was.
            const pg::SecretReading reading = pg::read_secret(destination.secret_name);
            if (reading.ok() && reading.secret.reveal() == destination.key.reveal()) {
                destination.key_stamp = reading.stamp;
                continue;
            }
            pg::log_line("key of destination " + name + " is read anew");
            load_key(engine, destination);
        }
    }
}

}  // namespace pg_seats::engine
