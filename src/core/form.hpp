// Stripe's wire form: parameters (JSON) to application/x-www-form-urlencoded with brackets, and the
// checks on paths, header values and names that stand between a table's text and a URL.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/pure.hpp"

namespace pg_seats::core {

// A mistake of the caller's, told in words that a SQL user understands.
struct InvalidInput {
    std::string message;
    std::string hint;
};

// Throws InvalidInput. The JSON must be an object. Arrays are indexed, null and "" unset, booleans
// true|false, integers as they are; numbers with a fraction are refused (give them as strings), so
// are empty arrays (they cannot be said) and nesting deeper than 8.
[[nodiscard]] std::string encode_form(std::string_view parameters_json);

// "name=value" appended to an encoded form, both percent-encoded (brackets of the name are kept).
void append_form_field(std::string& form, std::string_view name, std::string_view value);

// Throws InvalidInput unless the path is absolute, has only plain segments (letters, digits and
// -._~:@!$&'()*+,;=, none empty, "." or ".."), no query, no fragment, no percent sign and at most
// 500 bytes.
void check_path(std::string_view path);

// A pattern for grants: segments must be equal, `*` stands for one whole segment, a final `**` for
// all that follow (at least one).
[[nodiscard]] bool path_matches(std::string_view pattern, std::string_view path);
void check_path_pattern(std::string_view pattern);

// Throws InvalidInput unless `url` is https://host[:port][/prefix], or http:// to a loopback
// address (127.0.0.0/8, [::1], localhost). No user, query or fragment; no trailing slash kept.
[[nodiscard]] std::string checked_base_url(std::string_view url);

// True for printable ASCII without line breaks, and not for nothing: what may stand in a header.
// (libcurl takes "Name:" with no value for the wish not to send that header.)
[[nodiscard]] bool is_header_value(std::string_view value);

}  // namespace pg_seats::core
