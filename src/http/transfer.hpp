// One exchange: a reusable easy handle, its callbacks, and what came of it.
#pragma once

#include <curl/curl.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "http/client.hpp"
#include "http/headers.hpp"
#include "http/sockets.hpp"

#include "core/pure.hpp"

namespace pg_seats::http {

class Transfer {
  public:
    explicit Transfer(SocketSet& sockets);
    Transfer(const Transfer&) = delete;
    Transfer& operator=(const Transfer&) = delete;
    ~Transfer() = default;

    // Sets the handle up for the request. False if it cannot be done; finish() then says why.
    [[nodiscard]] bool prepare(Request request, std::chrono::steady_clock::time_point submitted);

    // What came of it. The transfer may be prepared again afterwards.
    [[nodiscard]] Response finish(CURLcode result);

    [[nodiscard]] CURL* handle() const noexcept { return handle_.get(); }
    [[nodiscard]] static Transfer* of(CURL* handle) noexcept;

    std::size_t place = 0;  // where its owner keeps it

  private:
    struct Cleanup {
        void operator()(CURL* handle) const noexcept { curl_easy_cleanup(handle); }
    };
    enum class Method : std::uint8_t { unset, get, post, remove };

    template <typename Value>
    void set(CURLoption option, Value value) noexcept {
        const CURLcode result = curl_easy_setopt(handle_.get(), option, value);
        if (setup_ == CURLE_OK) {
            setup_ = result;
        }
    }
    void set_constants() noexcept;
    void set_authority(const Request& request) noexcept;
    void set_method(Method method) noexcept;
    void set_headers();
    void forget_headers() noexcept;
    [[nodiscard]] bool refuse(std::string why);
    [[nodiscard]] std::string failure(CURLcode result) const;
    [[nodiscard]] const char* phase() const noexcept;

    static std::size_t on_header(char* data, std::size_t size, std::size_t count,
                                 void* self) noexcept;
    static std::size_t on_body(char* data, std::size_t size, std::size_t count,
                               void* self) noexcept;
    static int on_connected(void* self, char* remote, char* local, int remote_port,
                            int local_port) noexcept;
    static curl_socket_t on_open(void* sockets, curlsocktype purpose,
                                 curl_sockaddr* address) noexcept;
    static int on_close(void* sockets, curl_socket_t socket) noexcept;

    SocketSet& sockets_;
    std::unique_ptr<CURL, Cleanup> handle_;
    CURLcode setup_ = CURLE_OK;
    Request request_;
    Response response_;
    HeadReader head_;
    std::vector<curl_slist> headers_;
    std::array<char, CURL_ERROR_SIZE> words_{};
    std::chrono::steady_clock::time_point submitted_;
    std::string refusal_;
    Method method_ = Method::unset;
    bool out_of_memory_ = false;
};

}  // namespace pg_seats::http
