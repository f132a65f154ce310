#include <gtest/gtest.h>

#include <string>

#include "core/form.hpp"

namespace pg_seats::test {
namespace {

bool refused(std::string_view url) {
    try {
        static_cast<void>(core::checked_base_url(url));
    } catch (const core::InvalidInput& invalid) {
        EXPECT_FALSE(invalid.hint.empty());
        return true;
    }
    return false;
}

TEST(BaseUrl, is_allowed_and_made_uniform) {
    EXPECT_EQ(core::checked_base_url("https://api.stripe.com"), "https://api.stripe.com");
    EXPECT_EQ(core::checked_base_url("https://api.stripe.com/"), "https://api.stripe.com");
    EXPECT_EQ(core::checked_base_url("HTTPS://API.Stripe.com:443"), "https://api.stripe.com:443");
    EXPECT_EQ(core::checked_base_url("https://hooks.example/services/T1/B2/"),
              "https://hooks.example/services/T1/B2");
    EXPECT_EQ(core::checked_base_url("https://[2001:DB8::1]:8443"), "https://[2001:db8::1]:8443");
    EXPECT_EQ(core::checked_base_url("https://10.0.0.1"), "https://10.0.0.1");
    EXPECT_EQ(core::checked_base_url("https://stripe_mock/x"), "https://stripe_mock/x");
}

TEST(BaseUrl, plain_http_reaches_this_machine_only) {
    for (const char* url : {"http://127.0.0.1:12111", "http://127.255.255.254", "http://[::1]:80",
                            "http://localhost:8080/x", "http://LocalHost"}) {
        EXPECT_FALSE(refused(url)) << url;
    }
    for (const char* url :
         {"http://api.stripe.com", "http://10.0.0.1", "http://127.0.0.1.evil.example",
          "http://localhost.evil.example", "http://0.0.0.0", "http://127.1", "http://2130706433",
          "http://0177.0.0.1", "http://127.0.0.01", "http://127.0.0", "http://127.0.0.0.1",
          "http://127.0.0.256", "http://[::ffff:127.0.0.1]", "http://[::]", "http://128.0.0.1",
          "http://127.0.0.-1", "http://127..0.1", "http://"}) {
        EXPECT_TRUE(refused(url)) << url;
    }
}

TEST(BaseUrl, nothing_but_host_port_and_prefix) {
    for (const std::string& url : {std::string(),
                                   std::string("api.stripe.com"),
                                   std::string("ftp://a"),
                                   std::string("https:/a"),
                                   std::string("https://"),
                                   std::string("https:///a"),
                                   std::string("https://user@a"),
                                   std::string("https://user:pw@a"),
                                   std::string("https://a@b/"),
                                   std::string("https://a?b"),
                                   std::string("https://a#b"),
                                   std::string("https://a/b?c"),
                                   std::string("https://a//"),
                                   std::string("https://a/../b"),
                                   std::string("https://a:"),
                                   std::string("https://a:0"),
                                   std::string("https://a:65536"),
                                   std::string("https://a:+1"),
                                   std::string("https://a:1x"),
                                   std::string("https://a b"),
                                   std::string("https://a\\b"),
                                   std::string("https://a\r\nb"),
                                   std::string("https://-a"),
                                   std::string("https://a..b"),
                                   std::string("https://.a"),
                                   std::string("https://a."),
                                   std::string("https://a%2eb"),
                                   std::string("https://[::1"),
                                   std::string("https://::1"),
                                   std::string("https://[g::1]"),
                                   std::string("https://[]"),
                                   std::string("https://é"),
                                   std::string("https://a/%2e"),
                                   std::string("file:///etc/passwd"),
                                   "https://" + std::string(600, 'a')}) {
        EXPECT_TRUE(refused(url)) << url;
    }
}

}  // namespace
}  // namespace pg_seats::test
