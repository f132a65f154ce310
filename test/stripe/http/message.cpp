#include "http/message.hpp"

namespace stripe_simulator {

std::string_view reason_phrase(int status) {
    switch (status) {
        case 200:
            return "OK";
        case 301:
            return "Moved Permanently";
        case 302:
            return "Found";
        case 307:
            return "Temporary Redirect";
        case 400:
            return "Bad Request";
        case 401:
            return "Unauthorized";
        case 402:
            return "Payment Required";
        case 403:
            return "Forbidden";
        case 404:
            return "Not Found";
        case 405:
            return "Method Not Allowed";
        case 409:
            return "Conflict";
        case 413:
            return "Payload Too Large";
        case 424:
            return "Failed Dependency";
        case 429:
            return "Too Many Requests";
        case 431:
            return "Request Header Fields Too Large";
        case 500:
            return "Internal Server Error";
        case 501:
            return "Not Implemented";
        case 502:
            return "Bad Gateway";
        case 503:
            return "Service Unavailable";
        case 504:
            return "Gateway Timeout";
        default:
            return "Unknown";
    }
}

std::string make_head(int status, std::string_view headers, std::size_t content_length,
                      bool keep_alive) {
    std::string head;
    head.reserve(headers.size() + 512);
    head.append("HTTP/1.1 ").append(std::to_string(status)).append(" ");
    head.append(reason_phrase(status)).append("\r\nServer: stripe-simulator\r\n");
    head.append(headers);
    head.append("Content-Length: ").append(std::to_string(content_length));
    head.append(keep_alive ? "\r\nConnection: keep-alive\r\n\r\n"
                           : "\r\nConnection: close\r\n\r\n");
    return head;
}

}  // namespace stripe_simulator
