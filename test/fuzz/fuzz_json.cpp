// Any text whatever: our reader takes it as jansson does, or not at all.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "../jansson_says.hpp"

using namespace pg_seats;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    for (const auto nul : {core::ParsedBody::Nul::allowed, core::ParsedBody::Nul::refused}) {
        if (!test::reads_as_jansson_does(text, nul)) {
            std::abort();
        }
    }
    return 0;
}
