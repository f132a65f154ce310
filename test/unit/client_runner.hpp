// Drives a client the way the worker does: sleep on its descriptor or until it is due, work, take.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <string>
#include <vector>

#include "http/client.hpp"

namespace pg_seats::test {

inline http::Request get(std::string url, std::uint64_t id = 1) {
    http::Request request;
    request.id = id;
    request.method = "GET";
    request.url = std::move(url);
    request.total_timeout = std::chrono::milliseconds{5'000};
    return request;
}

inline http::Request post(std::string url, std::string body, std::uint64_t id = 1) {
    http::Request request = get(std::move(url), id);
    request.method = "POST";
    request.body = std::move(body);
    return request;
}

// Until `count` responses are there or 10 s are over.
inline std::vector<http::Response> run(http::Client& client, std::size_t count) {
    using SteadyClock = std::chrono::steady_clock;
    std::vector<http::Response> all;
    const auto end = SteadyClock::now() + std::chrono::seconds{10};
    while (all.size() < count && SteadyClock::now() < end) {
        const auto due = client.until_due().value_or(std::chrono::milliseconds{1'000});
        pollfd descriptor{.fd = client.descriptor(), .events = POLLIN, .revents = 0};
        poll(&descriptor, 1, static_cast<int>(std::min<std::int64_t>(due.count(), 1'000)));
        client.work();
        for (http::Response& response : client.take_finished()) {
            all.push_back(std::move(response));
        }
    }
    EXPECT_EQ(all.size(), count);
    return all;
}

inline http::Response exchange(http::Client& client, http::Request request) {
    client.submit(std::move(request));
    std::vector<http::Response> responses = run(client, 1);
    return responses.empty() ? http::Response{} : std::move(responses.front());
}

}  // namespace pg_seats::test
