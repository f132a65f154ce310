// What a transfer keeps after its exchange.
#include "http/transfer.hpp"

#include <gtest/gtest.h>

#include "client_runner.hpp"

namespace pg_seats::test {
namespace {

TEST(Transfer, a_spare_one_has_no_key) {
    http::SocketSet sockets;
    http::Transfer transfer(sockets);
    auto request = get("http://127.0.0.1:1/v1/account");
    request.headers.emplace_back("Authorization: Bearer sk_test_long_enough_to_be_on_the_heap");
    const std::string_view where = request.headers.front();  // it is moved, and stays where it is
    ASSERT_TRUE(transfer.prepare(std::move(request), std::chrono::steady_clock::now()));
    ASSERT_NE(where.find("sk_test"), std::string_view::npos);
    static_cast<void>(transfer.finish(CURLE_COULDNT_CONNECT));
    EXPECT_EQ(where.find("sk_test"), std::string_view::npos);
}

}  // namespace
}  // namespace pg_seats::test
