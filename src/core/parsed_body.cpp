#include "core/parsed_body.hpp"

#include <malloc.h>  // malloc_usable_size
#include <string.h>  // explicit_bzero

#include <cstdlib>

#include "core/json.hpp"

namespace pg_seats::core {

void JsonRelease::operator()(json_t* value) const noexcept {
    json_decref(value);
}

void overwrite(void* memory) noexcept {
    if (memory != nullptr) {
        explicit_bzero(memory, malloc_usable_size(memory));
    }
}

void overwrite_and_free(void* memory) noexcept {
    overwrite(memory);
    std::free(memory);
}

// (Set at the first use: an extension that is only loaded must not change how others get on with
// jansson. It is the same malloc and free for them, so either may free what the other one has.)
Json load_json(std::string_view text, std::size_t flags, json_error_t* error) noexcept {
    static const bool is_set = [] {
        json_set_alloc_funcs(std::malloc, overwrite_and_free);
        return true;
    }();
    (void)is_set;
    return Json(json_loadb(text.data(), text.size(), flags, error));
}

// (A name that comes twice is in no answer of Stripe's: only then the text is read once more.)
ParsedBody::ParsedBody(std::string_view text) noexcept
    : root_(load_json(text, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, nullptr)),
      names_are_unique_(root_ != nullptr) {
    if (root_ == nullptr) {
        root_ = parse_json(text);
    }
}

}  // namespace pg_seats::core
