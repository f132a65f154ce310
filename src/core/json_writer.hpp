// Writing JSON that jsonb takes, whatever is given: a text that is no fact (see is_fact) becomes
// null, so there is no \u0000, no broken UTF-8 and nothing unbounded in it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/facts.hpp"

#include "core/pure.hpp"

namespace pg_seats::core {

// A text between quotes; null if it is empty or no fact.
inline void append_text(std::string& out, std::string_view value,
                        std::size_t limit = longest_fact) {
    if (value.empty() || !is_fact(value, limit)) {
        out.append("null");
        return;
    }
    out.push_back('"');
    for (const char c : value) {
        if (c == '"' || c == '\\') {
            out.push_back('\\');
        }
        out.push_back(c);
    }
    out.push_back('"');
}

// Appends one object to a text: members in the order of the calls, then end(). Names are ours and
// need no escapes.
class ObjectWriter {
  public:
    explicit ObjectWriter(std::string& out) : out_(out) { out_.push_back('{'); }

    // Empty is absent: null.
    void text(std::string_view name, std::string_view value, std::size_t limit = longest_fact) {
        begin(name);
        append_text(out_, value, limit);
    }

    void number(std::string_view name, std::optional<std::int64_t> value) {
        begin(name);
        out_.append(value ? std::to_string(*value) : "null");
    }

    void boolean(std::string_view name, std::optional<bool> value) {
        begin(name);
        out_.append(!value ? "null" : *value ? "true" : "false");
    }

    void null(std::string_view name) {
        begin(name);
        out_.append("null");
    }

    // For a value that the caller appends himself.
    std::string& begin(std::string_view name) {
        if (!first_) {
            out_.push_back(',');
        }
        first_ = false;
        out_.append("\"").append(name).append("\":");
        return out_;
    }

    void end() { out_.push_back('}'); }

  private:
    std::string& out_;
    bool first_ = true;
};

}  // namespace pg_seats::core
