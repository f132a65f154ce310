#include "engine/keys.hpp"

#include "core/identity.hpp"
#include "core/receiver.hpp"
#include "engine/halts.hpp"

#include "pg/hmac.hpp"
#include "pg/log.hpp"

namespace pg_seats::engine {
namespace {

// A receiver is not probed, so nothing but the secret itself can be wrong with it. It waits until
// that is put right; there is no halt, which would be told to receivers.
void load_receiver_secret(Destination& destination, pg::SecretReading reading) {
    destination.key_problem =
        reading.ok() ? core::problem_of_secret(destination.format, destination.secret_name,
                                               destination.base_url, reading.secret.reveal(),
                                               pg::hmac_sha256)
                     : reading.refusal.reason;
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

}  // namespace

void load_key(Engine& engine, Destination& destination) {
    destination.proven = false;
    ++destination.key_number;
    destination.mistakes.key_is_new();
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

}  // namespace pg_seats::engine
