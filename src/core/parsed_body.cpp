#include "core/parsed_body.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <limits>
#include <unordered_map>

#include "core/ascii.hpp"
#include "core/safe_text.hpp"

namespace pg_seats::core {
namespace {

using Fault = ParsedBody::Fault;

constexpr int deepest = 2048;

// What ends a run of characters that stand for themselves.
constexpr auto is_special = [] {
    std::array<bool, 256> special{};
    for (std::size_t c = 0; c < 0x20; ++c) {
        special.at(c) = true;
    }
    special.at('"') = special.at('\\') = true;
    return special;
}();

std::uint32_t hash_of(std::string_view name) noexcept {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    const std::size_t size = std::min(name.size(), sizeof begin);
    std::memcpy(&begin, name.data(), size);
    std::memcpy(&end, name.data() + name.size() - size, size);
    constexpr std::uint64_t factor = 0x9e3779b97f4a7c15;
    return static_cast<std::uint32_t>(((begin ^ (name.size() << 56U)) * factor + end) * factor >>
                                      32U);
}

int hexadecimal(char c) noexcept {
    const char low = lower(c);
    return is_digit(c) ? c - '0' : low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

void append_utf8(char*& out, std::uint32_t code) noexcept {
    const auto put = [&out](std::uint32_t byte) { *out++ = static_cast<char>(byte); };
    if (code < 0x80) {
        put(code);
    } else if (code < 0x800) {
        put(0xC0U | code >> 6U);
        put(0x80U | (code & 0x3FU));
    } else if (code < 0x10000) {
        put(0xE0U | code >> 12U);
        put(0x80U | (code >> 6U & 0x3FU));
        put(0x80U | (code & 0x3FU));
    } else {
        put(0xF0U | code >> 18U);
        put(0x80U | (code >> 12U & 0x3FU));
        put(0x80U | (code >> 6U & 0x3FU));
        put(0x80U | (code & 0x3FU));
    }
}

std::size_t place_of_name(const std::vector<JsonValue>& values, std::size_t first, std::size_t end,
                          const JsonValue& wanted) {
    while (first < end && (values[first].name_hash != wanted.name_hash ||
                           name_of(values[first]) != name_of(wanted))) {
        ++first;
    }
    return first;
}

// Where a name comes twice, the last value takes the first one's place, as jsonb and others have
// it. True if there was one.
bool keep_last_of_each(std::vector<JsonValue>& values, std::size_t first) {
    constexpr std::size_t few = 160;
    const bool many = values.size() - first > few;
    std::unordered_map<std::string_view, std::size_t> place_of;  // of many
    std::array<std::uint64_t, 4> seen{};  // of few: a bit for a name that may have been there
    std::size_t end = first;
    for (std::size_t i = first; i < values.size(); ++i) {
        std::size_t place = end;
        if (many) {
            place = place_of.try_emplace(name_of(values[i]), end).first->second;
        } else {
            const std::uint32_t hash = values[i].name_hash;
            std::uint64_t& bits = seen.at(hash >> 6U & 3U);
            const std::uint64_t bit = std::uint64_t{1} << (hash & 63U);
            place = (bits & bit) != 0 ? place_of_name(values, first, end, values[i]) : end;
            bits |= bit;
        }
        values[place] = values[i];
        end += place == end ? 1 : 0;
    }
    const bool found = end != values.size();
    values.resize(end);
    return found;
}

// Reads in place. What a container holds is gathered at the end of `open_` and goes to its place
// once it is complete, so that siblings lie side by side.
class Reader {
  public:
    Reader(char* text, std::size_t size, ParsedBody::Nul nul, std::vector<JsonValue>& values)
        : at_(text), end_(text + size), nul_(nul), values_(values) {}

    [[nodiscard]] bool read() {
        JsonValue root;
        skip_blanks();
        if (at_ == end_ || (*at_ != '{' && *at_ != '[') || !value(root, 1)) {
            return false;
        }
        skip_blanks();
        if (at_ != end_) {
            return false;
        }
        values_.push_back(root);
        for (JsonValue& one : values_) {
            if (one.kind == JsonKind::array || one.kind == JsonKind::object) {
                one.inner = values_.data() + one.place;
            }
        }
        return true;
    }
    [[nodiscard]] Fault fault() const noexcept { return fault_; }
    [[nodiscard]] bool names_are_unique() const noexcept { return names_are_unique_; }

  private:
    void skip_blanks() noexcept {
        while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t')) {
            ++at_;
        }
    }
    // Past blanks.
    bool takes(char wanted) noexcept {
        skip_blanks();
        if (at_ == end_ || *at_ != wanted) {
            return false;
        }
        ++at_;
        return true;
    }
    bool takes_word(std::string_view word) noexcept {
        if (!std::string_view(at_, end_).starts_with(word)) {
            return false;
        }
        at_ += word.size();
        return true;
    }
    bool skip_digits() noexcept {
        const char* const begin = at_;
        while (at_ != end_ && is_digit(*at_)) {
            ++at_;
        }
        return at_ != begin;
    }

    bool value(JsonValue& into, int depth) {
        if (at_ == end_ || depth > deepest) {
            return false;
        }
        switch (*at_) {
            case '{':
                return container(into, JsonKind::object, '}', depth);
            case '[':
                return container(into, JsonKind::array, ']', depth);
            case '"':
                into.kind = JsonKind::text;
                return text(into.bytes, into.size, nul_ == ParsedBody::Nul::allowed);
            case 't':
                into.kind = JsonKind::boolean;
                into.truth = true;
                return takes_word("true");
            case 'f':
                into.kind = JsonKind::boolean;
                return takes_word("false");
            case 'n':
                return takes_word("null");
            default:
                return number(into);
        }
    }

    bool container(JsonValue& into, JsonKind kind, char end, int depth) {
        ++at_;
        const std::size_t first = open_.size();
        bool more = !takes(end);
        while (more) {
            JsonValue inner;
            if (kind == JsonKind::object && !name(inner)) {
                return false;
            }
            skip_blanks();
            if (!value(inner, depth + 1)) {
                return false;
            }
            open_.push_back(inner);
            more = takes(',');
            if (!more && !takes(end)) {
                return false;
            }
        }
        if (kind == JsonKind::object && keep_last_of_each(open_, first)) {
            names_are_unique_ = false;
        }
        into.kind = kind;
        into.size = static_cast<std::uint32_t>(open_.size() - first);
        into.place = values_.size();
        values_.insert(values_.end(), open_.begin() + static_cast<std::ptrdiff_t>(first),
                       open_.end());
        open_.resize(first);
        return true;
    }

    bool name(JsonValue& of) {
        skip_blanks();
        if (at_ == end_ || *at_ != '"' || !text(of.name, of.name_size, false)) {
            return false;
        }
        of.name_hash = hash_of(name_of(of));
        return takes(':');
    }

    bool text(const char*& bytes, std::uint32_t& size, bool may_hold_nul) {
        char* out = ++at_;
        bytes = out;
        char high = 0;
        while (true) {
            const char* const run = at_;
            while (at_ != end_ && !is_special[static_cast<unsigned char>(*at_)]) {
                high = static_cast<char>(high | *at_++);
            }
            const auto length = static_cast<std::size_t>(at_ - run);
            if (out != run) {
                std::memmove(out, run, length);
            }
            out += length;
            if (at_ == end_ || (*at_ != '"' && *at_ != '\\')) {
                return false;
            }
            if (*at_++ == '"') {
                break;
            }
            if (!escape(out, may_hold_nul)) {
                return false;
            }
        }
        size = static_cast<std::uint32_t>(out - bytes);
        return (high & '\x80') == 0 || is_valid_utf8({bytes, size});
    }

    bool escape(char*& out, bool may_hold_nul) noexcept {
        if (at_ == end_) {
            return false;
        }
        constexpr std::string_view signs = "\"\\/bfnrt";
        constexpr std::string_view meant = "\"\\/\b\f\n\r\t";
        const char sign = *at_++;
        if (const std::size_t place = signs.find(sign); place != std::string_view::npos) {
            *out++ = meant[place];
            return true;
        }
        std::uint32_t code = 0;
        if (sign != 'u' || !four_digits(code) || (code == 0 && !may_hold_nul)) {
            return false;
        }
        if (code >= 0xD800 && code < 0xDC00) {
            std::uint32_t second = 0;
            if (!takes_word("\\u") || !four_digits(second) || second < 0xDC00 || second > 0xDFFF) {
                return false;
            }
            code = 0x10000 + ((code - 0xD800) << 10U) + (second - 0xDC00);
        } else if (code >= 0xDC00 && code <= 0xDFFF) {
            return false;
        }
        append_utf8(out, code);
        return true;
    }

    bool four_digits(std::uint32_t& code) noexcept {
        if (end_ - at_ < 4) {
            return false;
        }
        for (int i = 0; i < 4; ++i) {
            const int digit = hexadecimal(*at_++);
            if (digit < 0) {
                return false;
            }
            code = code << 4U | static_cast<std::uint32_t>(digit);
        }
        return true;
    }

    bool number(JsonValue& into) {
        const char* const begin = at_;
        at_ += *at_ == '-' ? 1 : 0;
        const char* const digits = at_;
        if (!skip_digits() || (*digits == '0' && at_ != digits + 1)) {
            return false;
        }
        into.kind = JsonKind::integer;
        if (at_ != end_ && *at_ == '.') {
            into.kind = JsonKind::real;
            ++at_;
            if (!skip_digits()) {
                return false;
            }
        }
        if (at_ != end_ && (*at_ == 'e' || *at_ == 'E')) {
            into.kind = JsonKind::real;
            ++at_;
            at_ += at_ != end_ && (*at_ == '+' || *at_ == '-') ? 1 : 0;
            if (!skip_digits()) {
                return false;
            }
        }
        if (into.kind == JsonKind::real) {
            into.bytes = begin;
            into.size = static_cast<std::uint32_t>(at_ - begin);
            return true;
        }
        std::int64_t integer = 0;
        if (std::from_chars(begin, at_, integer).ec != std::errc{}) {
            fault_ = Fault::number_too_large;
            return false;
        }
        into.number = integer;
        return true;
    }

    char* at_;
    char* end_;
    ParsedBody::Nul nul_;
    std::vector<JsonValue>& values_;
    std::vector<JsonValue> open_;
    Fault fault_ = Fault::syntax;
    bool names_are_unique_ = true;
};

}  // namespace

ParsedBody::ParsedBody(std::string_view text, Nul nul) {
    if (text.empty() || text.size() > std::numeric_limits<std::uint32_t>::max()) {
        fault_ = Fault::syntax;
        return;
    }
    constexpr std::size_t bytes_of_a_value = 24;  // about, as Stripe writes
    text_.assign(text.begin(), text.end());
    values_.reserve(text.size() / bytes_of_a_value + 8);
    Reader reader(text_.data(), text_.size(), nul, values_);
    if (!reader.read()) {
        fault_ = reader.fault();
        values_.clear();
    }
    names_are_unique_ = reader.names_are_unique();
}

}  // namespace pg_seats::core
