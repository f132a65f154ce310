#include "core/form.hpp"

#include <array>
#include <cstdint>

#include "core/ascii.hpp"
#include "core/json_tree.hpp"

namespace pg_seats::core {
namespace {

constexpr int deepest = 8;

constexpr bool is_unreserved(char c) noexcept {
    return is_alphanumeric(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

void append_escaped(std::string& to, std::string_view text, std::string_view kept = {}) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    for (const char c : text) {
        if (is_unreserved(c) || kept.find(c) != std::string_view::npos) {
            to.push_back(c);
            continue;
        }
        const auto byte = static_cast<std::uint8_t>(c);
        to.push_back('%');
        to.push_back(digits[byte >> 4U]);
        to.push_back(digits[byte & 15U]);
    }
}

void append_pair(std::string& form, std::string_view encoded_name, std::string_view value) {
    if (!form.empty()) {
        form.push_back('&');
    }
    form.append(encoded_name).push_back('=');
    append_escaped(form, value);
}

// A name for messages: never longer than a line, and never the value.
std::string shown(std::string_view encoded_name) {
    constexpr std::size_t longest = 100;
    return std::string(encoded_name.substr(0, longest));
}

class FormWriter {
  public:
    std::string take() && { return std::move(form_); }

    void object(const json_t* value, int depth) {
        const std::size_t before = name_.size();
        const char* key = nullptr;
        std::size_t length = 0;
        json_t* inner = nullptr;
        // The iteration wants a pointer to non-const; it changes nothing.
        json_object_keylen_foreach(const_cast<json_t*>(value), key, length, inner) {
            append_key({key, length}, depth);
            any(inner, depth);
            name_.resize(before);
        }
    }

  private:
    void append_key(std::string_view key, int depth) {
        if (key.empty()) {
            throw InvalidInput{"a parameter has an empty name", {}};
        }
        // Stripe decodes names before it reads their brackets, so an escaped bracket is structure
        // too: text that got into a key could rewrite the request.
        if (key.find_first_of("[]") != std::string_view::npos) {
            throw InvalidInput{"a parameter's name holds a bracket",
                               "Give nested objects and arrays instead of bracketed names."};
        }
        if (depth > 1) {
            name_.push_back('[');
        }
        append_escaped(name_, key);
        if (depth > 1) {
            name_.push_back(']');
        }
    }

    void array(const json_t* value, int depth) {
        const std::size_t size = json_array_size(value);
        if (size == 0) {
            throw InvalidInput{"parameter \"" + shown(name_) + "\" is an empty array",
                               "An empty array cannot be said in a form. Use null or \"\" to "
                               "unset a list, or leave it out."};
        }
        const std::size_t before = name_.size();
        for (std::size_t i = 0; i < size; ++i) {
            const json_t* const inner = json_array_get(value, i);
            name_.append("[").append(std::to_string(i)).append("]");
            if (json_is_object(inner) && json_object_size(inner) == 0) {
                throw InvalidInput{"parameter \"" + shown(name_) + "\" is an empty object",
                                   "An empty object cannot be said in a form."};
            }
            any(inner, depth);
            name_.resize(before);
        }
    }

    void any(const json_t* value, int depth) {
        if ((json_is_object(value) || json_is_array(value)) && depth >= deepest) {
            throw InvalidInput{"parameter \"" + shown(name_) + "\" is nested too deeply",
                               "At most 8 levels are allowed."};
        }
        switch (json_typeof(value)) {
            case JSON_OBJECT:
                object(value, depth + 1);
                return;
            case JSON_ARRAY:
                array(value, depth + 1);
                return;
            case JSON_STRING:
                append_pair(form_, name_, {json_string_value(value), json_string_length(value)});
                return;
            case JSON_INTEGER:
                append_pair(form_, name_, std::to_string(json_integer_value(value)));
                return;
            case JSON_TRUE:
                append_pair(form_, name_, "true");
                return;
            case JSON_FALSE:
                append_pair(form_, name_, "false");
                return;
            case JSON_NULL:
                append_pair(form_, name_, "");
                return;
            case JSON_REAL:
                break;
        }
        throw InvalidInput{"parameter \"" + shown(name_) + "\" is a number with a fraction",
                           "Give it as text: \"12.5\". Money is in minor units, as an integer."};
    }

    std::string form_;
    std::string name_;
};

bool is_path_character(char c) noexcept {
    constexpr std::string_view others = ":@!$&'()*+,;=";
    return is_unreserved(c) || others.find(c) != std::string_view::npos;
}

// What may be a segment of a path; says why not.
std::string_view segment_fault(std::string_view segment) noexcept {
    if (segment.empty()) {
        return "it has an empty segment";
    }
    if (segment == "." || segment == "..") {
        return "it has a segment \".\" or \"..\"";
    }
    for (const char c : segment) {
        if (!is_path_character(c)) {
            return "it has a character that is not allowed";
        }
    }
    return {};
}

// The segments of "/a/b", one after the other.
class Segments {
  public:
    explicit Segments(std::string_view path) noexcept
        : rest_(path), ended_(!path.starts_with('/')) {}
    [[nodiscard]] bool next(std::string_view& segment) noexcept {
        if (ended_) {
            return false;
        }
        rest_.remove_prefix(1);
        const std::size_t end = rest_.find('/');
        segment = rest_.substr(0, end);
        ended_ = end == std::string_view::npos;
        rest_ = ended_ ? std::string_view{} : rest_.substr(end);
        return true;
    }
    [[nodiscard]] bool at_end() const noexcept { return ended_; }

  private:
    std::string_view rest_;
    bool ended_;
};

void check_segments(std::string_view path, const char* what) {
    constexpr std::size_t longest = 500;
    if (!path.starts_with('/')) {
        throw InvalidInput{
            std::string(what) + " must begin with a slash",
            "It is what follows the server's name, as in /v1/subscriptions/sub_123."};
    }
    if (path.size() > longest) {
        throw InvalidInput{std::string(what) + " is longer than 500 bytes", {}};
    }
    Segments segments(path);
    std::string_view segment;
    while (segments.next(segment)) {
        if (const std::string_view fault = segment_fault(segment); !fault.empty()) {
            throw InvalidInput{std::string(what) + " is not allowed: " + std::string(fault),
                               "Use plain segments, as in /v1/subscriptions/sub_123. Parameters "
                               "do not belong into the path."};
        }
    }
}

}  // namespace

std::string encode_form(std::string_view parameters_json) {
    json_error_t error{};
    const Json root = load_json(parameters_json, &error);
    if (root == nullptr) {
        // jansson's own words quote the text, which may be somebody's secret.
        if (json_error_code(&error) == json_error_numeric_overflow) {
            throw InvalidInput{"a number in the parameters is too large", "Give it as text."};
        }
        throw InvalidInput{"the parameters are not valid JSON", {}};
    }
    if (!json_is_object(root.get())) {
        throw InvalidInput{"the parameters must be a JSON object", {}};
    }
    FormWriter writer;
    writer.object(root.get(), 1);
    return std::move(writer).take();
}

void append_form_field(std::string& form, std::string_view name, std::string_view value) {
    std::string encoded_name;
    append_escaped(encoded_name, name, "[]");
    append_pair(form, encoded_name, value);
}

void check_path(std::string_view path) {
    check_segments(path, "the path");
}

bool path_matches(std::string_view pattern, std::string_view path) {
    Segments wanted(pattern);
    Segments given(path);
    std::string_view want;
    std::string_view have;
    while (wanted.next(want)) {
        if (!given.next(have) || !segment_fault(have).empty()) {
            return false;
        }
        if (want == "**") {
            // Only at the end of a pattern, and nothing improper may hide in what it covers.
            bool proper = wanted.at_end();
            while (proper && given.next(have)) {
                proper = segment_fault(have).empty();
            }
            return proper;
        }
        if (want != "*" && want != have) {
            return false;
        }
    }
    return given.at_end() && path.starts_with('/');
}

void check_path_pattern(std::string_view pattern) {
    check_segments(pattern, "the path pattern");
    Segments segments(pattern);
    std::string_view segment;
    while (segments.next(segment)) {
        if (segment.find('*') == std::string_view::npos || segment == "*") {
            continue;
        }
        if (segment != "**" || !segments.at_end()) {
            throw InvalidInput{"the path pattern has a misplaced star",
                               "`*` stands for one whole segment, `**` at the end for all that "
                               "follow: /v1/customers/*, /v1/subscriptions/**"};
        }
    }
}

bool is_header_value(std::string_view value) {
    for (const char c : value) {
        if (c < 0x20 || c > 0x7e) {
            return false;
        }
    }
    // An empty one cannot be sent: to libcurl "Name:" means that the header is not wanted.
    return !value.empty();
}

}  // namespace pg_seats::core
