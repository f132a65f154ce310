// Where a delivery goes if the secret says it: Sentry's DSN, the URL of a Slack webhook.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/webhook_signature.hpp"

#include "core/pure.hpp"

namespace pg_seats::core {

struct SentryTarget {
    std::string url;  // where envelopes are posted
    std::string key;  // the DSN's public key
};

// Of a DSN, https://<key>@<host>[:port]/[prefix/]<project>; a secret key behind the public one,
// which old DSNs have, is not needed. nullopt unless it is of the same scheme, host and port as
// `origin` (https://host[:port]): the secret says which project, the definition says which server.
[[nodiscard]] std::optional<SentryTarget> sentry_target(std::string_view dsn,
                                                        std::string_view origin);

// True if `url` lies below `origin` and is a plain URL of printable characters.
[[nodiscard]] bool is_url_of(std::string_view url, std::string_view origin);

// Why this secret cannot be used for a receiver of that format; empty: it can. `file` is its name.
[[nodiscard]] std::string problem_of_secret(std::string_view format, const std::string& file,
                                            const std::string& origin, std::string_view secret,
                                            const Hmac& hmac);

}  // namespace pg_seats::core
