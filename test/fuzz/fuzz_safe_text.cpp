// Whatever comes in, no secret goes out.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/parsed_body.hpp"
#include "core/safe_text.hpp"
#include "core/secrets.hpp"

using namespace pg_seats::core;

namespace {

void check(bool holds) {
    if (!holds) {
        std::abort();
    }
}

void check_no_secret_in(std::string_view text) {
    std::string copy(text);
    check(!cut_secrets(copy));
}

void check_no_secret(JsonValue value) {
    for (const JsonMember& inner : members_of(value)) {
        check(inner.name != "client_secret");
        check_no_secret_in(inner.name);
        check_no_secret(inner.value);
    }
    for (const JsonValue inner : elements_of(value)) {
        check_no_secret(inner);
    }
    check_no_secret_in(text_of(value));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 1) {
        return 0;
    }
    const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
    const std::size_t limit = data[0];

    const std::string safe = safe_text(text, limit);
    check(safe.size() <= limit);
    check(is_valid_utf8(safe));
    for (const char* secret : {"sk_live_", "sk_test_", "rk_live_", "rk_test_", "whsec_", "_secret_",
                               "ek_live_", "ek_test_"}) {
        check(safe.find(secret) == std::string::npos);
    }
    for (const char c : safe) {
        check(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
    }
    check(safe_text(safe, limit) == safe || safe.find("earer") != std::string::npos ||
          safe.find("EARER") != std::string::npos || safe.size() == limit);

    const bool was_json = is_json(text);
    const std::string stripped = strip_secrets(std::string(text));
    if (const ParsedBody json(stripped); json.root()) {
        check_no_secret(json.root());
    } else {
        check(!was_json);
        check(stripped.find("_secret") == std::string::npos);
    }
    check(strip_secrets(stripped) == stripped);
    return 0;
}
