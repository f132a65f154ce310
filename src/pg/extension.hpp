// Is the extension still the one that this worker was started for?
#pragma once

#include "pg/postgres.hpp"

namespace pg_seats::pg {

enum class ExtensionState : std::uint8_t { present, gone, version_mismatch };

// The OID of pg_seats in this database as find_extension() found it; InvalidOid before.
Oid own_extension() noexcept;

// Looks for the extension, at the worker's start. Needs a transaction.
Oid find_extension();

// To be called at the start of every transaction of the worker: locks the extension object, so that
// DROP EXTENSION waits for the transaction and the transaction for DROP EXTENSION, and looks again
// whether it is the same one (not dropped, not dropped and made anew) and of the library's version.
// A mismatch is logged once, with the hint what to do, and stands in the slot's `trouble`.
ExtensionState check_extension(Oid expected);
inline ExtensionState check_extension() {
    return check_extension(own_extension());
}

}  // namespace pg_seats::pg
