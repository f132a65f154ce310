// The same text, read by jansson: what our own reader is held against.
#pragma once

#include <jansson.h>

#include <memory>
#include <string_view>

#include "core/json.hpp"
#include "core/parsed_body.hpp"

namespace pg_seats::test {

struct JanssonRelease {
    void operator()(json_t* value) const noexcept { json_decref(value); }
};
using Jansson = std::unique_ptr<json_t, JanssonRelease>;

inline bool is_same(const core::JsonValue& ours, json_t* theirs) {
    switch (ours.kind) {
        case core::JsonKind::null:
            return json_is_null(theirs);
        case core::JsonKind::boolean:
            return json_is_boolean(theirs) && json_is_true(theirs) == ours.truth;
        case core::JsonKind::integer:
            return json_is_integer(theirs) && json_integer_value(theirs) == ours.number;
        case core::JsonKind::real:
            return json_is_real(theirs);
        case core::JsonKind::text:
            return json_is_string(theirs) &&
                   bytes_of(ours) ==
                       std::string_view(json_string_value(theirs), json_string_length(theirs));
        case core::JsonKind::array: {
            std::size_t place = 0;
            for (const core::JsonValue& element : core::elements(&ours)) {
                json_t* const other = json_array_get(theirs, place++);
                if (other == nullptr || !is_same(element, other)) {
                    return false;
                }
            }
            return json_is_array(theirs) && place == json_array_size(theirs);
        }
        case core::JsonKind::object: {
            void* at = json_object_iter(theirs);
            for (const core::JsonValue& member : core::members(&ours)) {
                if (at == nullptr || core::name_of(member) != json_object_iter_key(at) ||
                    !is_same(member, json_object_iter_value(at))) {
                    return false;
                }
                at = json_object_iter_next(theirs, at);
            }
            return json_is_object(theirs) && at == nullptr;
        }
    }
    return false;
}

// Of any text: both take it, and read the same, or neither does. (But jansson passes over some
// NULs, and takes no real that is too large for a double; nobody reads one here.)
inline bool reads_as_jansson_does(std::string_view text, core::ParsedBody::Nul nul) {
    const core::ParsedBody ours(text, nul);
    if (text.find('\0') != std::string_view::npos) {
        return ours.root() == nullptr;
    }
    json_error_t error{};
    const std::size_t flags = nul == core::ParsedBody::Nul::allowed ? JSON_ALLOW_NUL : 0;
    const Jansson theirs(json_loadb(text.data(), text.size(), flags, &error));
    if (theirs == nullptr) {
        return ours.root() == nullptr || json_error_code(&error) == json_error_numeric_overflow;
    }
    const bool is_unique = Jansson(json_loadb(text.data(), text.size(),
                                              flags | JSON_REJECT_DUPLICATES, nullptr)) != nullptr;
    return ours.root() != nullptr && is_same(*ours.root(), theirs.get()) &&
           ours.names_are_unique() == is_unique;
}

}  // namespace pg_seats::test
