// An incremental HTTP/1.1 request parser: bounded, strict where laxness would confuse, and safe
// with pipelined requests.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "http/message.hpp"

namespace stripe_simulator {

class RequestParser {
  public:
    enum class Result : unsigned char { kNeedMore, kComplete, kContinue, kBad };

    static constexpr std::size_t kMaxHead = 64U * 1024U;
    static constexpr std::size_t kMaxBody = 4U * 1024U * 1024U;

    void feed(std::string_view bytes) { buffer_.append(bytes); }
    // kContinue is said once, when the client waits for "100 Continue".
    Result next(Request& request);
    [[nodiscard]] std::size_t buffered() const { return buffer_.size() - position_; }
    [[nodiscard]] int error_status() const { return error_status_; }

  private:
    enum class Stage : unsigned char { kHead, kBody, kChunkSize, kChunkData, kTrailer };

    Result bad(int status);
    Result parse_head();
    bool parse_request_line(std::string_view line);
    bool parse_header(std::string_view line);
    Result frame_body();
    Result read_chunks();
    void compact();

    std::string buffer_;
    std::size_t position_ = 0;
    Stage stage_ = Stage::kHead;
    Request current_;
    std::size_t remaining_ = 0;
    bool http_1_0_ = false;
    int error_status_ = 0;
};

}  // namespace stripe_simulator
