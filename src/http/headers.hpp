// Reading an answer's head line by line, keeping the few headers that mean something.
#pragma once

#include <cstddef>
#include <string_view>

#include "core/exchange.hpp"

#include "core/pure.hpp"

namespace pg_seats::http {

using core::ResponseHeaders;

class HeadReader {
  public:
    void reset() noexcept;

    // One line as curl hands it over. False if the head is larger than anybody's honest one.
    [[nodiscard]] bool take(std::string_view line, ResponseHeaders& into);

    // True once the empty line that ends a final head was seen. libcurl itself takes a connection
    // that closes after the status line for a complete answer with an empty body.
    [[nodiscard]] bool complete() const noexcept { return complete_; }

  private:
    static constexpr std::size_t limit = 65'536;
    std::size_t bytes_ = 0;
    bool interim_ = false;
    bool complete_ = false;
};

}  // namespace pg_seats::http
