#include "pg/installation_file.hpp"

#include <fcntl.h>
#include <stdio.h>  // renameat
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace pg_seats::pg {
namespace {

constexpr std::size_t uuid_length = 36;

bool is_uuid(std::string_view text) noexcept {
    if (text.size() != uuid_length) {
        return false;
    }
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        const bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        if (dash ? c != '-' : !digit) {
            return false;
        }
    }
    return true;
}

bool write_all(int file, std::string_view text) noexcept {
    while (!text.empty()) {
        const ssize_t done = write(file, text.data(), text.size());
        if (done < 0) {
            if (errno == EINTR) {
                continue;
            }
            return false;
        }
        text.remove_prefix(static_cast<std::size_t>(done));
    }
    return true;
}

// The mode is set by itself: the umask may take away what openat was given.
bool write_durably(int directory, const char* name, std::string_view text) noexcept {
    const Descriptor file(openat(
        directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR));
    return file && fchmod(file.number(), S_IRUSR | S_IWUSR) == 0 &&
           write_all(file.number(), text) && fsync(file.number()) == 0;
}

}  // namespace

std::string installation_file_name(std::uint32_t database) {
    return "installation." + std::to_string(database);
}

SecretStamp installation_file_stamp(std::uint32_t database) {
    return stamp_in_secrets_directory(installation_file_name(database));
}

InstallationFile read_installation_file(std::uint32_t database) {
    InstallationFile result;
    const std::string name = installation_file_name(database);
    // Before reading: what changes in between is then seen as a change.
    result.stamp = stamp_in_secrets_directory(name);
    OpenedFile opened = open_in_secrets_directory(name, Readable::by_everybody);
    result.missing = opened.missing;
    if (!opened.file) {
        result.refusal = std::move(opened.refusal);
        return result;
    }
    const std::string path = path_in_secrets_directory(name);
    std::array<char, uuid_length + 2> buffer{};
    std::size_t length = 0;
    if (!read_all(opened.file, buffer.data(), buffer.size(), length)) {
        result.refusal = {"\"" + path + "\" could not be read: " + system_message(errno), {}};
        return result;
    }
    std::string_view text(buffer.data(), length);
    if (text.ends_with('\n')) {
        text.remove_suffix(1);
    }
    if (!is_uuid(text)) {
        result.refusal = {"\"" + path + "\" does not hold an installation's uuid",
                          "seats.create_installation() or seats.adopt_database() writes it; do not "
                          "edit it."};
        return result;
    }
    result.uuid = text;
    return result;
}

Refusal write_installation_file(std::uint32_t database, std::string_view uuid) {
    if (!is_uuid(uuid)) {
        return {"this is not an installation's uuid", {}};
    }
    Refusal refusal;
    const Descriptor directory = open_secrets_directory(refusal);
    if (!directory) {
        return refusal;
    }
    const std::string name = installation_file_name(database);
    const std::string temporary = name + "." + std::to_string(getpid()) + ".new";
    // One of a process that died with our number.
    unlinkat(directory.number(), temporary.c_str(), 0);
    if (!write_durably(directory.number(), temporary.c_str(), std::string(uuid) + "\n") ||
        renameat(directory.number(), temporary.c_str(), directory.number(), name.c_str()) != 0 ||
        fsync(directory.number()) != 0) {
        const int error = errno;
        unlinkat(directory.number(), temporary.c_str(), 0);
        return {"\"" + path_in_secrets_directory(name) +
                    "\" could not be written: " + system_message(error),
                "The server's user must be allowed to make files in this directory."};
    }
    return {};
}

}  // namespace pg_seats::pg
