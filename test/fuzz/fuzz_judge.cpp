// Any answer whatever: judge() must not crash, and the rules that keep money safe must hold.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/safe_text.hpp"
#include "core/verdict.hpp"
#include "http/headers.hpp"

using namespace pg_seats;

namespace {

void check(bool holds) {
    if (!holds) {
        std::abort();
    }
}

}  // namespace

// First two bytes: the question. Then lines of a head up to an empty line, then the body.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 4) {
        return 0;
    }
    const unsigned flags = data[0];
    const auto kind = static_cast<core::Transport>(data[1] % 3);
    std::string_view rest(reinterpret_cast<const char*>(data) + 4, size - 4);

    core::Answer answer;
    core::Response& response = answer.response;
    response.transport = kind;
    response.sent = kind == core::Transport::complete || (flags & 1U) != 0;
    response.status = (data[2] * 256 + data[3]) % 700;
    response.over_limit = (flags & 32U) != 0;
    http::HeadReader head;
    while (!head.complete() && !rest.empty()) {
        const std::size_t end = rest.find('\n');
        const std::string_view line =
            rest.substr(0, end == std::string_view::npos ? rest.size() : end + 1);
        if (!head.take(line, response.headers)) {
            break;
        }
        rest.remove_prefix(line.size());
    }
    response.body = rest;
    answer.parse((flags & 8U) != 0);

    const core::Question question{.mutation = (flags & 2U) != 0,
                                  .doubt_before = (flags & 4U) != 0,
                                  .expect_stripe = (flags & 8U) != 0,
                                  .livemode = (flags & 16U) != 0,
                                  .answer = answer};
    const core::Judgement judgement = core::judge(question);

    check(!judgement.reason.empty());
    check((judgement.verdict == core::Verdict::halted) ==
          (judgement.halt_scope != core::HaltScope::none));
    check(question.mutation || !judgement.doubt_after);
    check(judgement.verdict != core::Verdict::unknown || judgement.doubt_after);
    check(judgement.verdict != core::Verdict::refused || !judgement.doubt_after);
    if (question.mutation && question.doubt_before && !judgement.doubt_after) {
        check(kind == core::Transport::complete);
        check((response.status >= 200 && response.status <= 299) || response.status == 402 ||
              response.headers.replayed);
    }
    for (const std::string_view text :
         {std::string_view(judgement.message), std::string_view(judgement.error_type),
          std::string_view(judgement.error_code), std::string_view(judgement.decline_code),
          std::string_view(judgement.param), std::string_view(judgement.fingerprint)}) {
        check(core::is_valid_utf8(text));
        check(text.size() <= 500);
        check(text.find("sk_live_") == std::string_view::npos);
        check(text.find("_secret_") == std::string_view::npos);
        check(text.find('\n') == std::string_view::npos);
    }
    return 0;
}
