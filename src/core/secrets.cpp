#include "core/secrets.hpp"

#include <string.h>  // memmem

#include <algorithm>
#include <array>
#include <utility>

#include "core/ascii.hpp"
#include "core/exchange.hpp"
#include "core/parsed_body.hpp"

namespace pg_seats::core {
namespace {

// Shorter ones (of tests, or empty) would be found in words that are none.
constexpr std::size_t shortest_secret = 8;

bool is_word_character(char c) noexcept {
    return is_alphanumeric(c) || c == '_';
}

// Signing secrets are base64 behind their prefix.
bool is_key_character(char c) noexcept {
    return is_word_character(c) || c == '+' || c == '/' || c == '=';
}

template <typename Belongs>
std::size_t end_of(std::string_view text, std::size_t from, const Belongs& belongs) {
    const auto* const end =
        std::find_if_not(text.data() + from, text.data() + text.size(), belongs);
    return static_cast<std::size_t>(end - text.data());
}

std::size_t begin_of_word(std::string_view text, std::size_t at) {
    while (at > 0 && is_word_character(text[at - 1])) {
        --at;
    }
    return at;
}

// pi_123_secret_abc, also seti_, cs_, src_ and whatever comes: an id (which has a digit in it),
// "_secret_", and the rest of the word.
template <typename Text>
bool cut_client_secrets(Text& text) {
    constexpr std::string_view middle = "_secret_";
    bool found = false;
    std::size_t at = text.find(middle);
    while (at != Text::npos) {
        const std::size_t begin = begin_of_word(text, at);
        std::size_t end = end_of(text, at + middle.size(), is_word_character);
        const std::string_view id = std::string_view(text).substr(begin, at - begin);
        if (end > at + middle.size() && std::any_of(id.begin(), id.end(), is_digit)) {
            text.replace(begin, end - begin, removed_secret);
            found = true;
            end = begin + removed_secret.size();
        }
        at = text.find(middle, end);
    }
    return found;
}

// sk_live_… behind no letter and no digit: task_test_12345678 is somebody's word.
template <typename Text>
bool cut_keys(Text& text, std::string_view prefix) {
    bool found = false;
    std::size_t at = text.find(prefix);
    while (at != Text::npos) {
        std::size_t end = end_of(text, at + prefix.size(), is_key_character);
        if (end - at - prefix.size() >= shortest_secret &&
            (at == 0 || !is_alphanumeric(text[at - 1]))) {
            text.replace(at, end - at, removed_secret);
            found = true;
            end = at + removed_secret.size();
        }
        at = text.find(prefix, end);
    }
    return found;
}

bool holds(std::string_view text, std::string_view part) noexcept {
    return text.size() >= part.size() &&
           memmem(text.data(), text.size(), part.data(), part.size()) != nullptr;
}

// Every secret has _secret, k_live_, k_test_ or whsec_ in it. (Looked for from one underscore to
// the next: an answer has many, but four times over it is more to read.)
bool has_sign(std::string_view text) noexcept {
    for (std::size_t at = text.find('_'); at != std::string_view::npos;
         at = text.find('_', at + 1)) {
        const std::string_view before = text.substr(0, at);
        const std::string_view rest = text.substr(at);
        if (rest.starts_with("_secret") || before.ends_with("whsec") ||
            (before.ends_with('k') && (rest.starts_with("_live_") || rest.starts_with("_test_")))) {
            return true;
        }
    }
    return false;
}

// Writes a value without every member named client_secret, with secrets cut out of its texts (a URL
// of next_action carries one in its query), and without members whose name is one.
class Stripper {
  public:
    void write(const JsonValue& value) {
        switch (value.kind) {
            case JsonKind::null:
                out_.append("null");
                return;
            case JsonKind::boolean:
                out_.append(value.truth ? "true" : "false");
                return;
            case JsonKind::integer:
                out_.append(std::to_string(value.number));
                return;
            case JsonKind::real:
                out_.append(bytes_of(value));
                return;
            case JsonKind::text:
                write_text(bytes_of(value));
                return;
            case JsonKind::array:
                write_array(value);
                return;
            case JsonKind::object:
                write_object(value);
                return;
        }
    }
    [[nodiscard]] bool has_cut() const noexcept { return has_cut_; }
    [[nodiscard]] std::string take() && { return std::move(out_); }

  private:
    void write_array(const JsonValue& array) {
        out_.push_back('[');
        std::string_view separator;
        for (const JsonValue& element : elements(&array)) {
            out_.append(std::exchange(separator, ","));
            write(element);
        }
        out_.push_back(']');
    }

    void write_object(const JsonValue& object) {
        out_.push_back('{');
        std::string_view separator;
        for (const JsonValue& member : members(&object)) {
            const std::string_view name = name_of(member);
            if (name == "client_secret" || has_secret(name)) {
                has_cut_ = true;
                continue;
            }
            out_.append(std::exchange(separator, ","));
            write_plain(name);
            out_.push_back(':');
            write(member);
        }
        out_.push_back('}');
    }

    void write_text(std::string_view text) {
        if (!has_sign(text)) {
            write_plain(text);
            return;
        }
        WipedText copy(text);
        has_cut_ = cut_secrets(copy) || has_cut_;
        write_plain(copy);
    }

    void write_plain(std::string_view text) {
        constexpr std::string_view escaped = "\"\\\b\f\n\r\t";
        constexpr std::string_view signs_of = "\"\\bfnrt";
        constexpr std::string_view digits = "0123456789ABCDEF";
        out_.push_back('"');
        for (const char c : text) {
            const auto byte = static_cast<unsigned char>(c);
            if (const std::size_t place = escaped.find(c); place != std::string_view::npos) {
                out_.append({'\\', signs_of[place]});
            } else if (byte < 0x20) {
                out_.append("\\u00").append({digits[byte >> 4U], digits[byte & 15U]});
            } else {
                out_.push_back(c);
            }
        }
        out_.push_back('"');
    }

    std::string out_;
    bool has_cut_ = false;
};

// Nothing that looks like a secret, and no escape behind which one could hide: the bytes stay.
bool is_suspect(std::string_view body) noexcept {
    return has_sign(body) || holds(body, "\\u");
}

}  // namespace

template <typename Text>
bool cut_secrets(Text& text) {
    constexpr std::array prefixes{std::string_view("sk_live_"), std::string_view("sk_test_"),
                                  std::string_view("rk_live_"), std::string_view("rk_test_"),
                                  std::string_view("ek_live_"), std::string_view("ek_test_"),
                                  std::string_view("whsec_")};
    bool found = cut_client_secrets(text);
    for (const std::string_view prefix : prefixes) {
        found = cut_keys(text, prefix) || found;
    }
    return found;
}
template bool cut_secrets(std::string&);
template bool cut_secrets(WipedText&);

bool has_secret(std::string_view text) {
    if (!has_sign(text)) {
        return false;
    }
    WipedText copy(text);
    return cut_secrets(copy);
}

template <typename Text>
bool strike(Text& text, std::string_view secret) {
    if (secret.size() < shortest_secret || !holds(text, secret)) {
        return false;
    }
    bool found = false;
    for (std::size_t at = text.find(secret); at != Text::npos;
         at = text.find(secret, at + removed_secret.size())) {
        text.replace(at, secret.size(), removed_secret);
        found = true;
    }
    return found;
}
template bool strike(std::string&, std::string_view);

void strike(Response& response, std::string_view secret) {
    strike(response.body, secret);
    ResponseHeaders& headers = response.headers;
    for (std::string* const text :
         {&response.error, &headers.request_id, &headers.idempotency_key,
          &headers.rate_limited_reason, &headers.content_type, &headers.location}) {
        strike(*text, secret);
    }
}

std::string stripped_copy(const JsonValue* value) {
    if (value == nullptr) {
        return {};
    }
    Stripper stripper;
    stripper.write(*value);
    return std::move(stripper).take();
}

std::string strip_secrets(std::string_view body, const ParsedBody& parsed) {
    if (!is_suspect(body)) {
        return std::string(body);
    }
    if (parsed.root() == nullptr) {
        return {};  // half an answer may hold half a secret
    }
    Stripper stripper;
    stripper.write(*parsed.root());
    // (Of a name that comes twice only the last one is seen by whoever reads the JSON: by us, too.)
    return stripper.has_cut() || !parsed.names_are_unique() ? std::move(stripper).take()
                                                            : std::string(body);
}

std::string strip_secrets(std::string_view body) {
    const ParsedBody parsed(is_suspect(body) ? body : std::string_view());
    return strip_secrets(body, parsed);
}

}  // namespace pg_seats::core
