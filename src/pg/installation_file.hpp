// The right to send lies outside the data directory: a file in pg_seats.secrets_directory holds the
// installation's uuid. A copy of the database does not bring it along.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "pg/secrets_directory.hpp"

namespace pg_seats::pg {

struct InstallationFile {
    std::string uuid;      // empty: the refusal says why
    bool missing = false;  // everything is in order, but there is no such file
    Refusal refusal;
    SecretStamp stamp;

    [[nodiscard]] bool ok() const noexcept { return !uuid.empty(); }
};

[[nodiscard]] InstallationFile read_installation_file(std::uint32_t database);
[[nodiscard]] SecretStamp installation_file_stamp(std::uint32_t database);

// Replaces the file as a whole, durably: after a crash it is the old one or the new one. An empty
// reason: written.
[[nodiscard]] Refusal write_installation_file(std::uint32_t database, std::string_view uuid);

// "installation.16384"
[[nodiscard]] std::string installation_file_name(std::uint32_t database);

}  // namespace pg_seats::pg
