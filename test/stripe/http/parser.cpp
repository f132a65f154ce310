#include "http/parser.hpp"

#include <charconv>

namespace stripe_simulator {

namespace {

std::string_view trim(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) {
        text.remove_prefix(1);
    }
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) {
        text.remove_suffix(1);
    }
    return text;
}

bool is_token(std::string_view text) {
    static constexpr std::string_view kOther = "!#$%&'*+-.^_`|~";
    for (const char c : text) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && kOther.find(c) == std::string_view::npos) {
            return false;
        }
    }
    return !text.empty();
}

}  // namespace

RequestParser::Result RequestParser::next(Request& request) {
    if (error_status_ != 0) {
        return Result::kBad;
    }
    if (stage_ == Stage::kHead) {
        const Result result = parse_head();
        if (result != Result::kComplete) {
            return result;
        }
        const Result framed = frame_body();
        if (framed != Result::kComplete) {
            return framed;
        }
    }
    if (stage_ == Stage::kBody) {
        if (buffered() < remaining_) {
            return Result::kNeedMore;
        }
        current_.body.assign(buffer_, position_, remaining_);
        position_ += remaining_;
    } else {
        const Result result = read_chunks();
        if (result != Result::kComplete) {
            return result;
        }
    }
    request = std::move(current_);
    current_ = Request();
    stage_ = Stage::kHead;
    compact();
    return Result::kComplete;
}

RequestParser::Result RequestParser::bad(int status) {
    error_status_ = status;
    return Result::kBad;
}

RequestParser::Result RequestParser::parse_head() {
    // Empty lines between requests are allowed.
    while (buffered() >= 2 && buffer_.compare(position_, 2, "\r\n") == 0) {
        position_ += 2;
    }
    const std::size_t end = buffer_.find("\r\n\r\n", position_);
    if (end == std::string::npos) {
        return buffered() > kMaxHead ? bad(431) : Result::kNeedMore;
    }
    if (end - position_ > kMaxHead) {
        return bad(431);
    }
    std::string_view head(buffer_.data() + position_, end - position_);
    position_ = end + 4;
    bool first = true;
    while (!head.empty() || first) {
        const std::size_t line_end = head.find("\r\n");
        const std::string_view line = head.substr(0, line_end);
        head = line_end == std::string_view::npos ? std::string_view() : head.substr(line_end + 2);
        if (!(first ? parse_request_line(line) : parse_header(line))) {
            return bad(400);
        }
        first = false;
    }
    return Result::kComplete;
}

bool RequestParser::parse_request_line(std::string_view line) {
    const std::size_t first = line.find(' ');
    const std::size_t last = line.rfind(' ');
    if (first == std::string_view::npos || last <= first) {
        return false;
    }
    const std::string_view version = line.substr(last + 1);
    if (version != "HTTP/1.1" && version != "HTTP/1.0") {
        return false;
    }
    http_1_0_ = version == "HTTP/1.0";
    const std::string_view target = line.substr(first + 1, last - first - 1);
    if (!is_token(line.substr(0, first)) || target.empty() || target.front() != '/') {
        return false;
    }
    for (const char c : target) {
        if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f) {
            return false;
        }
    }
    current_.method = line.substr(0, first);
    const std::size_t question = target.find('?');
    current_.path = target.substr(0, question);
    if (question != std::string_view::npos) {
        current_.query = target.substr(question + 1);
    }
    return true;
}

bool RequestParser::parse_header(std::string_view line) {
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon)) ||
        current_.headers.size() >= 200 || line.find('\0') != std::string_view::npos) {
        return false;
    }
    current_.headers.emplace_back(line.substr(0, colon), trim(line.substr(colon + 1)));
    return true;
}

RequestParser::Result RequestParser::frame_body() {
    const std::string_view connection = current_.header("connection");
    current_.keep_alive =
        http_1_0_ ? iequals(connection, "keep-alive") : !iequals(connection, "close");
    const std::string_view encoding = current_.header("transfer-encoding");
    const bool has_length = current_.has_header("content-length");
    remaining_ = 0;
    if (!encoding.empty()) {
        // Both framings at once is how requests are smuggled.
        if (!iequals(encoding, "chunked") || has_length) {
            return bad(encoding.empty() || has_length ? 400 : 501);
        }
        stage_ = Stage::kChunkSize;
    } else {
        if (has_length) {
            const auto length = parse_integer(current_.header("content-length"));
            if (!length || *length < 0) {
                return bad(400);
            }
            if (static_cast<std::size_t>(*length) > kMaxBody) {
                return bad(413);
            }
            remaining_ = static_cast<std::size_t>(*length);
        }
        stage_ = Stage::kBody;
    }
    const bool incomplete = stage_ == Stage::kChunkSize || buffered() < remaining_;
    if (incomplete && iequals(current_.header("expect"), "100-continue")) {
        return Result::kContinue;
    }
    return Result::kComplete;
}

RequestParser::Result RequestParser::read_chunks() {
    for (;;) {
        if (stage_ == Stage::kChunkData) {
            if (buffered() < remaining_ + 2) {
                return Result::kNeedMore;
            }
            if (buffer_.compare(position_ + remaining_, 2, "\r\n") != 0) {
                return bad(400);
            }
            current_.body.append(buffer_, position_, remaining_);
            position_ += remaining_ + 2;
            stage_ = Stage::kChunkSize;
            compact();
        }
        const std::size_t end = buffer_.find("\r\n", position_);
        if (end == std::string::npos) {
            return buffered() > 8192 ? bad(400) : Result::kNeedMore;
        }
        const std::string_view line(buffer_.data() + position_, end - position_);
        position_ = end + 2;
        if (stage_ == Stage::kTrailer) {
            if (line.empty()) {
                return Result::kComplete;
            }
            continue;
        }
        const std::string_view digits = trim(line.substr(0, line.find(';')));
        std::size_t size = 0;
        const auto [stop, error] =
            std::from_chars(digits.data(), digits.data() + digits.size(), size, 16);
        if (error != std::errc() || stop != digits.data() + digits.size()) {
            return bad(400);
        }
        if (size > kMaxBody || current_.body.size() + size > kMaxBody) {
            return bad(413);
        }
        remaining_ = size;
        stage_ = size == 0 ? Stage::kTrailer : Stage::kChunkData;
    }
}

void RequestParser::compact() {
    if (position_ == buffer_.size()) {
        buffer_.clear();
        position_ = 0;
    } else if (position_ > 65536) {
        buffer_.erase(0, position_);
        position_ = 0;
    }
}

}  // namespace stripe_simulator
