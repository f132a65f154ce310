// The client against a server that behaves.
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <set>

#include "client_runner.hpp"
#include "http/client.hpp"
#include "loopback_server.hpp"

namespace pg_seats::test {
namespace {

using http::Client;
using http::Transport;

// Answers everything with the request itself as the body, on kept connections.
void echo(Connection& connection) {
    for (std::string request = connection.read_request(); !request.empty();
         request = connection.read_request()) {
        connection.answer(request);
    }
}

TEST(Client, get_is_answered) {
    const LoopbackServer server(echo);
    Client client(4);
    auto request = get(server.url("/v1/account?expand[0]=x"), 42);
    request.body = "must not be sent";
    const auto response = exchange(client, std::move(request));
    EXPECT_EQ(response.id, 42U);
    EXPECT_EQ(response.transport, Transport::complete);
    EXPECT_TRUE(response.sent);
    EXPECT_EQ(response.status, 200);
    EXPECT_TRUE(response.body.starts_with("GET /v1/account?expand[0]=x HTTP/1.1\r\n"));
    EXPECT_EQ(response.body.find("must not"), std::string::npos);
    EXPECT_TRUE(response.error.empty());
    EXPECT_GT(response.duration.count(), 0);
    EXPECT_EQ(client.in_flight(), 0U);
}

TEST(Client, post_sends_body_and_headers_as_they_are) {
    const LoopbackServer server(echo);
    Client client(4);
    std::string body = "a=1&b=%00&c=";
    body.append(5'000, 'x');
    auto request = post(server.url(), body);
    request.headers = {"Authorization: Bearer sk_test_1", "Idempotency-Key: k-1"};
    const auto response = exchange(client, std::move(request));
    EXPECT_NE(response.body.find("\r\nAuthorization: Bearer sk_test_1\r\n"), std::string::npos);
    EXPECT_NE(response.body.find("\r\nIdempotency-Key: k-1\r\n"), std::string::npos);
    EXPECT_NE(response.body.find("\r\nUser-Agent: pg_seats\r\n"), std::string::npos);
    EXPECT_NE(response.body.find("\r\nContent-Type: application/x-www-form-urlencoded\r\n"),
              std::string::npos);
    EXPECT_EQ(response.body.find("Expect:"), std::string::npos);
    EXPECT_TRUE(response.body.ends_with("\r\n\r\n" + body));
}

TEST(Client, empty_post_has_a_length) {
    const LoopbackServer server(echo);
    Client client(4);
    const auto response = exchange(client, post(server.url(), ""));
    EXPECT_TRUE(response.body.starts_with("POST /v1/x HTTP/1.1\r\n"));
    EXPECT_NE(response.body.find("\r\nContent-Length: 0\r\n"), std::string::npos);
}

// One handle is used for all of these, so nothing of the one may be left in the next.
TEST(Client, methods_follow_each_other_on_one_handle) {
    const LoopbackServer server(echo);
    Client client(1);
    for (int round = 0; round < 2; ++round) {
        EXPECT_TRUE(exchange(client, post(server.url(), "a=1")).body.ends_with("\r\n\r\na=1"));
        auto remove = get(server.url());
        remove.method = "DELETE";
        const auto deleted = exchange(client, std::move(remove));
        EXPECT_TRUE(deleted.body.starts_with("DELETE /v1/x HTTP/1.1\r\n"));
        EXPECT_EQ(deleted.body.find("Content-Length"), std::string::npos);
        const auto read = exchange(client, get(server.url("/other")));
        EXPECT_TRUE(read.body.starts_with("GET /other HTTP/1.1\r\n"));
        EXPECT_TRUE(read.body.ends_with("\r\n\r\n"));
    }
    EXPECT_EQ(server.connections(), 1);
}

TEST(Client, connections_are_kept) {
    const LoopbackServer server(echo);
    Client client(8);
    for (int i = 0; i < 50; ++i) {
        EXPECT_EQ(exchange(client, post(server.url(), "i=1")).status, 200);
    }
    EXPECT_EQ(server.connections(), 1);
}

TEST(Client, hundred_in_parallel_under_the_cap) {
    const LoopbackServer server(echo);
    Client client(10);
    for (std::uint64_t i = 0; i < 100; ++i) {
        client.submit(post(server.url(), "i=" + std::to_string(i), i));
    }
    EXPECT_EQ(client.in_flight(), 100U);
    std::set<std::uint64_t> ids;
    for (const auto& response : run(client, 100)) {
        EXPECT_EQ(response.transport, Transport::complete);
        EXPECT_TRUE(response.body.ends_with("i=" + std::to_string(response.id)));
        ids.insert(response.id);
    }
    EXPECT_EQ(ids.size(), 100U);
    EXPECT_EQ(client.in_flight(), 0U);
    EXPECT_LE(server.connections(), 10);
}

TEST(Client, the_cap_can_be_raised) {
    std::mutex mutex;
    std::condition_variable all_are_there;
    int there = 0;
    const LoopbackServer server([&](Connection& connection) {
        if (connection.read_request().empty()) {
            return;
        }
        std::unique_lock lock(mutex);
        ++there;
        all_are_there.notify_all();
        if (all_are_there.wait_for(lock, std::chrono::seconds{20}, [&] { return there == 3; })) {
            connection.answer("together");
        }
    });
    Client client(1);
    client.limit_connections(3);
    for (std::uint64_t i = 0; i < 3; ++i) {
        client.submit(get(server.url(), i));
    }
    for (const auto& response : run(client, 3)) {
        EXPECT_EQ(response.body, "together");
    }
    EXPECT_EQ(server.connections(), 3);
}

TEST(Client, a_slow_answer_holds_up_no_other) {
    const LoopbackServer server([](Connection& connection) {
        if (connection.read_request().starts_with("GET /slow")) {
            std::this_thread::sleep_for(std::chrono::milliseconds{400});
        }
        connection.answer("{}");
    });
    Client client(4);
    client.submit(get(server.url("/slow"), 1));
    client.submit(get(server.url("/fast"), 2));
    const auto responses = run(client, 2);
    ASSERT_EQ(responses.size(), 2U);
    EXPECT_EQ(responses[0].id, 2U);
    EXPECT_EQ(responses[1].id, 1U);
}

TEST(Client, idle_client_needs_no_attention) {
    const LoopbackServer server(echo);
    Client client(4);
    exchange(client, get(server.url()));
    client.work();
    pollfd descriptor{.fd = client.descriptor(), .events = POLLIN, .revents = 0};
    EXPECT_EQ(poll(&descriptor, 1, 50), 0);
    EXPECT_TRUE(client.take_finished().empty());
}

// The idle connection stays in the watch; its end must not make the descriptor readable for ever.
TEST(Client, closed_idle_connection_does_not_spin) {
    const LoopbackServer server([](Connection& connection) {
        connection.read_request();
        connection.answer("{}");
    });
    Client client(4);
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(exchange(client, get(server.url())).status, 200);
        int wakes = 0;
        for (int look = 0; look < 10; ++look) {
            pollfd descriptor{.fd = client.descriptor(), .events = POLLIN, .revents = 0};
            wakes += poll(&descriptor, 1, 10);
            client.work();
        }
        EXPECT_LE(wakes, 1) << "told once that it was closed";
    }
    EXPECT_EQ(server.connections(), 3);
}

TEST(Client, forget_connections_opens_new_ones_and_loses_nothing) {
    const LoopbackServer server([](Connection& connection) {
        for (auto request = connection.read_request(); !request.empty();
             request = connection.read_request()) {
            if (request.starts_with("GET /slow")) {
                std::this_thread::sleep_for(std::chrono::milliseconds{200});
            }
            connection.answer("{}");
        }
    });
    Client client(4);
    exchange(client, get(server.url()));
    client.submit(get(server.url("/slow"), 7));
    client.work();
    client.forget_connections();
    client.submit(get(server.url(), 8));
    const auto responses = run(client, 2);
    ASSERT_EQ(responses.size(), 2U);
    EXPECT_EQ(responses[0].id, 8U);
    EXPECT_EQ(responses[1].status, 200);
    EXPECT_EQ(server.connections(), 2);
    client.work();
    client.forget_connections();
    EXPECT_EQ(exchange(client, get(server.url())).status, 200);
    EXPECT_EQ(server.connections(), 3);
}

TEST(Client, destruction_with_requests_on_the_wire) {
    const LoopbackServer server([](Connection& connection) { connection.read_request(); });
    Client client(4);
    for (std::uint64_t i = 0; i < 20; ++i) {
        client.submit(post(server.url(), "a=1", i));
    }
    client.work();
    EXPECT_GT(client.in_flight(), 0U);
}

TEST(Client, headers_that_mean_something_are_kept) {
    const LoopbackServer server([](Connection& connection) {
        connection.read_request();
        connection.write(
            "HTTP/1.1 100 Continue\r\nRequest-Id: interim\r\n\r\n"
            "HTTP/1.1 429 Too Many Requests\r\nrequest-id: req_1\r\nIDEMPOTENCY-KEY: k\r\n"
            "Idempotent-Replayed: TRUE\r\nStripe-Should-Retry: false\r\n"
            "Stripe-Rate-Limited-Reason: global-rate\r\nRetry-After: 7\r\n"
            "Date: Tue, 14 Nov 2023 22:13:20 GMT\r\nContent-Type: application/json\r\n"
            "X-Other: \x01\x02\r\nContent-Length: 2\r\n\r\n{}");
    });
    Client client(4);
    const auto response = exchange(client, get(server.url()));
    const auto& headers = response.headers;
    EXPECT_EQ(response.status, 429);
    EXPECT_EQ(headers.request_id, "req_1");
    EXPECT_EQ(headers.idempotency_key, "k");
    EXPECT_TRUE(headers.replayed);
    EXPECT_EQ(headers.should_retry, false);
    EXPECT_EQ(headers.rate_limited_reason, "global-rate");
    EXPECT_EQ(headers.retry_after, std::chrono::seconds{7});
    EXPECT_EQ(headers.content_type, "application/json");
    ASSERT_TRUE(headers.date.has_value());
    EXPECT_EQ(headers.date->time_since_epoch().count(), 1'700'000'000);
}

TEST(Client, headers_that_are_odd_are_harmless) {
    const LoopbackServer server([](Connection& connection) {
        connection.read_request();
        connection.answer("{}",
                          "Request-Id: re\x80q\x07_1\r\nRetry-After: -5\r\nDate: yesterday-ish\r\n"
                          "Stripe-Should-Retry: maybe\r\nIdempotent-Replayed: truely\r\n:\r\n");
    });
    Client client(4);
    const auto headers = exchange(client, get(server.url())).headers;
    EXPECT_EQ(headers.request_id, "");
    EXPECT_FALSE(headers.retry_after.has_value());
    EXPECT_FALSE(headers.date.has_value());
    EXPECT_FALSE(headers.should_retry.has_value());
    EXPECT_FALSE(headers.replayed);
}

}  // namespace
}  // namespace pg_seats::test
