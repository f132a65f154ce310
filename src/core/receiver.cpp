#include "core/receiver.hpp"

#include <algorithm>

#include "core/ascii.hpp"

namespace pg_seats::core {
namespace {

constexpr std::size_t longest_url = 1'000;

bool is_word(std::string_view text) noexcept {
    return !text.empty() && std::ranges::all_of(text, [](char c) {
        return is_alphanumeric(c) || c == '-' || c == '_';
    });
}

}  // namespace

bool is_url_of(std::string_view url, std::string_view origin) {
    if (url.size() > longest_url || !url.starts_with(origin) || origin.empty()) {
        return false;
    }
    const std::string_view rest = url.substr(origin.size());
    return rest.starts_with('/') && std::ranges::all_of(rest, [](char c) {
               return c > ' ' && c <= '~' &&
                      std::string_view("\"<>\\^`{|}#").find(c) == std::string_view::npos;
           });
}

std::optional<SentryTarget> sentry_target(std::string_view dsn, std::string_view origin) {
    constexpr std::string_view separator = "://";
    const std::size_t scheme_end = dsn.find(separator);
    const std::size_t at = dsn.find('@');
    if (scheme_end == std::string_view::npos || at == std::string_view::npos || at < scheme_end) {
        return std::nullopt;
    }
    const std::size_t user = scheme_end + separator.size();
    std::string_view key = dsn.substr(user, at - user);
    key = key.substr(0, key.find(':'));
    const std::string url = std::string(dsn.substr(0, user)) + std::string(dsn.substr(at + 1));
    if (!is_word(key) || !is_url_of(url, origin) || url.find('?') != std::string::npos) {
        return std::nullopt;
    }
    const std::size_t slash = url.rfind('/');
    const std::string project = url.substr(slash + 1);
    if (!is_word(project)) {
        return std::nullopt;
    }
    return SentryTarget{url.substr(0, slash) + "/api/" + project + "/envelope/", std::string(key)};
}

std::string problem_of_secret(std::string_view format, const std::string& file,
                              const std::string& origin, std::string_view secret,
                              const Hmac& hmac) {
    const std::string what = "what file " + file + " holds is no ";
    if (format == "standard_webhook" && !sign_standard_webhook(secret, "msg_0", 0, "", hmac)) {
        return what + "secret for standard webhooks (whsec_ and the base64 of 24 to 64 bytes)";
    }
    if (format == "slack" && !is_url_of(secret, origin)) {
        return what + "URL that begins with " + origin + "/";
    }
    if (format == "sentry" && !sentry_target(secret, origin)) {
        return what + "DSN of " + origin;
    }
    return {};
}

}  // namespace pg_seats::core
