#include "core/json_tree.hpp"

#include <malloc.h>  // malloc_usable_size
#include <string.h>  // explicit_bzero

#include <cstdlib>

#include "core/wiped_text.hpp"

namespace pg_seats::core {
namespace {

// (Set at the first use: an extension that is only loaded must not change how others get on with
// jansson. It is the same malloc and free for them, so either may free what the other one has.)
void use_own_memory() noexcept {
    static const bool is_set = [] {
        json_set_alloc_funcs(std::malloc, overwrite_and_free);
        return true;
    }();
    (void)is_set;
}

json_t* made_of(JsonValue value);

json_t* array_made_of(JsonValue value) {
    Json array(json_array());
    for (const JsonValue& inner : elements_of(value)) {
        if (json_array_append_new(array.get(), made_of(inner)) != 0) {
            return nullptr;
        }
    }
    return array.release();
}

// (Not json_object(): the server has a function of that name, and a caller of ours gets that one.)
json_t* object_made_of(JsonValue value) {
    Json object(json_pack("{}"));
    for (const JsonMember& inner : members_of(value)) {
        const WipedText name(inner.name);  // it may be a secret
        if (name.find('\0') == WipedText::npos &&
            json_object_set_new_nocheck(object.get(), name.c_str(), made_of(inner.value)) != 0) {
            return nullptr;
        }
    }
    return object.release();
}

json_t* made_of(JsonValue value) {
    switch (kind_of(value)) {
        case JsonKind::object:
            return object_made_of(value);
        case JsonKind::array:
            return array_made_of(value);
        case JsonKind::text: {
            const std::string_view text = text_of(value);
            return json_stringn_nocheck(text.data(), text.size());
        }
        case JsonKind::integer:
            return json_integer(integer_of(value).value_or(0));
        case JsonKind::other_number:
            return json_real(number_of(value));
        case JsonKind::boolean:
            return json_boolean(boolean_of(value).value_or(false));
        case JsonKind::null:
        case JsonKind::missing:
            break;
    }
    return json_null();
}

}  // namespace

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

Json load_json(std::string_view text, json_error_t* error) noexcept {
    use_own_memory();
    // No NUL is allowed here: it cannot come from jsonb, and a form has no use for it.
    return Json(json_loadb(text.data(), text.size(), 0, error));
}

Json copy_of(JsonValue value) {
    use_own_memory();
    return Json(made_of(value));
}

}  // namespace pg_seats::core
