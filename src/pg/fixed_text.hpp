// Texts in fixed places: of shared memory, of errors on their way over the border.
#pragma once

#include <cstring>
#include <string_view>

#include "pg/postgres.hpp"

namespace pg_seats::pg {

// As much of it as there is room for, and never half a character: views would show what is no text.
template <std::size_t size>
void copy_text(char (&target)[size], std::string_view text) noexcept {
    std::size_t length = std::min(text.size(), size - 1);
    while (length > 0 && length < text.size() &&
           (static_cast<unsigned char>(text[length]) & 0xC0) == 0x80) {
        --length;
    }
    std::memcpy(target, text.data(), length);
    target[length] = '\0';
}

}  // namespace pg_seats::pg
