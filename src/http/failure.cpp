// What went wrong, in words for people, by phase. Never the URL's query, never a header.
#include <array>
#include <cstring>
#include <string>

#include "http/transfer.hpp"

namespace pg_seats::http {
namespace {

std::string with_system_error(const char* what, CURL* handle) {
    long number = 0;
    curl_easy_getinfo(handle, CURLINFO_OS_ERRNO, &number);
    std::string text = what;
    if (number != 0) {
        std::array<char, 128> buffer{};
        text += ": ";
        text += strerror_r(static_cast<int>(number), buffer.data(), buffer.size());
    }
    return text;
}

}  // namespace

// How far it had come when it failed.
const char* Transfer::phase() const noexcept {
    if (response_.sent) {
        return response_.status == 0 ? "waiting for the answer" : "receiving the answer";
    }
    curl_off_t resolved = 0;
    curl_easy_getinfo(handle_.get(), CURLINFO_NAMELOOKUP_TIME_T, &resolved);
    if (resolved == 0) {
        return "resolving the host's name or waiting for a free connection";
    }
    // libcurl notes the connection only once TLS stands too.
    return request_.url.starts_with("https") ? "connecting or negotiating TLS" : "connecting";
}

std::string Transfer::failure(CURLcode result) const {
    if (out_of_memory_) {
        return "out of memory while receiving the answer";
    }
    if (response_.over_limit) {
        return "the answer is larger than the limit of " + std::to_string(request_.response_limit) +
               " bytes";
    }
    switch (result) {
        case CURLE_OK:
            return "the answer's head was cut short";
        case CURLE_OPERATION_TIMEDOUT:
            return std::string("timed out ") + phase();
        case CURLE_COULDNT_RESOLVE_HOST:
            return "could not resolve the host's name";
        case CURLE_COULDNT_CONNECT:
            return with_system_error("could not connect", handle_.get());
        case CURLE_SSL_CONNECT_ERROR:
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_CACERT_BADFILE:
        case CURLE_SSL_CERTPROBLEM:
        case CURLE_SSL_CIPHER:
        case CURLE_SSL_ISSUER_ERROR:
        case CURLE_SSL_ENGINE_INITFAILED:
        case CURLE_SSL_INVALIDCERTSTATUS:
            // These words of curl's speak of certificates and protocol versions only.
            return std::string("TLS failed: ") +
                   (words_.front() != '\0' ? words_.data() : curl_easy_strerror(result));
        case CURLE_SEND_ERROR:
            return with_system_error("the connection broke while the request was sent",
                                     handle_.get());
        case CURLE_RECV_ERROR:
            return with_system_error(response_.sent
                                         ? "the connection broke while waiting for the answer"
                                         : "the connection broke before the request was sent",
                                     handle_.get());
        case CURLE_GOT_NOTHING:
            return "the connection was closed without an answer";
        case CURLE_PARTIAL_FILE:
            return "the answer was cut short";
        case CURLE_HTTP2:
        case CURLE_HTTP2_STREAM:
            return "the HTTP/2 stream was broken off";
        case CURLE_UNSUPPORTED_PROTOCOL:
        case CURLE_WEIRD_SERVER_REPLY:
            return response_.sent ? "the answer is not HTTP" : "the URL is neither http nor https";
        default:
            return std::string("failed while ") + phase() + ": " + curl_easy_strerror(result);
    }
}

}  // namespace pg_seats::http
