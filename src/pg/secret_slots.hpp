// Where the worker lays a client secret down for the sessions that wait for it: shared memory, and
// nowhere else. (Of the memory that all processes share: see shared_state.hpp.)
//
//   session   claims a slot before it commits what it wants: waiting. Takes what is laid into it,
//             and frees it, whichever way it leaves.
//   worker    lays a secret into all slots of its subject at once (given), or says that there is
//             none (told). It finds them and fills them under one lock, so that none of them can
//             have become another session's in between.
//
// A slot is written under the lock, and wiped under it by its owner. One whose owner was killed is
// wiped with all of shared memory: the server starts again then.
#pragma once

#include <string_view>

#include "pg/postgres.hpp"

namespace pg_seats::pg {

enum class SecretNews : std::uint8_t {
    none,   // nobody has said anything since the last look
    told,   // something was settled, and no secret came of it
    given,  // here it is
};

// With its NUL. Shared memory holds as many of them as the setting says.
constexpr std::size_t secret_size = 2048;

struct SeenSecretSlot {
    bool used;
    bool blank;  // no byte of a secret is in it
    Oid database;
    pid_t pid;
    std::int64_t subject;
};

// In the hooks that make the shared memory.
[[nodiscard]] Size secret_slots_size() noexcept;
void make_secret_slots(LWLock* lock);

// Of the session; one at a time. False: all are taken. `subject`: what the secret is of, a payment
// say. Its number is enough: calls, payments and whatever else is Stripe's have theirs from one
// sequence. 0: not known yet, so that nothing can be laid into it.
[[nodiscard]] bool claim_secret_slot(std::int64_t subject);
void set_secret_subject(std::int64_t subject) noexcept;
// Into `secret`, which the caller wipes; with a NUL at its end.
[[nodiscard]] SecretNews take_secret(char (&secret)[secret_size]) noexcept;
void free_secret_slot() noexcept;

// Of the worker, for its database; empty: there is none to give. Safe after a commit.
void hand_over_secret(std::int64_t subject, std::string_view secret) noexcept;

// Whoever looks at them sees no secret. False: there is no such slot.
[[nodiscard]] bool look_at_secret_slot(int index, SeenSecretSlot* seen) noexcept;

}  // namespace pg_seats::pg
