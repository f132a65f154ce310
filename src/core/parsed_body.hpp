// A JSON text, parsed once for whoever reads it. jansson.h does not go together with the server's
// headers, so what is inside is seen by core alone (json.hpp).
#pragma once

#include <memory>
#include <string_view>

struct json_t;

#include "core/pure.hpp"

namespace pg_seats::core {

struct JsonRelease {
    void operator()(json_t* value) const noexcept;
};
// An owned reference. Borrowed ones are plain pointers to const, valid while the root lives.
using Json = std::unique_ptr<json_t, JsonRelease>;

class ParsedBody {
  public:
    ParsedBody() = default;
    explicit ParsedBody(std::string_view text) noexcept;

    // Null: the text is no JSON, or was not to be read.
    [[nodiscard]] const json_t* root() const noexcept { return root_.get(); }
    // False: somewhere a name came twice, and only its last value is here.
    [[nodiscard]] bool names_are_unique() const noexcept { return names_are_unique_; }

  private:
    Json root_;
    bool names_are_unique_ = false;
};

}  // namespace pg_seats::core
