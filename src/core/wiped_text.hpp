// Texts that may hold a secret: an answer of Stripe's, and what it is cut out of. Whatever they
// were kept in is overwritten before it is given back, also when they grow. (But for what fits into
// the object itself, which is shorter than any secret.)
#pragma once

#include <string.h>  // explicit_bzero

#include <cstddef>
#include <memory>
#include <string>

#include "core/pure.hpp"

namespace pg_seats::core {

template <typename T, typename Memory = std::allocator<T>>
struct WipingAllocator {
    using value_type = T;

    [[nodiscard]] T* allocate(std::size_t count) { return Memory().allocate(count); }
    void deallocate(T* memory, std::size_t count) noexcept {
        explicit_bzero(memory, count * sizeof(T));
        Memory().deallocate(memory, count);
    }
    bool operator==(const WipingAllocator&) const noexcept = default;
};

using WipedText = std::basic_string<char, std::char_traits<char>, WipingAllocator<char>>;

}  // namespace pg_seats::core
