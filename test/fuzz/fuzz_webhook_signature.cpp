// Any header over any bytes: ok is said only of what was signed. Base64 both ways.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "core/base64.hpp"
#include "core/webhook_signature.hpp"

using namespace pg_seats::core;

namespace {

constexpr std::int64_t now = 1'700'000'000;
const std::vector<std::string> secrets{"", "whsec_a", "whsec_b"};

void check(bool holds) {
    if (!holds) {
        std::abort();
    }
}

// No HMAC: the code under test does not care, but it does not ask for an empty key.
Digest mix(std::string_view key, std::string_view message) {
    check(!key.empty());
    std::uint64_t hash = 1469598103934665603U;
    Digest digest{};
    for (const std::string_view text : {key, std::string_view("|"), message}) {
        for (const char c : text) {
            hash = (hash ^ static_cast<std::uint8_t>(c)) * 1099511628211U;
        }
    }
    for (std::uint8_t& byte : digest) {
        hash = (hash ^ (hash >> 29U)) * 1099511628211U;
        byte = static_cast<std::uint8_t>(hash >> 56U);
    }
    return digest;
}

std::string hex(const Digest& digest) {
    std::string text;
    for (const std::uint8_t byte : digest) {
        text.push_back("0123456789abcdef"[byte >> 4U]);
        text.push_back("0123456789abcdef"[byte & 15U]);
    }
    return text;
}

void check_base64(std::string_view text) {
    check(base64_decode(base64_encode(text)) == text);
    if (const auto bytes = base64_decode(text)) {
        check(base64_encode(*bytes) == text);
    }
}

}  // namespace

// A line that is the header, then the body.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const std::size_t end = text.find('\n');
    const std::string header(text.substr(0, end));
    const std::string_view body = end == std::string_view::npos ? text : text.substr(end + 1);

    const SignatureOutcome outcome = check_stripe_signature(header, body, secrets, now, mix);
    check(outcome != SignatureOutcome::no_secret);
    if (outcome == SignatureOutcome::ok) {
        const std::size_t t = header.rfind("t=");
        check(t != std::string::npos);
        const std::string time = header.substr(t + 2, header.find(',', t) - t - 2);
        const std::string message = time + "." + std::string(body);
        check(header.find("v1=" + hex(mix("whsec_a", message))) != std::string::npos ||
              header.find("v1=" + hex(mix("whsec_b", message))) != std::string::npos);
    }
    check(check_stripe_signature(header, body, {}, now, mix) == SignatureOutcome::no_secret);

    const std::string time = std::to_string(now - signature_tolerance);
    const std::string signature = hex(mix("whsec_b", time + "." + std::string(body)));
    const std::string signed_header = "t=" + time + ",v1=" + signature;
    check(check_stripe_signature(signed_header, body, secrets, now, mix) == SignatureOutcome::ok);
    check(check_stripe_signature(signed_header, body, secrets, now + 1, mix) ==
          SignatureOutcome::too_old);
    check(check_stripe_signature(signed_header, std::string(body) + "x", secrets, now, mix) ==
          SignatureOutcome::mismatch);

    check_base64(text);
    check_base64(header);
    check(sign_standard_webhook("whsec_" + base64_encode(text), "msg_1", now, body, mix)
              .has_value() == (size >= 24 && size <= 64));
    (void)sign_standard_webhook(header, "msg_1", now, body, mix);
    (void)sign_standard_webhook("whsec_" + std::string(32, 'A'), header, now, body, mix);
    return 0;
}
