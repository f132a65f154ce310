#include "pg/secrets.hpp"

#include <string.h>  // explicit_bzero

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "core/ascii.hpp"

namespace pg_seats::pg {
namespace {

constexpr std::size_t largest_secret = 4096;
constexpr std::size_t longest_name = 63;

// Where the file's content passes through on its way into a Secret.
class WipedBuffer {
  public:
    WipedBuffer() = default;
    WipedBuffer(const WipedBuffer&) = delete;
    WipedBuffer& operator=(const WipedBuffer&) = delete;
    ~WipedBuffer() { explicit_bzero(bytes_.data(), bytes_.size()); }
    [[nodiscard]] char* data() noexcept { return bytes_.data(); }
    [[nodiscard]] std::size_t size() const noexcept { return bytes_.size(); }

  private:
    // One byte more, so that a file that is too large shows.
    std::array<char, largest_secret + 1> bytes_{};
};

bool is_space(char c) noexcept {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

// What may stand in a header's value.
bool is_printable(std::string_view text) noexcept {
    return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c <= 0x7e; });
}

}  // namespace

Secret::Secret(std::string_view text) : bytes_(text.begin(), text.end()) {}

Secret::Secret(Secret&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

Secret& Secret::operator=(Secret&& other) noexcept {
    if (this != &other) {
        wipe();
        bytes_ = std::exchange(other.bytes_, {});
    }
    return *this;
}

Secret::~Secret() {
    wipe();
}

void Secret::wipe() noexcept {
    if (!bytes_.empty()) {  // or there is no place to wipe
        explicit_bzero(bytes_.data(), bytes_.size());
    }
}

bool is_secret_name(std::string_view name) noexcept {
    if (name.empty() || name.size() > longest_name || name.front() == '.' ||
        name.starts_with("installation.")) {
        return false;
    }
    return std::all_of(name.begin(), name.end(), [](char c) {
        return core::is_alphanumeric(c) || c == '.' || c == '_' || c == '-';
    });
}

SecretReading read_secret(std::string_view name) {
    SecretReading result;
    if (!is_secret_name(name)) {
        result.refusal = {"this is not a name for a secret",
                          "The name of a file in pg_seats.secrets_directory is wanted: letters, "
                          "digits and ._- only."};
        return result;
    }
    // Before reading: what changes in between is then seen as a change.
    result.stamp = stamp_of(name);
    OpenedFile opened = open_in_secrets_directory(std::string(name), Readable::by_us_only);
    if (!opened.file) {
        result.refusal = std::move(opened.refusal);
        return result;
    }
    const std::string path = path_in_secrets_directory(name);
    WipedBuffer buffer;
    std::size_t length = 0;
    if (!read_all(opened.file, buffer.data(), buffer.size(), length)) {
        result.refusal = {"\"" + path + "\" could not be read: " + system_message(errno), {}};
        return result;
    }
    std::string_view text(buffer.data(), length);
    while (!text.empty() && is_space(text.back())) {
        text.remove_suffix(1);
    }
    if (length > largest_secret) {
        result.refusal = {"\"" + path + "\" is larger than 4096 bytes",
                          "It must hold the secret and nothing else."};
    } else if (text.empty()) {
        result.refusal = {"\"" + path + "\" is empty", "Write the secret into it."};
    } else if (!is_printable(text)) {
        result.refusal = {"\"" + path + "\" holds more than one line of printable ASCII",
                          "It must hold the secret and nothing else."};
    } else {
        result.secret = Secret(text);
    }
    return result;
}

SecretStamp stamp_of(std::string_view name) {
    return is_secret_name(name) ? stamp_in_secrets_directory(std::string(name)) : SecretStamp{};
}

}  // namespace pg_seats::pg
