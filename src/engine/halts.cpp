#include "engine/halts.hpp"

#include "core/safe_text.hpp"

#include "pg/log.hpp"
#include "pg/sql.hpp"

namespace pg_seats::engine {
namespace {

using pg::Statement;

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

// Where the answer has no words of its own.
std::string_view in_words(std::string_view reason) {
    if (reason == "redirect") {
        return "it answered with a redirect, and none is followed: is the base URL right?";
    }
    if (reason == "not_stripe") {
        return "the answer is not Stripe's: a proxy or a portal stands before it";
    }
    return reason;
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

void halt(Destination& destination, std::string_view reason, std::string_view message,
          NeedsPerson needs_person) {
    std::string words = core::safe_text(message.empty() ? in_words(reason) : message, 300);
    if (reason == "unauthorized" || reason == "forbidden" || reason == "mode_mismatch") {
        words += " (the key is in file " + destination.secret_name + ")";
    }
    if (destination.halted) {
        const bool is_known =
            destination.halt_reason == reason && destination.halt_message == words;
        // Only a person ends a halt that needs one: he is to read what he has to put right.
        if (is_known || (destination.halted_needs_person && needs_person == NeedsPerson::no)) {
            return;
        }
    } else {
        destination.probe_at = steady_now() + destination.probe_pause;
    }
    destination.halted = true;
    destination.halted_needs_person = needs_person == NeedsPerson::yes;
    destination.halt_reason = reason;
    destination.halt_message = words;
    destination.halt_is_stored = false;
    pg::log_warning("destination " + destination.name + " is halted (" + destination.halt_reason +
                        "): " + destination.halt_message,
                    "Nothing is refused or undone meanwhile; calls wait. See seats.destinations.");
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

void store_destination_changes(Engine& engine) {
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
        return;
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
}

}  // namespace pg_seats::engine
