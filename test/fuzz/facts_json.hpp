// What has to hold of any JSON made of facts: jsonb takes it, and it is small and holds no secret.
#pragma once

#include <cstdlib>
#include <string>
#include <string_view>

#include "core/facts.hpp"
#include "core/json_tree.hpp"
#include "core/parsed_body.hpp"
#include "core/safe_text.hpp"
#include "core/secrets.hpp"

namespace pg_seats::fuzz {

inline void check(bool holds) {
    if (!holds) {
        std::abort();
    }
}

inline void check_items(core::JsonValue items) {
    const std::vector<core::JsonValue> elements = core::elements_of(items);
    check(core::is_array(items) && elements.size() <= core::most_elements);
    for (const core::JsonValue element : elements) {
        check(!core::text_member(element, "id").empty());
    }
}

inline core::ParsedBody checked_json(const std::string& text) {
    // As jsonb is, jansson is strict here: without JSON_ALLOW_NUL it refuses \u0000.
    check(core::Json(json_loadb(text.data(), text.size(), JSON_REJECT_DUPLICATES, nullptr)) !=
          nullptr);
    core::ParsedBody json(text);
    check(core::is_object(json.root()));
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
