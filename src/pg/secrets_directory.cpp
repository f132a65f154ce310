#include "pg/secrets_directory.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "pg/settings.hpp"

namespace pg_seats::pg {
namespace {

constexpr mode_t others_may_write = S_IWGRP | S_IWOTH;
constexpr mode_t others_may_anything = S_IRWXG | S_IRWXO;

std::int64_t nanoseconds(const timespec& time) noexcept {
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

bool is_trusted_owner(const struct stat& status) noexcept {
    return status.st_uid == 0 || status.st_uid == geteuid();
}

// The rule of PostgreSQL's own for TLS keys: what belongs to the server's user is nobody else's
// business; root's may be given to the server through a group.
bool is_secret_mode(const struct stat& status) noexcept {
    if (status.st_uid == geteuid()) {
        return (status.st_mode & others_may_anything) == 0;
    }
    const mode_t entering = S_ISDIR(status.st_mode) ? 0 : S_IXGRP;
    return (status.st_mode & (S_IWGRP | entering | S_IRWXO)) == 0;
}

// Empty: the file may be used.
Refusal fault_of(const std::string& path, const struct stat& status, Readable readable) {
    if (!S_ISREG(status.st_mode)) {
        return {"\"" + path + "\" is not a regular file",
                "Put a file there, not a link or a pipe."};
    }
    if (!is_trusted_owner(status)) {
        return {"\"" + path + "\" belongs to somebody else",
                "Its owner must be the server's user or root."};
    }
    if (readable == Readable::by_us_only && !is_secret_mode(status)) {
        return {"\"" + path + "\" may be read or changed by others",
                "Run chmod 0600 on it; 0640 is allowed if root owns it."};
    }
    if ((status.st_mode & others_may_write) != 0) {
        return {"\"" + path + "\" may be changed by others", "Run chmod 0600 on it."};
    }
    return {};
}

Refusal could_not_open(const std::string& path, int error) {
    // O_NOFOLLOW says ELOOP for a symbolic link.
    if (error == ELOOP) {
        return {"\"" + path + "\" is a symbolic link", "Put the file itself there."};
    }
    if (error == ENOENT) {
        return {"\"" + path + "\" does not exist", {}};
    }
    return {"\"" + path + "\" could not be opened: " + system_message(error),
            "The server's user must be able to read it."};
}

}  // namespace

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
}

Descriptor::~Descriptor() {
    if (number_ >= 0) {
        close(number_);
    }
}

const char* secrets_directory_path() noexcept {
    return settings.secrets_directory != nullptr ? settings.secrets_directory : "";
}

std::string path_in_secrets_directory(std::string_view name) {
    return std::string(secrets_directory_path()).append("/").append(name);
}

std::string system_message(int error) {
    return std::generic_category().message(error);
}

Descriptor open_secrets_directory(Refusal& refusal) {
    const std::string path = secrets_directory_path();
    if (path.empty()) {
        refusal = {"pg_seats.secrets_directory is not set",
                   "Set it in postgresql.conf to a directory outside the data directory that "
                   "belongs to the server's user, and reload the configuration."};
        return {};
    }
    Descriptor directory(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory) {
        const int error = errno;
        refusal.reason = "the secrets directory \"" + path + "\" ";
        refusal.reason += error == ENOENT    ? "does not exist"
                          : error == ENOTDIR ? "is not a directory"
                                             : "could not be opened: " + system_message(error);
        refusal.hint = "It must be a directory that the server's user owns, with mode 0700.";
        return {};
    }
    struct stat status {};
    if (fstat(directory.number(), &status) != 0) {
        refusal = {"the secrets directory \"" + path + "\": " + system_message(errno), {}};
        return {};
    }
    if (!is_trusted_owner(status) || (status.st_mode & others_may_write) != 0) {
        refusal = {"the secrets directory \"" + path + "\" may be changed by others",
                   "Its owner must be the server's user or root; run chmod 0700 on it."};
        return {};
    }
    if (!is_secret_mode(status)) {
        refusal = {"the secrets directory \"" + path + "\" may be entered or listed by others",
                   "Run chmod 0700 on it; 0750 is allowed if root owns it."};
        return {};
    }
    return directory;
}

OpenedFile open_in_secrets_directory(const std::string& name, Readable readable) {
    OpenedFile result;
    const Descriptor directory = open_secrets_directory(result.refusal);
    if (!directory) {
        return result;
    }
    const std::string path = path_in_secrets_directory(name);
    // Not blocking: a pipe put there must not hold the worker.
    Descriptor file(openat(directory.number(), name.c_str(),
                           O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (!file) {
        const int error = errno;
        result.missing = error == ENOENT;
        result.refusal = could_not_open(path, error);
        return result;
    }
    struct stat status {};
    if (fstat(file.number(), &status) != 0) {
        result.refusal = {"\"" + path + "\": " + system_message(errno), {}};
        return result;
    }
    result.refusal = fault_of(path, status, readable);
    if (result.refusal.reason.empty()) {
        result.size = static_cast<std::size_t>(status.st_size);
        result.file = std::move(file);
    }
    return result;
}

SecretStamp stamp_in_secrets_directory(const std::string& name) noexcept {
    SecretStamp stamp;
    const Descriptor directory(open(secrets_directory_path(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct stat status {};
    if (!directory || fstat(directory.number(), &status) != 0) {
        return stamp;
    }
    stamp.directory_owner = status.st_uid;
    stamp.directory_mode = status.st_mode;
    if (fstatat(directory.number(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
        return stamp;
    }
    stamp.exists = true;
    stamp.device = status.st_dev;
    stamp.inode = status.st_ino;
    stamp.size = static_cast<std::uint64_t>(status.st_size);
    stamp.modified_ns = nanoseconds(status.st_mtim);
    stamp.changed_ns = nanoseconds(status.st_ctim);
    return stamp;
}

bool read_all(const Descriptor& file, char* target, std::size_t limit,
              std::size_t& length) noexcept {
    length = 0;
    while (length < limit) {
        const ssize_t got = read(file.number(), target + length, limit - length);
        if (got < 0) {
            if (errno == EINTR) {
                continue;
            }
            return false;
        }
        if (got == 0) {
            break;
        }
        length += static_cast<std::size_t>(got);
    }
    return true;
}

}  // namespace pg_seats::pg
