#include "core/receiver.hpp"

#include <gtest/gtest.h>

namespace pg_seats::core {
namespace {

TEST(SentryTarget, is_taken_from_the_dsn) {
    const auto target =
        sentry_target("https://0abc@o1.ingest.sentry.io/42", "https://o1.ingest.sentry.io");
    ASSERT_TRUE(target);
    EXPECT_EQ(target->url, "https://o1.ingest.sentry.io/api/42/envelope/");
    EXPECT_EQ(target->key, "0abc");
}

TEST(SentryTarget, may_lie_below_a_prefix_and_have_a_port) {
    const auto target =
        sentry_target("http://key@127.0.0.1:9000/sentry/prefix/7", "http://127.0.0.1:9000");
    ASSERT_TRUE(target);
    EXPECT_EQ(target->url, "http://127.0.0.1:9000/sentry/prefix/api/7/envelope/");
}

TEST(SentryTarget, does_without_the_old_secret_key) {
    const auto target =
        sentry_target("https://public:secret@sentry.example/7", "https://sentry.example");
    ASSERT_TRUE(target);
    EXPECT_EQ(target->key, "public");
}

TEST(SentryTarget, refuses_what_does_not_fit) {
    constexpr std::string_view origin = "https://sentry.example";
    for (const std::string_view dsn :
         {"", "key", "https://sentry.example/7", "https://@sentry.example/7",
          "https://key@sentry.example", "https://key@sentry.example/",
          "https://key@other.example/7", "https://key@sentry.example.evil/7",
          "http://key@sentry.example/7", "https://key@sentry.example:444/7",
          "https://k y@sentry.example/7", "https://key@sentry.example/7?x=1",
          "https://key@sentry.example/a b", "https://key@sentry.example@evil/7",
          "key@https://sentry.example/7"}) {
        EXPECT_FALSE(sentry_target(dsn, origin)) << dsn;
    }
}

TEST(UrlOf, lies_below_its_origin) {
    constexpr std::string_view origin = "https://hooks.slack.com";
    EXPECT_TRUE(is_url_of("https://hooks.slack.com/services/T0/B0/abc", origin));
    EXPECT_TRUE(is_url_of("https://hooks.slack.com/x?thread=1", origin));
    for (const std::string_view url :
         {"", "https://hooks.slack.com", "https://hooks.slack.com.evil/x",
          "https://hooks.slack.com@evil/x", "http://hooks.slack.com/x",
          "https://hooks.slack.com/a b", "https://hooks.slack.com/a\nb",
          "https://hooks.slack.com/a#b"}) {
        EXPECT_FALSE(is_url_of(url, origin)) << url;
    }
    EXPECT_FALSE(is_url_of("/x", ""));
    EXPECT_FALSE(is_url_of("https://hooks.slack.com/" + std::string(1'000, 'x'), origin));
}

}  // namespace
}  // namespace pg_seats::core
