#include "http/transfer.hpp"

#include <string.h>  // explicit_bzero

#include <new>
#include <string_view>
#include <utility>

#if LIBCURL_VERSION_NUM < 0x075700
#error "libcurl 7.87 or newer is needed (CURLOPT_PREREQFUNCTION, CURLOPT_QUICK_EXIT)"
#endif

namespace pg_seats::http {
namespace {

constexpr std::string_view http_scheme = "http://";

bool has_line_break_or_nul(std::string_view text) noexcept {
    return text.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos;
}

}  // namespace

Transfer::Transfer(SocketSet& sockets) : sockets_(sockets), handle_(curl_easy_init()) {
    if (handle_ == nullptr) {
        throw std::bad_alloc();
    }
    set_constants();
}

Transfer* Transfer::of(CURL* handle) noexcept {
    char* self = nullptr;
    curl_easy_getinfo(handle, CURLINFO_PRIVATE, &self);
    return static_cast<Transfer*>(static_cast<void*>(self));
}

// What holds for every request. Settings that guard something are named with what they guard.
void Transfer::set_constants() noexcept {
    set(CURLOPT_PRIVATE, this);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_QUICK_EXIT, 1L);  // or a slow resolver blocks clean-up for seconds
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_FOLLOWLOCATION, 0L);  // a redirect would carry the key to somebody else
    set(CURLOPT_PROXY, "");           // nor does the environment choose a way
    set(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    set(CURLOPT_SSL_VERIFYPEER, 1L);
    set(CURLOPT_SSL_VERIFYHOST, 2L);
    set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    set(CURLOPT_HTTP09_ALLOWED, 0L);
    set(CURLOPT_USERAGENT, "pg_seats");
    set(CURLOPT_DNS_CACHE_TIMEOUT, 60L);
    set(CURLOPT_TCP_KEEPALIVE, 1L);
    set(CURLOPT_MAXAGE_CONN, 60L);            // idle: most servers close soon after
    set(CURLOPT_MAXLIFETIME_CONN, 600L);      // so that a moved address is noticed
    set(CURLOPT_UPLOAD_BUFFERSIZE, 16'384L);  // per handle; bodies are small
    set(CURLOPT_ERRORBUFFER, words_.data());
    set(CURLOPT_HEADERFUNCTION, &Transfer::on_header);
    set(CURLOPT_HEADERDATA, this);
    set(CURLOPT_WRITEFUNCTION, &Transfer::on_body);
    set(CURLOPT_WRITEDATA, this);
    set(CURLOPT_PREREQFUNCTION, &Transfer::on_connected);
    set(CURLOPT_PREREQDATA, this);
    set(CURLOPT_OPENSOCKETFUNCTION, &Transfer::on_open);
    set(CURLOPT_OPENSOCKETDATA, &sockets_);
    set(CURLOPT_CLOSESOCKETFUNCTION, &Transfer::on_close);
    set(CURLOPT_CLOSESOCKETDATA, &sockets_);
}

// Where to, and whom to trust: set only if it differs from the handle's last request.
void Transfer::set_authority(const Request& request) noexcept {
    if (request.ca_file != request_.ca_file) {
        if (request.ca_file.empty()) {
            // There is no way back to curl's built-in default but a fresh start.
            curl_easy_reset(handle_.get());
            set_constants();
            request_ = Request{};
            method_ = Method::unset;
        } else {
            // Without this the system's directory of authorities would be trusted as well.
            set(CURLOPT_CAPATH, static_cast<const char*>(nullptr));
            set(CURLOPT_CAINFO, request.ca_file.c_str());
        }
    }
    if (request.url != request_.url) {
        set(CURLOPT_URL, request.url.c_str());
        // Over TLS, wait for the first connection to show whether it multiplexes. A plain server
        // shows it only with its first answer: waiting for that would serialise a burst.
        const bool plain = std::string_view(request.url).starts_with(http_scheme);
        set(CURLOPT_HTTP_VERSION,
            static_cast<long>(plain ? CURL_HTTP_VERSION_1_1 : CURL_HTTP_VERSION_2TLS));
        set(CURLOPT_PIPEWAIT, plain ? 0L : 1L);
    }
}

void Transfer::set_method(Method method) noexcept {
    if (method == method_) {
        return;
    }
    method_ = method;
    if (method == Method::post) {
        set(CURLOPT_CUSTOMREQUEST, static_cast<const char*>(nullptr));
        set(CURLOPT_POST, 1L);
        return;
    }
    set(CURLOPT_POSTFIELDS, static_cast<const char*>(nullptr));
    set(CURLOPT_HTTPGET, 1L);
    set(CURLOPT_CUSTOMREQUEST,
        method == Method::remove ? "DELETE" : static_cast<const char*>(nullptr));
}

// curl keeps the pointer and copies nothing, so the list is laid over the request's own strings:
// no allocation per header.
void Transfer::set_headers() {
    static constexpr const char* no_expect = "Expect:";  // saves a round trip on larger bodies
    headers_.clear();
    for (const std::string& header : request_.headers) {
        headers_.push_back(curl_slist{const_cast<char*>(header.c_str()), nullptr});
    }
    headers_.push_back(curl_slist{const_cast<char*>(no_expect), nullptr});
    for (std::size_t i = 0; i + 1 < headers_.size(); ++i) {
        headers_[i].next = &headers_[i + 1];
    }
    set(CURLOPT_HTTPHEADER, headers_.data());
}

// One of them is the API key, and a spare transfer may lie about for long. (Wiped, not freed: what
// is freed keeps its bytes.)
void Transfer::forget_headers() noexcept {
    for (std::string& header : request_.headers) {
        explicit_bzero(header.data(), header.size());
    }
}

bool Transfer::refuse(std::string why) {
    refusal_ = std::move(why);
    return false;
}

bool Transfer::prepare(Request request, std::chrono::steady_clock::time_point submitted) {
    submitted_ = submitted;
    response_ = Response{};
    response_.id = request.id;
    head_.reset();
    words_.front() = '\0';
    refusal_.clear();
    setup_ = CURLE_OK;
    out_of_memory_ = false;

    const Method method = request.method == "POST"     ? Method::post
                          : request.method == "GET"    ? Method::get
                          : request.method == "DELETE" ? Method::remove
                                                       : Method::unset;
    if (method == Method::unset) {
        return refuse("only GET, POST and DELETE can be sent");
    }
    if (has_line_break_or_nul(request.url)) {
        return refuse("the URL holds a line break or a NUL");
    }
    for (const std::string& header : request.headers) {
        // The caller has checked; this is the last place where a split header can be stopped.
        if (has_line_break_or_nul(header)) {
            return refuse("a header holds a line break or a NUL");
        }
    }
    set_authority(request);
    request_ = std::move(request);
    set_method(method);
    if (method == Method::post) {
        set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request_.body.size()));
        set(CURLOPT_POSTFIELDS, request_.body.c_str());
    }
    set_headers();
    set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(request_.connect_timeout.count()));
    set(CURLOPT_TIMEOUT_MS, static_cast<long>(request_.total_timeout.count()));
    if (setup_ != CURLE_OK) {
        request_ = Request{};  // so that nothing half-set is taken for equal next time
        method_ = Method::unset;
        return refuse(std::string("the request cannot be set up: ") + curl_easy_strerror(setup_));
    }
    return true;
}

Response Transfer::finish(CURLcode result) {
    response_.duration = std::chrono::duration_cast<std::chrono::microseconds>(
        std::chrono::steady_clock::now() - submitted_);
    forget_headers();
    if (!refusal_.empty()) {
        response_.error = std::move(refusal_);
        return std::move(response_);
    }
    long status = 0;
    curl_easy_getinfo(handle_.get(), CURLINFO_RESPONSE_CODE, &status);
    response_.status = static_cast<int>(status);
    if (result == CURLE_OK && head_.complete()) {
        response_.transport = Transport::complete;
    } else {
        response_.transport =
            result == CURLE_OPERATION_TIMEDOUT ? Transport::timed_out : Transport::broken;
        response_.error = failure(result);
    }
    return std::move(response_);
}

std::size_t Transfer::on_header(char* data, std::size_t size, std::size_t count,
                                void* self) noexcept {
    Transfer& transfer = *static_cast<Transfer*>(self);
    try {
        const std::size_t bytes = size * count;
        if (!transfer.head_.take({data, bytes}, transfer.response_.headers)) {
            transfer.response_.over_limit = true;
            return 0;
        }
        return bytes;
    } catch (...) {
        transfer.out_of_memory_ = true;
        return 0;
    }
}

std::size_t Transfer::on_body(char* data, std::size_t size, std::size_t count,
                              void* self) noexcept {
    Transfer& transfer = *static_cast<Transfer*>(self);
    try {
        const std::size_t bytes = size * count;
        core::WipedText& body = transfer.response_.body;
        if (bytes > transfer.request_.response_limit - body.size()) {
            transfer.response_.over_limit = true;
            return 0;
        }
        body.append(data, bytes);
        return bytes;
    } catch (...) {
        transfer.out_of_memory_ = true;
        return 0;
    }
}

// curl calls this once it is connected (TLS included) and before the request leaves: what fails
// earlier provably sent nothing.
//
// It is called again where curl, unasked, repeats a request on a new connection because a kept one
// broke. That is no harm under an idempotency key (and where an HTTP/2 server says GOAWAY it is the
// rule: every thousand requests from nginx), but the answer must not be judged as if there had been
// no first sending.
int Transfer::on_connected(void* self, char* /*remote*/, char* /*local*/, int /*remote_port*/,
                           int /*local_port*/) noexcept {
    Response& response = static_cast<Transfer*>(self)->response_;
    response.resent = response.sent;
    response.sent = true;
    return CURL_PREREQFUNC_OK;
}

curl_socket_t Transfer::on_open(void* sockets, curlsocktype /*purpose*/,
                                curl_sockaddr* address) noexcept {
    return static_cast<SocketSet*>(sockets)->open(*address);
}

int Transfer::on_close(void* sockets, curl_socket_t socket) noexcept {
    return static_cast<SocketSet*>(sockets)->close(socket);
}

}  // namespace pg_seats::http
