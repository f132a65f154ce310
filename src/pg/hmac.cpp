#include "pg/hmac.hpp"

#include "pg/error.hpp"

extern "C" {
#include "common/hmac.h"
#include "utils/resowner.h"
}

namespace pg_seats::pg {
namespace {

bool compute(const std::uint8_t* key, std::size_t key_size, const std::uint8_t* message,
             std::size_t message_size, std::uint8_t* digest, std::size_t digest_size) {
    pg_hmac_ctx* const context = pg_hmac_create(PG_SHA256);
    if (context == nullptr) {
        return false;
    }
    const bool done = pg_hmac_init(context, key, key_size) >= 0 &&
                      pg_hmac_update(context, message, message_size) >= 0 &&
                      pg_hmac_final(context, digest, digest_size) >= 0;
    pg_hmac_free(context);
    return done;
}

// The server books OpenSSL's contexts with a resource owner, and between transactions there is
// none.
bool compute_anywhere(const std::uint8_t* key, std::size_t key_size, const std::uint8_t* message,
                      std::size_t message_size, std::uint8_t* digest, std::size_t digest_size) {
    if (CurrentResourceOwner != nullptr) {
        return compute(key, key_size, message, message_size, digest, digest_size);
    }
    ResourceOwner const owner = ResourceOwnerCreate(nullptr, "pg_seats hmac");
    volatile bool done = false;
    CurrentResourceOwner = owner;
    PG_TRY();
    { done = compute(key, key_size, message, message_size, digest, digest_size); }
    PG_FINALLY();
    {
        CurrentResourceOwner = nullptr;
        ResourceOwnerRelease(owner, RESOURCE_RELEASE_BEFORE_LOCKS, false, true);
        ResourceOwnerRelease(owner, RESOURCE_RELEASE_LOCKS, false, true);
        ResourceOwnerRelease(owner, RESOURCE_RELEASE_AFTER_LOCKS, false, true);
        ResourceOwnerDelete(owner);
    }
    PG_END_TRY();
    return done;
}

const std::uint8_t* bytes(std::string_view text) {
    return reinterpret_cast<const std::uint8_t*>(text.data());
}

}  // namespace

std::optional<core::Digest> hmac_sha256(std::string_view key, std::string_view message) {
    core::Digest digest{};
    if (!guard(compute_anywhere, bytes(key), key.size(), bytes(message), message.size(),
               digest.data(), digest.size())) {
        return std::nullopt;
    }
    return digest;
}

}  // namespace pg_seats::pg
