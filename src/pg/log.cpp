#include "pg/log.hpp"

namespace pg_seats::pg {
namespace {

struct Line {
    int level;
    const char* text;
    int text_size;
    const char* hint;
    int hint_size;
};

// A message of the server's ends with a look at the interrupts. A cancel must not come out of the
// middle of whatever it is that is told here: an answer would be lost with it.
void write_line(const Line* line) {
    HOLD_INTERRUPTS();
    ereport(line->level, (errhidestmt(true), errmsg("pg_seats: %.*s", line->text_size, line->text),
                          line->hint_size > 0 ? errhint("%.*s", line->hint_size, line->hint) : 0));
    RESUME_INTERRUPTS();
}

}  // namespace

void log_line(std::string_view text) {
    const Line line{LOG, text.data(), static_cast<int>(text.size()), nullptr, 0};
    guard(write_line, &line);
}

void log_warning(std::string_view text, std::string_view hint) {
    const Line line{WARNING, text.data(), static_cast<int>(text.size()), hint.data(),
                    static_cast<int>(hint.size())};
    guard(write_line, &line);
}

bool traces_are_read() {
    return message_level_is_interesting(DEBUG1);
}

void trace_line(std::string_view text) {
    const Line line{DEBUG1, text.data(), static_cast<int>(text.size()), nullptr, 0};
    guard(write_line, &line);
}

}  // namespace pg_seats::pg
