// What a secret looks like in a text, and how it is taken out.
#pragma once

#include <string>
#include <string_view>

#include "core/json.hpp"

#include "core/pure.hpp"

namespace pg_seats::core {

class ParsedBody;
struct Response;

// What stands where a secret stood.
inline constexpr std::string_view removed_secret = "[removed]";

// Takes out what cannot be anything else: client secrets (pi_123_secret_abc), API keys
// (sk_live_…, rk_test_…, ek_…) and signing secrets (whsec_…). True if there were any. Less is
// certain here than in safe_text(), because these texts are data: "team_blue_secret_santa" and a
// plan named sk_monthly stay. (A text is a std::string or a WipedText.)
template <typename Text>
[[nodiscard]] bool cut_secrets(Text& text);

// Whether there are any.
[[nodiscard]] bool has_secret(std::string_view text);

// Takes out this very secret, whatever it looks like. True if it was there.
template <typename Text>
bool strike(Text& text, std::string_view secret);

// The same for all of an answer that may be kept. A server knows the secret that it was asked
// with, and some echo what they are sent.
void strike(Response& response, std::string_view secret);

// The same JSON without any secret (by cut_secrets()), at any depth, in texts and in names; the
// bytes are unchanged where there is none. What is not JSON is given back only if nothing in it
// looks like one, else emptied.
[[nodiscard]] std::string strip_secrets(std::string_view body);
[[nodiscard]] std::string strip_secrets(std::string_view body, const ParsedBody& parsed);

// Of a value, written.
[[nodiscard]] std::string stripped_copy(JsonValue value);

}  // namespace pg_seats::core
