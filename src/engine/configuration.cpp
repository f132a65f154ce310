#include "engine/destinations.hpp"

#include <algorithm>
#include <set>

#include "core/answer.hpp"
#include "core/identity.hpp"
#include "engine/delivery.hpp"
#include "engine/halting.hpp"
#include "engine/ready.hpp"

#include "engine/row_errors.hpp"
#include "pg/installation_file.hpp"
#include "pg/log.hpp"
#include "pg/own_slot.hpp"
#include "pg/sql.hpp"

namespace pg_seats::engine {
namespace {

using core::Duration;
using pg::Statement;

constexpr Duration first_probe_pause{1'000};
constexpr Duration longest_probe_pause{60'000};
constexpr int failed_probes_that_alert = 3;

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

Statement halt_statement{
    "UPDATE seats_internal.destination"
    "   SET halted_at = coalesce(halted_at, pg_catalog.clock_timestamp()), halted_reason = $2,"
    "       halted_message = $3, halted_needs_person = $4"
    " WHERE name = $1"};

Statement resume_statement{
    "UPDATE seats_internal.destination"
    "   SET halted_at = NULL, halted_reason = NULL, halted_message = NULL,"
    "       halted_needs_person = false"
    " WHERE name = $1"};

Statement pin_statement{
    "UPDATE seats_internal.destination SET account = $2 WHERE name = $1 AND account IS NULL"};

Statement take_back_statement{"SELECT seats_internal.take_back_from_review($1, $2)"};

Statement alert_statement{
    "SELECT seats_internal.raise_alert($1, $2, $3, $4, hint => $5, destination => $6)"
    " WHERE EXISTS (SELECT FROM seats_internal.destination AS d WHERE d.name = $6)"};
Statement reread_prices_statement{"SELECT seats_internal.reread_prices($1)"};
Statement resolve_alert_statement{"SELECT seats_internal.resolve_alert($1, $2)"};
Statement journal_statement{
    "SELECT seats_internal.write_journal($1, 'pg_seats', NULL, NULL, $2,"
    "    pg_catalog.jsonb_build_object('destination', $3::text))"};

// A receiver is not probed, so nothing but the secret itself can be wrong with it. It waits until
// that is put right; there is no halt, which would be told to receivers.
void load_receiver_secret(Destination& destination, pg::SecretReading reading) {
    destination.key_problem =
        reading.ok() ? problem_of_secret(destination, reading.secret) : reading.refusal.reason;
    if (!destination.key_problem.empty()) {
        pg::log_warning(
            "receiver " + destination.name + " is told nothing for now: " + destination.key_problem,
            reading.refusal.hint);
        destination.key_problem_is_told = false;
        return;
    }
    destination.key = std::move(reading.secret);
    destination.proven = true;
}

void load_key(Engine& engine, Destination& destination) {
    destination.proven = false;
    ++destination.key_number;
    destination.questioned.clear();
    destination.probes_passed = 0;
    destination.key = pg::Secret{};
    destination.key_problem.clear();
    destination.probe_at = steady_now();
    destination.probe_pause = first_probe_pause;
    engine.client.forget_connections();
    if (!destination.is_stripe() && destination.secret_name.empty()) {
        destination.proven = true;
        return;
    }
    pg::SecretReading reading = pg::read_secret(destination.secret_name);
    destination.key_stamp = reading.stamp;
    if (!destination.is_stripe()) {
        load_receiver_secret(destination, std::move(reading));
        return;
    }
    if (!reading.ok()) {
        destination.key_problem = reading.refusal.reason;
        halt(destination, "no_key",
             reading.refusal.reason +
                 (reading.refusal.hint.empty() ? "" : " (" + reading.refusal.hint + ")"),
             NeedsPerson::no);
        return;
    }
    const core::KeyMode mode = core::key_mode(reading.secret.reveal());
    const bool live = destination.livemode.value_or(false);
    if (destination.livemode &&
        (mode == core::KeyMode::other || (mode == core::KeyMode::live) != live)) {
        destination.key_problem = std::string("the key in file ") + destination.secret_name +
                                  " is not a " + (live ? "live" : "test") + " mode key";
        halt(destination, "key_of_other_mode", destination.key_problem, NeedsPerson::no);
        return;
    }
    destination.key = std::move(reading.secret);
}

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
            resumed_by_person(destination);
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
        engine.announce = true;
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

void resume(Destination& destination) {
    destination.halted = false;
    destination.halt_is_stored = false;
    destination.halt_reason.clear();
    destination.halt_message.clear();
    destination.halt_reason_told.clear();
    destination.probe_pause = first_probe_pause;
    pg::log_line("destination " + destination.name + " is well again: sending goes on");
}

// Neither our key nor our configuration, it seems: it cannot be reached, or has trouble itself.
void cannot_be_reached(Destination& destination, const Flight& flight,
                       const core::Judgement& judgement) {
    destination.trouble = core::safe_text(
        judgement.message.empty() ? "HTTP status " + std::to_string(flight.response.status)
                                  : judgement.message,
        150);
    if (destination.proven || destination.halted) {
        return;  // then the breaker tells, or the halt
    }
    if (++destination.probes_failed == 1) {
        pg::log_warning("destination " + destination.name + " cannot be used yet: GET " +
                            destination.base_url + destination.probe_path + ": " +
                            destination.trouble,
                        "Calls wait. It is tried again by itself; see seats.destinations.");
    } else if (destination.probes_failed == failed_probes_that_alert) {
        destination.trouble_is_told = false;
    }
}

void write_trouble(Engine& engine, const Destination& destination) {
    const std::string fingerprint = "unreachable:" + destination.name;
    if (destination.proven) {
        resolve_alert_statement.run({pg::text(fingerprint), pg::text("a probe succeeded")});
        reread_prices_statement.run({pg::text(destination.name)});
        engine.look_for_arrivals = true;
        return;
    }
    alert_statement.run(
        {pg::text(fingerprint), pg::text("warning"), pg::text("destination_unreachable"),
         pg::text("destination " + destination.name +
                  " cannot be used: its key could not be proven: " + destination.trouble),
         pg::text("Is base_url right, is it reachable from this server, and is its certificate one "
                  "that the server trusts (pg_seats.ca_file)? It is tried again by itself."),
         pg::text(destination.name)});
}

void probe_failed(Destination& destination, TimePoint now) {
    destination.probe_pause =
        std::min(std::max(destination.probe_pause * 2, first_probe_pause), longest_probe_pause);
    destination.probe_at = now + destination.probe_pause;
}

void write_clock(const Destination& destination) {
    const std::string fingerprint = "clock:" + destination.name;
    if (!destination.clock_is_off) {
        resolve_alert_statement.run({pg::text(fingerprint), pg::text("the clocks agree")});
        return;
    }
    const auto seconds = destination.clock_offset.count();
    alert_statement.run(
        {pg::text(fingerprint), pg::text("warning"), pg::text("clock_skew"),
         pg::text("this server's clock is " + std::to_string(seconds < 0 ? -seconds : seconds) +
                  " s " + (seconds < 0 ? "ahead of" : "behind") + " destination " +
                  destination.name + "'s"),
         pg::text("Have it set by NTP. A wrong clock refuses webhooks as too old or too new, and "
                  "may use an idempotency key that Stripe has forgotten."),
         pg::text(destination.name)});
}

void write_changes(Engine& engine, const Destination& destination) {
    const pg::Value name = pg::text(destination.name);
    if (!destination.account_to_pin.empty()) {
        pin_statement.run({name, pg::text(destination.account_to_pin)});
    }
    if (!destination.clock_is_stored) {
        write_clock(destination);
    }
    if (!destination.trouble_is_told) {
        write_trouble(engine, destination);
    }
    if (!destination.key_problem_is_told && !destination.key_problem.empty()) {
        alert_statement.run(
            {pg::text("receiver:" + destination.name), pg::text("warning"),
             pg::text("receiver_fails"),
             pg::text("receiver " + destination.name +
                      " is told nothing for now: " + destination.key_problem),
             pg::text(
                 "Put its secret into the file, mode 0600, owned by the server's user; what is "
                 "waiting is told then. The alert is resolved with the next delivery that it "
                 "takes."),
             name});
    }
    if (destination.halt_is_stored) {
        return;
    }
    const std::string fingerprint = "halted:" + destination.name;
    if (!destination.halted) {
        resume_statement.run({name});
        resolve_alert_statement.run({pg::text(fingerprint), pg::text("a probe succeeded")});
        journal_statement.run(
            {pg::text("destination.resumed"), pg::text("a probe succeeded"), name});
        return;
    }
    halt_statement.run({name, pg::text(destination.halt_reason), pg::text(destination.halt_message),
                        pg::boolean(destination.halted_needs_person)});
    if (!destination.take_back.empty()) {
        take_back_statement.run({name, pg::bigints(destination.take_back)});
        engine.look_for_arrivals = true;
    }
    alert_statement.run(
        {pg::text(fingerprint), pg::text("critical"), pg::text("destination_halted"),
         pg::text("destination " + destination.name + " is halted: " + destination.halt_message),
         pg::text(destination.halted_needs_person
                      ? "Find out what is wrong with our requests, then seats.resume(destination, "
                        "reason)."
                      : "It resumes by itself when a read succeeds; put the cause right."),
         name});
    if (destination.halt_reason != destination.halt_reason_told) {
        journal_statement.run(
            {pg::text("destination.halted"), pg::text(destination.halt_reason), name});
    }
}

}  // namespace

void refresh_configuration(Engine& engine) {
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
        cannot_begin(engine, *failure, "cannot read its configuration");
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

void due_probes(Engine& engine) {
    const TimePoint now = steady_now();
    for (auto& [name, destination] : engine.destinations) {
        if (destination.probe_out || destination.paused || !destination.is_stripe() ||
            !destination.key_problem.empty()) {
            if (!destination.is_stripe() && destination.breaker.wants_probe(now)) {
                destination.breaker.probe_ended(true, now);  // a receiver has no read: try a call
            }
            continue;
        }
        const bool wants =
            ((!destination.proven || (destination.halted && !destination.halted_needs_person)) &&
             now >= destination.probe_at) ||
            destination.probe_is_wanted || destination.breaker.wants_probe(now);
        if (wants) {
            destination.probe_out = true;
            destination.probe_is_wanted = false;
            Flight flight;
            flight.purpose = Purpose::probe;
            flight.destination = &destination;
            flight.key_number = destination.key_number;
            flight.call.method = "GET";
            flight.call.path = destination.probe_path;
            flight.call.api_version = destination.api_version;
            engine.to_send.push_back(std::move(flight));
        }
    }
}

void probe_answered(const Flight& flight) {
    Destination& destination = *flight.destination;
    const TimePoint now = steady_now();
    destination.probe_out = false;
    note_clock(flight);
    const core::Judgement judgement = core::judge({.mutation = false,
                                                   .deletion = false,
                                                   .doubt_before = false,
                                                   .expect_stripe = true,
                                                   .livemode = destination.livemode,
                                                   .response = flight.response});
    if (flight.key_number != destination.key_number) {
        // It was about a key that is no longer used.
        destination.breaker.probe_ended(false, now);
        destination.probe_at = now;
        return;
    }
    const bool well = judgement.verdict == core::Verdict::done;
    if (destination.breaker.state() != core::BreakerState::closed) {
        destination.breaker.probe_ended(!judgement.counts_for_breaker, now);
    } else if (judgement.counts_for_breaker) {
        (void)destination.breaker.failed(now);
    }
    if (!well) {
        if (judgement.verdict == core::Verdict::halted ||
            judgement.verdict == core::Verdict::refused) {
            halt(destination, judgement.reason, judgement.message, NeedsPerson::no);
            destination.questioned.clear();  // it was not about those calls
        } else {
            cannot_be_reached(destination, flight, judgement);
        }
        probe_failed(destination, now);
        return;
    }
    ++destination.probes_passed;
    const auto account = core::read_account(flight.response.body);
    if (account && !destination.account.empty() && account->id != destination.account) {
        halt(destination, "account_mismatch",
             "the key in file " + destination.secret_name + " is of account " + account->id +
                 ", and the destination is pinned to " + destination.account,
             NeedsPerson::no);
        probe_failed(destination, now);
        return;
    }
    if (account && destination.account.empty()) {
        destination.account = destination.account_to_pin = account->id;
    }
    if (!destination.proven) {
        destination.trouble_is_told = false;  // an alert may be open, also from another life
    }
    destination.proven = true;
    destination.probes_failed = 0;
    destination.trouble.clear();
    if (destination.halted && !destination.halted_needs_person) {
        resume(destination);
    }
}

bool store_destination_changes(Engine& engine) {
    std::vector<Destination*> changed;
    for (auto& [name, destination] : engine.destinations) {
        if (!destination.halt_is_stored || !destination.clock_is_stored ||
            !destination.key_problem_is_told || !destination.trouble_is_told ||
            !destination.account_to_pin.empty()) {
            changed.push_back(&destination);
        }
    }
    // (A halt that may not be stored yet, because a copy has no key, say, is stored then.)
    if (changed.empty() || !engine.may_write() || steady_now() < engine.changes_before) {
        return false;
    }
    const auto failure = engine.transaction([&] {
        for (const Destination* destination : changed) {
            write_changes(engine, *destination);
        }
    });
    if (failure) {
        engine.changes_before = steady_now() + pause_after_failure;
    } else {
        for (Destination* destination : changed) {
            destination->halt_is_stored = destination->clock_is_stored = true;
            destination->halt_reason_told = destination->halt_reason;
            destination->key_problem_is_told = destination->trouble_is_told = true;
            destination->account_to_pin.clear();
            destination->take_back.clear();
        }
        engine.announce = true;
    }
    return true;
}

std::optional<Duration> until_probe(const Engine& engine, TimePoint now) {
    std::optional<Duration> until;
    for (const auto& [name, destination] : engine.destinations) {
        if (destination.probe_out || destination.paused) {
            continue;
        }
        std::optional<Duration> mine = destination.breaker.until_probe(now);
        if (destination.probe_is_wanted && destination.key_problem.empty()) {
            mine = Duration{1};
        }
        if (!destination.proven || destination.halted) {
            // Also the pause between two looks at the key file.
            const Duration left =
                std::max(std::chrono::ceil<Duration>(destination.probe_at - now), Duration{0});
            mine = std::min(mine.value_or(Duration{1'000}),
                            destination.key_problem.empty() && !destination.halted_needs_person
                                ? std::max(left, Duration{1})
                                : Duration{1'000});
        }
        if (mine) {
            until = std::min(until.value_or(*mine), *mine);
        }
    }
    return until;
}

}  // namespace pg_seats::engine
