// Lines for the server log, from C++ code.
#pragma once

#include "pg/error.hpp"

namespace pg_seats::pg {

// One line at LOG level. The text must already be free of secrets (core::safe_text).
void log_line(std::string_view text);

// Same, for what a person should notice.
void log_warning(std::string_view text, std::string_view hint = {});

[[nodiscard]] bool traces_are_read();
void trace_line(std::string_view text);

// A line at DEBUG1, of which `text` makes the words: it is called only if somebody reads them. What
// it tells of has happened, so it raises nothing.
template <class Text>
void trace(Text&& text) noexcept {
    if (traces_are_read()) {
        try {
            trace_line(text());
        } catch (...) {  // NOLINT(bugprone-empty-catch): a line less
        }
    }
}

}  // namespace pg_seats::pg
