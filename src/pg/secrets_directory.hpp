// pg_seats.secrets_directory: opening it and files in it, with the checks that make what stands in
// it trustworthy. Plain C++ and POSIX: nothing of the server is called, so nothing here raises.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace pg_seats::pg {

// Why a file is not used, in words for a person. Never holds anything of the file's content.
struct Refusal {
    std::string reason;
    std::string hint;
};

// A file descriptor that is closed.
class Descriptor {
  public:
    Descriptor() = default;
    explicit Descriptor(int number) noexcept : number_(number) {}
    Descriptor(Descriptor&& other) noexcept : number_(other.number_) { other.number_ = -1; }
    Descriptor& operator=(Descriptor&& other) noexcept;
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor();

    [[nodiscard]] int number() const noexcept { return number_; }
    [[nodiscard]] explicit operator bool() const noexcept { return number_ >= 0; }

  private:
    int number_ = -1;
};

// What tells whether a file has to be read again. The time of change (ctime) is part of it, because
// a mode put right changes nothing else; so are the directory's owner and mode, which may be what
// was wrong.
struct SecretStamp {
    bool exists = false;
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::uint64_t size = 0;
    std::int64_t modified_ns = 0;
    std::int64_t changed_ns = 0;
    std::uint32_t directory_owner = 0;
    std::uint32_t directory_mode = 0;

    bool operator==(const SecretStamp&) const = default;
};

struct OpenedFile {
    Descriptor file;  // not open: the refusal says why
    std::size_t size = 0;
    bool missing = false;  // the directory is fine, and has no such file
    Refusal refusal;
};

enum class Readable : std::uint8_t {
    by_us_only,   // a secret
    by_everybody  // a right: who reads it gains nothing, who writes it does
};

// The directory, opened if it is one and nobody but root and the server's user may change it.
[[nodiscard]] Descriptor open_secrets_directory(Refusal& refusal);

// A regular file of ours (or root's) in it, with a mode that fits `readable`. Symbolic links are
// not followed.
[[nodiscard]] OpenedFile open_in_secrets_directory(const std::string& name, Readable readable);

[[nodiscard]] SecretStamp stamp_in_secrets_directory(const std::string& name) noexcept;

// Reads at most `limit` bytes; false on an error of the system's, which errno tells.
[[nodiscard]] bool read_all(const Descriptor& file, char* target, std::size_t limit,
                            std::size_t& length) noexcept;

[[nodiscard]] const char* secrets_directory_path() noexcept;
[[nodiscard]] std::string path_in_secrets_directory(std::string_view name);
[[nodiscard]] std::string system_message(int error);

}  // namespace pg_seats::pg
