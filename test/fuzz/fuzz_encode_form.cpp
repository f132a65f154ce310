// Any parameters, paths and URLs: refused in words, or safe to put on the wire.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/form.hpp"
#include "core/safe_text.hpp"

using namespace pg_seats::core;

namespace {

void check(bool holds) {
    if (!holds) {
        std::abort();
    }
}

bool is_wire_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-._~%=&[]").find(c) != std::string_view::npos;
}

void check_form(std::string_view form) {
    int depth = 0;
    bool in_value = false;
    for (const char c : form) {
        check(is_wire_character(c));
        if (c == '&') {
            check(in_value && depth == 0);
            in_value = false;
        } else if (c == '=') {
            check(!in_value && depth == 0);
            in_value = true;
        } else if (c == '[') {
            check(!in_value && ++depth == 1);
        } else if (c == ']') {
            check(!in_value && --depth == 0);
        }
    }
    check(form.empty() || in_value);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    try {
        check_form(encode_form(text));
    } catch (const InvalidInput& invalid) {
        check(!invalid.message.empty() && is_valid_utf8(invalid.message));
    }
    try {
        check_path(text);
        check(text.starts_with('/') && text.find("//") == std::string_view::npos);
        check(text.find("/../") == std::string_view::npos && !text.ends_with("/.."));
        check(text.find_first_of("?#%\\ \r\n") == std::string_view::npos);
        check(path_matches("/**", text));
        check(path_matches(text, text) || text.find('*') != std::string_view::npos);
    } catch (const InvalidInput&) {
        check(!path_matches("/**", text) || text.size() > 500);
    }
    try {
        check_path_pattern(text);
    } catch (const InvalidInput&) {
    }
    try {
        const std::string url = checked_base_url(text);
        check(url.starts_with("https://") || url.starts_with("http://"));
        check(url.find_first_of("@?#%\\ \r\n") == std::string::npos ||
              url.find('/', 8) < url.size());
        check(!url.ends_with('/'));
        check(checked_base_url(url) == url);
    } catch (const InvalidInput&) {
    }
    std::string form;
    append_form_field(form, "metadata[x]", text);
    check_form(form);
    return 0;
}
