// What has to hold of any JSON made of facts: jsonb takes it, and it is small and holds no secret.
#pragma once

#include <cstdlib>
#include <string>
#include <string_view>

#include "core/facts.hpp"
#include "core/json.hpp"
#include "core/safe_text.hpp"
#include "core/secrets.hpp"

namespace pg_seats::fuzz {

inline void check(bool holds) {
    if (!holds) {
        std::abort();
    }
}

inline void check_items(const json_t* items) {
    check(json_is_array(items) && json_array_size(items) <= core::most_elements);
    for (std::size_t i = 0; i < json_array_size(items); ++i) {
        check(!core::text_member(json_array_get(items, i), "id").empty());
    }
}

inline core::Json checked_json(const std::string& text) {
    // As jsonb is, the parser is strict here: without JSON_ALLOW_NUL it refuses \u0000.
    core::Json json(json_loadb(text.data(), text.size(), JSON_REJECT_DUPLICATES, nullptr));
    check(json_is_object(json.get()));
    check(core::is_valid_utf8(text));
    for (const char c : text) {
        check(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
    }
    // A look for secrets that changes nothing finds none.
    check(core::strip_secrets(text) == text);
    check(text.find("client_secret\":") == std::string::npos);
    return json;
}

inline void check_id(std::string_view id) {
    check(!id.empty() && id.size() <= core::longest_fact);
}

}  // namespace pg_seats::fuzz
