// Reading any body for a marker, a key, an object, an account.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/objects.hpp"

using namespace pg_seats::core;

namespace {

void check(bool holds) {
    if (!holds) {
        std::abort();
    }
}

void check_search(const std::optional<ListSearch>& search) {
    if (search && search->found) {
        check(!search->object_json.empty());
        check(search->object_json.find("\"client_secret\"") == std::string::npos);
    } else if (search) {
        check(search->object_json.empty());
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const ParsedBody body(text);
    check_search(find_marker_in_list(body, "m-1"));
    (void)search_events(body, "k-1", "m-1");
    if (const auto facts = read_object(body)) {
        check(!facts->object.empty());
    }
    if (const auto account = read_account(body)) {
        check(!account->id.empty());
    }
    return 0;
}
