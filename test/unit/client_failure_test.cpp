// The client against servers that misbehave, and against none. What matters most is `sent`: false
// only if provably no byte of the request has left.
#include <gtest/gtest.h>
#include <signal.h>

#include "client_runner.hpp"
#include "http/client.hpp"
#include "loopback_server.hpp"

namespace pg_seats::test {
namespace {

using http::Client;
using http::Response;
using http::Transport;
using SteadyClock = std::chrono::steady_clock;

// One request, answered with these bytes, then the connection is closed.
Response answered_with(std::string bytes, std::size_t limit = 1U << 20U) {
    const LoopbackServer server([&bytes](Connection& connection) {
        connection.read_request();
        connection.write(bytes);
    });
    Client client(4);
    auto request = post(server.url(), "a=1");
    request.response_limit = limit;
    return exchange(client, std::move(request));
}

// A port that nobody listens on.
std::string closed_port_url(const char* scheme = "http") {
    const LoopbackServer server([](Connection&) {});
    return std::string(scheme) + "://127.0.0.1:" + std::to_string(server.port()) + "/v1/x?key=q";
}

TEST(ClientFailure, head_cut_after_the_status_line) {
    const auto response = answered_with("HTTP/1.1 200 OK\r\n");
    EXPECT_EQ(response.transport, Transport::broken);
    EXPECT_TRUE(response.sent);
    EXPECT_EQ(response.error, "the answer's head was cut short");
}

TEST(ClientFailure, head_cut_within_a_header) {
    const auto response = answered_with("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Le");
    EXPECT_EQ(response.transport, Transport::broken);
    EXPECT_TRUE(response.sent);
}

TEST(ClientFailure, head_cut_within_the_status_line) {
    const auto response = answered_with("HTTP/1.1 20");
    EXPECT_EQ(response.transport, Transport::broken);
    EXPECT_TRUE(response.sent);
}

TEST(ClientFailure, only_an_interim_head) {
    const auto response = answered_with("HTTP/1.1 100 Continue\r\n\r\n");
    EXPECT_EQ(response.transport, Transport::broken);
    EXPECT_TRUE(response.sent);
}

TEST(ClientFailure, body_cut) {
    const auto response = answered_with("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"id\":");
    EXPECT_EQ(response.transport, Transport::broken);
    EXPECT_TRUE(response.sent);
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.error, "the answer was cut short");
}

TEST(ClientFailure, chunked_body_cut) {
    const auto response =
        answered_with("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n{\"id\":\r\n");
    EXPECT_EQ(response.transport, Transport::broken);
    EXPECT_TRUE(response.sent);
}

// libcurl cannot know; the verdict finds that the JSON is not whole.
TEST(ClientFailure, length_too_short_looks_complete) {
    const auto response =
        answered_with("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"id\":\"sub_1\"}");
    EXPECT_EQ(response.transport, Transport::complete);
    EXPECT_EQ(response.body, "{\"id\":\"");
}

// What follows a too short answer must not be taken for the answer to the next request.
TEST(ClientFailure, excess_bytes_are_not_the_next_answer) {
    const LoopbackServer server([](Connection& connection) {
        for (auto request = connection.read_request(); !request.empty();
             request = connection.read_request()) {
            connection.write(
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\n"
                "Content-Length: 5\r\n\r\nwrong");
        }
    });
    Client client(1);
    EXPECT_EQ(exchange(client, post(server.url(), "a=1")).body, "{}");
    EXPECT_EQ(exchange(client, post(server.url(), "a=2")).body, "{}");
    EXPECT_EQ(server.connections(), 2);
}

TEST(ClientFailure, closed_without_an_answer) {
    const auto response = answered_with("");
    EXPECT_EQ(response.transport, Transport::broken);
    EXPECT_TRUE(response.sent);
    EXPECT_EQ(response.status, 0);
    EXPECT_EQ(response.error, "the connection was closed without an answer");
}

TEST(ClientFailure, not_http_at_all) {
    const auto response = answered_with("SSH-2.0-OpenSSH_9.2\r\n");
    EXPECT_EQ(response.transport, Transport::broken);
    EXPECT_TRUE(response.sent);
    EXPECT_EQ(response.error, "the answer is not HTTP");
}

TEST(ClientFailure, reset_after_the_request) {
    const LoopbackServer server([](Connection& connection) {
        connection.read_request();
        connection.reset_on_close();
    });
    Client client(4);
    const auto response = exchange(client, post(server.url(), "a=1"));
    EXPECT_EQ(response.transport, Transport::broken);
    EXPECT_TRUE(response.sent);
    EXPECT_NE(response.error.find("reset"), std::string::npos) << response.error;
}

// libcurl sends the request again on a new connection, by itself, a POST too. Unless that is told,
// the answer to the second would be judged as if there had been no first.
class ResetOnReuse : public testing::Test {
  protected:
    std::atomic<int> requests_ = 0;
    LoopbackServer server_{[this](Connection& connection) {
        if (connection.read_request().empty()) {
            return;  // opened, and given up by the client before it sent
        }
        ++requests_;
        connection.answer("{}");
        if (!connection.read_request().empty()) {
            ++requests_;
            connection.reset_on_close();
        }
    }};
    Client client_{1};
};

TEST_F(ResetOnReuse, repetition_is_told) {
    const auto first = exchange(client_, post(server_.url(), "a=1"));
    EXPECT_EQ(first.status, 200);
    EXPECT_FALSE(first.resent);
    const auto second = exchange(client_, post(server_.url(), "a=2"));
    EXPECT_EQ(second.status, 200);
    EXPECT_TRUE(second.resent);
    EXPECT_EQ(requests_, 3);
    const auto third = exchange(client_, get(server_.url()));
    EXPECT_TRUE(third.resent);
}

TEST(ClientFailure, connection_refused_is_not_sent) {
    Client client(4);
    const auto response = exchange(client, post(closed_port_url(), "a=1"));
    EXPECT_EQ(response.transport, Transport::broken);
    EXPECT_FALSE(response.sent);
    EXPECT_EQ(response.status, 0);
    EXPECT_EQ(response.error, "could not connect: Connection refused");
}

TEST(ClientFailure, tls_against_a_plain_port_is_not_sent) {
    const LoopbackServer server([](Connection& connection) {
        connection.write("HTTP/1.1 400 Bad Request\r\n\r\n");
        connection.read_request();
    });
    Client client(4);
    const auto response = exchange(
        client, post("https://127.0.0.1:" + std::to_string(server.port()) + "/v1/x?q=1", "a=1"));
    EXPECT_EQ(response.transport, Transport::broken);
    EXPECT_FALSE(response.sent);
    EXPECT_TRUE(response.error.starts_with("TLS failed")) << response.error;
}

TEST(ClientFailure, tls_handshake_without_end_is_not_sent) {
    const LoopbackServer server([](Connection& connection) { connection.read_request(); });
    Client client(4);
    auto request = post("https://127.0.0.1:" + std::to_string(server.port()) + "/v1/x?q=1", "a=1");
    request.connect_timeout = std::chrono::milliseconds{200};
    const auto response = exchange(client, std::move(request));
    EXPECT_EQ(response.transport, Transport::timed_out);
    EXPECT_FALSE(response.sent);
    EXPECT_EQ(response.error, "timed out connecting or negotiating TLS");
}

TEST(ClientFailure, ca_file_that_is_not_there_is_not_sent) {
    const LoopbackServer server([](Connection& connection) { connection.read_request(); });
    Client client(4);
    auto request = post("https://127.0.0.1:" + std::to_string(server.port()) + "/", "a=1");
    request.ca_file = "/nonexistent/ca.pem";
    const auto response = exchange(client, std::move(request));
    EXPECT_EQ(response.transport, Transport::broken);
    EXPECT_FALSE(response.sent);
}

TEST(ClientFailure, slow_head_times_out_as_sent) {
    const LoopbackServer server([](Connection& connection) {
        connection.read_request();
        connection.write("HTTP/1.1 200 OK\r\nX: ");
        for (int i = 0; i < 200; ++i) {
            std::this_thread::sleep_for(std::chrono::milliseconds{20});
            connection.write("x");
        }
    });
    Client client(4);
    auto request = post(server.url(), "a=1");
    request.total_timeout = std::chrono::milliseconds{150};
    const auto started = SteadyClock::now();
    const auto response = exchange(client, std::move(request));
    EXPECT_LT(SteadyClock::now() - started, std::chrono::seconds{3});
    EXPECT_EQ(response.transport, Transport::timed_out);
    EXPECT_TRUE(response.sent);
    EXPECT_TRUE(response.error.starts_with("timed out ")) << response.error;
}

TEST(ClientFailure, silence_times_out_as_sent) {
    const LoopbackServer server([](Connection& connection) {
        connection.read_request();
        connection.read_request();
    });
    Client client(4);
    auto request = post(server.url(), "a=1");
    request.total_timeout = std::chrono::milliseconds{100};
    const auto response = exchange(client, std::move(request));
    EXPECT_EQ(response.transport, Transport::timed_out);
    EXPECT_TRUE(response.sent);
    EXPECT_EQ(response.status, 0);
    EXPECT_EQ(response.error, "timed out waiting for the answer");
}

TEST(ClientFailure, body_over_the_limit) {
    const auto at_limit =
        answered_with("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789", 10);
    EXPECT_EQ(at_limit.transport, Transport::complete);
    EXPECT_EQ(at_limit.body, "0123456789");
    const auto over = answered_with("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n0123456789a", 10);
    EXPECT_EQ(over.transport, Transport::broken);
    EXPECT_TRUE(over.over_limit);
    EXPECT_TRUE(over.sent);
    EXPECT_EQ(over.error, "the answer is larger than the limit of 10 bytes");
}

TEST(ClientFailure, endless_head) {
    std::string head = "HTTP/1.1 200 OK\r\n";
    for (int i = 0; i < 2'000; ++i) {
        head += "X-Padding: 0123456789012345678901234567890123456789\r\n";
    }
    const auto response = answered_with(head + "\r\n{}");
    EXPECT_EQ(response.transport, Transport::broken);
    EXPECT_TRUE(response.over_limit);
    EXPECT_TRUE(response.sent);
}

TEST(ClientFailure, redirect_is_not_followed) {
    std::atomic<int> requests = 0;
    const LoopbackServer server([&requests](Connection& connection) {
        for (auto request = connection.read_request(); !request.empty();
             request = connection.read_request()) {
            ++requests;
            connection.write(
                "HTTP/1.1 307 Temporary Redirect\r\nLocation: /other?token=x#y\r\n"
                "Content-Length: 0\r\n\r\n");
        }
    });
    Client client(4);
    const auto response = exchange(client, post(server.url(), "a=1"));
    EXPECT_EQ(response.transport, Transport::complete);
    EXPECT_EQ(response.status, 307);
    EXPECT_EQ(response.headers.location, "/other");
    EXPECT_EQ(requests, 1);
}

TEST(ClientFailure, unresolvable_name_is_not_sent) {
    Client client(4);
    auto request = post("http://does-not-exist.invalid/v1/x?secret=1", "a=1");
    request.total_timeout = std::chrono::milliseconds{3'000};
    const auto response = exchange(client, std::move(request));
    EXPECT_NE(response.transport, Transport::complete);
    EXPECT_FALSE(response.sent);
    EXPECT_EQ(response.error.find("secret"), std::string::npos);
}

// The resolver is a thread that may hang for seconds: nobody may wait for it.
TEST(ClientFailure, destruction_does_not_wait_for_the_resolver) {
    const auto started = SteadyClock::now();
    {
        Client client(4);
        for (std::uint64_t i = 0; i < 5; ++i) {
            client.submit(get("http://name-" + std::to_string(i) + ".does-not-exist.invalid/", i));
        }
        client.work();
    }
    EXPECT_LT(SteadyClock::now() - started, std::chrono::seconds{2});
}

TEST(ClientFailure, resolver_threads_take_none_of_our_signals) {
    sigset_t before;
    pthread_sigmask(SIG_SETMASK, nullptr, &before);
    Client client(4);
    client.submit(get("http://masked.does-not-exist.invalid/"));
    client.work();
    sigset_t after;
    pthread_sigmask(SIG_SETMASK, nullptr, &after);
    EXPECT_EQ(sigismember(&before, SIGUSR1), 0);
    EXPECT_EQ(sigismember(&after, SIGUSR1), 0) << "the mask must be as it was";
}

TEST(ClientFailure, other_schemes_and_methods_are_not_sent) {
    Client client(4);
    for (const char* url : {"file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/",
                            "http://user:pw@127.0.0.1/", "", "http://"}) {
        const auto response = exchange(client, get(url));
        EXPECT_EQ(response.transport, Transport::broken) << url;
        EXPECT_FALSE(response.sent) << url;
        EXPECT_FALSE(response.error.empty()) << url;
    }
    auto request = get("http://127.0.0.1/");
    request.method = "TRACE";
    EXPECT_EQ(exchange(client, request).error, "only GET, POST and DELETE can be sent");
}

TEST(ClientFailure, split_headers_and_urls_are_not_sent) {
    const LoopbackServer server([](Connection& connection) { connection.read_request(); });
    Client client(4);
    auto request = get(server.url());
    request.headers = {"X: a\r\nY: b"};
    EXPECT_FALSE(exchange(client, request).sent);
    request.headers = {std::string("X: a\0b", 6)};
    EXPECT_FALSE(exchange(client, request).sent);
    request = get(server.url("/a\r\nHost: evil"));
    EXPECT_FALSE(exchange(client, request).sent);
    EXPECT_EQ(server.connections(), 0);
}

TEST(ClientFailure, environment_chooses_no_proxy) {
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    const auto response = answered_with("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    unsetenv("http_proxy");
    EXPECT_EQ(response.transport, Transport::complete);
}

TEST(ClientFailure, error_leaves_the_handle_fit_for_the_next) {
    const LoopbackServer server([](Connection& connection) {
        while (!connection.read_request().empty()) {
            connection.answer("{}");
        }
    });
    Client client(1);
    const std::string nobody = closed_port_url();
    for (int i = 0; i < 3; ++i) {
        EXPECT_FALSE(exchange(client, post(nobody, "a=1")).sent);
        const auto response = exchange(client, post(server.url(), "a=1"));
        EXPECT_EQ(response.transport, Transport::complete);
        EXPECT_TRUE(response.error.empty());
    }
}

}  // namespace
}  // namespace pg_seats::test
