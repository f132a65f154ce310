// The names by which Stripe and we recognise a call.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/pure.hpp"

namespace pg_seats::core {

// <installation>-<uuid of the first carried row>-<generation>. Nothing that can repeat after a
// failover (a sequence number) or that two purchases can share (a quantity) is in it.
[[nodiscard]] std::string idempotency_key(std::string_view installation, std::string_view uuid,
                                          int generation);

// A marker is what we write into metadata[pg_seats]: <first uuid>-<last uuid>-<generation>. (Made
// in SQL.) True if both are of the same change, whatever their generations. After a restore the
// table may have forgotten a generation that was executed: its marker proves the change all the
// same. Never true of an empty marker.
[[nodiscard]] bool of_same_change(std::string_view one, std::string_view other);

// True if the marker is of a call whose first change has that uuid, whichever others it carried:
// the table may have forgotten them.
[[nodiscard]] bool begins_with_change(std::string_view marker, std::string_view uuid);

// A uuid of version 4, of 128 random bits (six of them give way to version and variant).
[[nodiscard]] std::string random_uuid(std::uint64_t high, std::uint64_t low);

// True if the API key's mode is the one that the destination is pinned to (sk_live_, rk_live_ …).
// A key of no known form fits only a destination without a mode.
enum class KeyMode : std::uint8_t { live, test, other };
[[nodiscard]] KeyMode key_mode(std::string_view api_key);

}  // namespace pg_seats::core
