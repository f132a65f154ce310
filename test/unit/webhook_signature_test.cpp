#include "core/webhook_signature.hpp"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <limits>
#include <utility>
#include <vector>

#include "core/base64.hpp"

namespace pg_seats::test {
namespace {

using core::SignatureOutcome;

std::optional<core::Digest> openssl_hmac(std::string_view key, std::string_view message) {
    core::Digest digest{};
    const unsigned char* const done = HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
                                           reinterpret_cast<const unsigned char*>(message.data()),
                                           message.size(), digest.data(), nullptr);
    return done == nullptr ? std::nullopt : std::optional(digest);
}

constexpr std::int64_t then = 1'700'000'000;
constexpr const char* secret = "whsec_test_secret_0123456789abcdef";
constexpr const char* body = R"({"id":"evt_1","object":"event"})";
const std::string v1 = "v1=f81891d9c5115555d9b4ca09689b89904fff5e78642936b988072bdd96c49bb0";
const std::string other = "v1=" + std::string(64, '0');
const std::string good = "t=1700000000," + v1;

SignatureOutcome check(std::string_view header, std::string_view bytes = body,
                       const std::vector<std::string>& secrets = {secret},
                       std::int64_t now = then) {
    return core::check_stripe_signature(header, bytes, secrets, now, openssl_hmac);
}

TEST(StripeSignature, the_vectors_of_stripes_own_library) {
    EXPECT_EQ(check(good), SignatureOutcome::ok);
    EXPECT_EQ(check("t=1700000000,"
                    "v1=bac0e64ee5dcc35a41c7d251e277868c4487ee5df51792feac0724e552dba85c",
                    "{\n  \"id\": \"evt_2\",\n  \"object\": \"event\",\n  \"name\": \"Zoë – "
                    "日本\"\n}"),
              SignatureOutcome::ok);
}

TEST(StripeSignature, any_other_byte_or_secret_is_a_mismatch) {
    EXPECT_EQ(check(good, R"({"id": "evt_1","object":"event"})"), SignatureOutcome::mismatch);
    EXPECT_EQ(check(good, ""), SignatureOutcome::mismatch);
    EXPECT_EQ(check(good, std::string(body) + "\n"), SignatureOutcome::mismatch);
    EXPECT_EQ(check(good, body, {std::string(secret) + "\n"}), SignatureOutcome::mismatch);
    EXPECT_EQ(check(good, body, {"test_secret_0123456789abcdef"}), SignatureOutcome::mismatch);
    EXPECT_EQ(check("t=1700000001," + v1), SignatureOutcome::mismatch);
    EXPECT_EQ(check("t=01700000000," + v1), SignatureOutcome::mismatch);
    EXPECT_EQ(check("t=1700000000," + other), SignatureOutcome::mismatch);
}

TEST(StripeSignature, any_secret_and_any_signature_may_be_the_one) {
    EXPECT_EQ(check(good, body, {"whsec_old", secret}), SignatureOutcome::ok);
    EXPECT_EQ(check(good, body, {secret, "", "whsec_new"}), SignatureOutcome::ok);
    EXPECT_EQ(check("t=1700000000," + other + "," + v1), SignatureOutcome::ok);
    EXPECT_EQ(check("t=1700000000," + v1 + "," + other), SignatureOutcome::ok);
    EXPECT_EQ(check(v1 + ",t=1700000000"), SignatureOutcome::ok);
    EXPECT_EQ(check("t=1700000000,v0=ab,x," + v1 + ","), SignatureOutcome::ok);
}

TEST(StripeSignature, of_several_times_the_last_counts) {
    EXPECT_EQ(check("t=5," + good), SignatureOutcome::ok);
    EXPECT_EQ(check(good + ",t=5"), SignatureOutcome::mismatch);
    EXPECT_EQ(check(good + ",t="), SignatureOutcome::malformed);
}

TEST(StripeSignature, malformed) {
    const std::string hex = v1.substr(3);
    std::string upper = v1;
    upper[3] = 'F';
    for (const std::string& header :
         {std::string(), std::string(","), std::string("t=1700000000"), v1, "t=," + v1,
          "t=-1," + v1, "t=+1700000000," + v1, "t=1700000000x," + v1, "t= 1700000000," + v1,
          "t=99999999999999999999," + v1, "t=1700000000,v0=" + hex, "t=1700000000, " + v1,
          "t=1700000000," + upper, good + "\n", good + "0", "t=1700000000,v1=" + hex.substr(1),
          std::string("t=1700000000,v1="), "T=1700000000," + v1, "t=1700000000;" + v1}) {
        EXPECT_EQ(check(header), SignatureOutcome::malformed) << header;
    }
}

TEST(StripeSignature, a_blank_secret_verifies_nothing) {
    // What anybody can compute.
    const auto forged = openssl_hmac("", "1700000000.{}");
    ASSERT_TRUE(forged.has_value());
    std::string header = "t=1700000000,v1=";
    for (const std::uint8_t byte : *forged) {
        header.push_back("0123456789abcdef"[byte >> 4U]);
        header.push_back("0123456789abcdef"[byte & 15U]);
    }
    EXPECT_EQ(check(header, "{}", {}), SignatureOutcome::no_secret);
    EXPECT_EQ(check(header, "{}", {""}), SignatureOutcome::no_secret);
    EXPECT_EQ(check(header, "{}", {" \t\r\n", ""}), SignatureOutcome::no_secret);
    EXPECT_EQ(check(header, "{}", {"", secret}), SignatureOutcome::mismatch);
}

TEST(StripeSignature, tolerance_either_way) {
    const auto at = [](std::int64_t now) { return check(good, body, {secret}, now); };
    EXPECT_EQ(at(then + 300), SignatureOutcome::ok);
    EXPECT_EQ(at(then + 301), SignatureOutcome::too_old);
    EXPECT_EQ(at(then - 300), SignatureOutcome::ok);
    EXPECT_EQ(at(then - 301), SignatureOutcome::too_new);
    EXPECT_EQ(at(std::numeric_limits<std::int64_t>::max()), SignatureOutcome::too_old);
    EXPECT_EQ(at(std::numeric_limits<std::int64_t>::min()), SignatureOutcome::too_new);
    // Who has no secret is not told about clocks.
    EXPECT_EQ(check("t=1," + v1), SignatureOutcome::mismatch);
}

TEST(StripeSignature, twenty_one_signatures_are_as_good_as_one) {
    std::string header = "t=1700000000";
    for (int i = 0; i < 20; ++i) {
        header += "," + other;
    }
    EXPECT_EQ(check(header), SignatureOutcome::mismatch);
    EXPECT_EQ(check(header + "," + v1), SignatureOutcome::ok);
}

TEST(StripeSignature, an_hmac_that_fails_verifies_nothing) {
    const std::vector<std::string> secrets{secret};
    EXPECT_EQ(core::check_stripe_signature(
                  good, body, secrets, then,
                  [](std::string_view, std::string_view) { return std::optional<core::Digest>(); }),
              SignatureOutcome::mismatch);
}

// The vector of the Standard Webhooks libraries.
constexpr const char* our_secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
constexpr const char* message_id = "msg_p5jXN8AQM9LWM0D4loKWxJek";

std::optional<std::string> sign(std::string_view with, std::string_view id = message_id,
                                std::int64_t time = 1'614'265'330) {
    return core::sign_standard_webhook(with, id, time, R"({"test": 2432232314})", openssl_hmac);
}

TEST(StandardWebhook, the_vector_of_its_libraries) {
    EXPECT_EQ(sign(our_secret), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

TEST(StandardWebhook, keys_are_of_24_to_64_bytes) {
    const auto of_bytes = [](std::size_t size) {
        return "whsec_" + core::base64_encode(std::string(size, 'k'));
    };
    EXPECT_TRUE(sign(of_bytes(24)).has_value());
    EXPECT_TRUE(sign(of_bytes(64)).has_value());
    for (const std::string& bad :
         {of_bytes(0), of_bytes(23), of_bytes(65), std::string(), std::string(our_secret).substr(6),
          std::string(our_secret) + "\n", std::string(our_secret) + "=",
          std::string("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS_")}) {
        EXPECT_FALSE(sign(bad).has_value()) << bad;
    }
}

TEST(StandardWebhook, what_is_signed_can_be_taken_apart) {
    for (const char* id : {"", "a.b", "a\r\nb", "é"}) {
        EXPECT_FALSE(sign(our_secret, id).has_value()) << id;
    }
    EXPECT_FALSE(sign(our_secret, message_id, -1).has_value());
}

TEST(Base64, by_rfc_4648) {
    const std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                           {"f", "Zg=="},
                                                           {"fo", "Zm8="},
                                                           {"foo", "Zm9v"},
                                                           {"foob", "Zm9vYg=="},
                                                           {"fooba", "Zm9vYmE="},
                                                           {"foobar", "Zm9vYmFy"}};
    for (const auto& [bytes, text] : vectors) {
        EXPECT_EQ(core::base64_encode(bytes), text);
        EXPECT_EQ(core::base64_decode(text), bytes);
    }
    EXPECT_EQ(core::base64_encode("\xfb\xff\xbf"), "+/+/");
    EXPECT_EQ(core::base64_decode("AAAA"), std::string(3, '\0'));
}

TEST(Base64, is_strict) {
    for (const char* text : {"Z", "Zg", "Zg=", "Zg===", "====", "=", "Zm9v=", "Zg==Zg==", "Zm9v\n",
                             " Zm9v", "Zm-_", "Zh==", "Zm9=", "A===", "AA=A", "Zm\xc3\xa9"}) {
        EXPECT_FALSE(core::base64_decode(text).has_value()) << text;
    }
}

}  // namespace
}  // namespace pg_seats::test
