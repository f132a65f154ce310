// seats_internal.try_lock(): advisory locks that nobody else's pg_advisory_lock() can meet.
#include "pg/error.hpp"

extern "C" {
#include "storage/lock.h"
}

namespace {

using pg_seats::pg::guard;

// The server itself uses 1 and 2; the worker's session lock is 0x5EA7.
constexpr uint16 lock_kind = 0x5EA8;

bool try_lock(std::int64_t key, bool is_shared) {
    LOCKTAG tag;
    SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, static_cast<uint32>(static_cast<uint64>(key) >> 32U),
                         static_cast<uint32>(key), lock_kind);
    return LockAcquire(&tag, is_shared ? ShareLock : ExclusiveLock, false, true) !=
           LOCKACQUIRE_NOT_AVAIL;
}

}  // namespace

PG_SEATS_FUNCTION(pg_seats_try_lock) {
    const std::int64_t key = PG_GETARG_INT64(0);
    const bool is_shared = PG_GETARG_BOOL(1);
    return BoolGetDatum(guard(try_lock, key, is_shared));
}
