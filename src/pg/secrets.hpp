// API keys and signing secrets: one file per name in pg_seats.secrets_directory.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "pg/secrets_directory.hpp"

namespace pg_seats::pg {

// A secret in memory: wiped when it goes, moved and never copied, and without any way to print it.
class Secret {
  public:
    Secret() = default;
    explicit Secret(std::string_view text);
    Secret(Secret&& other) noexcept;
    Secret& operator=(Secret&& other) noexcept;
    Secret(const Secret&) = delete;
    Secret& operator=(const Secret&) = delete;
    ~Secret();

    [[nodiscard]] bool empty() const noexcept { return bytes_.empty(); }
    // For the one place that puts it into a request's header. Valid while the secret lives.
    [[nodiscard]] std::string_view reveal() const noexcept {
        return {bytes_.data(), bytes_.size()};
    }

  private:
    void wipe() noexcept;
    // Sized once and never grown: a vector that moves to a larger place would leave a copy behind.
    std::vector<char> bytes_;
};

struct SecretReading {
    Secret secret;    // empty: the refusal says why
    Refusal refusal;  // names the file, never its content
    SecretStamp stamp;

    [[nodiscard]] bool ok() const noexcept { return !secret.empty(); }
};

// The file's content without the white space at its end.
[[nodiscard]] SecretReading read_secret(std::string_view name);

// Differs from what a reading gave as soon as reading again may give something else.
[[nodiscard]] SecretStamp stamp_of(std::string_view name);

// Letters, digits and ._- ; no leading dot, at most 63 bytes, and not the name of an installation
// file.
[[nodiscard]] bool is_secret_name(std::string_view name) noexcept;

}  // namespace pg_seats::pg
