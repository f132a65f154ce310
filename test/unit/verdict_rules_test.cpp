// What must hold for every answer, whichever row it is, and what is said about it.
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "core/objects.hpp"
#include "core/verdict.hpp"

namespace pg_seats::test {
namespace {

using core::HaltScope;
using core::Judgement;
using core::Question;
using core::Response;
using core::Transport;
using core::Verdict;

core::Answer read(const Response& response, bool expect_stripe = true) {
    core::Answer answer;
    answer.response = response;
    answer.parse(expect_stripe);
    return answer;
}

std::vector<Response> all_responses() {
    constexpr std::array statuses{0,   200, 201, 204, 301, 400, 401, 402, 403, 404, 405, 408,
                                  409, 410, 418, 424, 429, 500, 502, 503, 504, 599, 600, 999};
    constexpr std::array bodies{
        R"({"object":"subscription","livemode":false})",
        R"({"object":"subscription","pending_update":{}})",
        R"({"error":{"type":"card_error","code":"card_declined"}})",
        R"({"error":{"type":"idempotency_error"}})",
        R"({"error":{"type":"invalid_request_error","code":"idempotency_key_in_use"}})",
        R"({"error":{"type":"invalid_request_error","code":"resource_missing","param":"id"}})",
        R"({"error":{"type":"invalid_request_error","code":"parameter_unknown"}})",
        R"({"error":{"type":"api_error"}})",
        R"({"error":{"type":""}})",
        R"({"error":"text"})",
        "[]",
        "<html>",
        "{",
        ""};
    std::vector<Response> answers;
    for (const Transport transport :
         {Transport::complete, Transport::timed_out, Transport::broken}) {
        for (const int status : statuses) {
            for (const char* body : bodies) {
                for (const int flags : {0, 1, 2, 3, 4, 5, 6, 7}) {
                    Response response;
                    response.transport = transport;
                    response.status = status;
                    response.body = body;
                    response.headers.replayed = (flags & 1) != 0;
                    if ((flags & 2) != 0) {
                        response.headers.should_retry = (flags & 4) != 0;
                    }
                    response.sent = transport == Transport::complete || (flags & 4) != 0;
                    answers.push_back(std::move(response));
                }
            }
        }
    }
    return answers;
}

void for_every_question(const std::function<void(const Question&, const Judgement&)>& check) {
    for (const Response& response : all_responses()) {
        for (const int flags : {0, 1, 2, 3, 4, 5, 6, 7}) {
            const core::Answer answer = read(response, (flags & 4) != 0);
            const Question question{.mutation = (flags & 1) != 0,
                                    .doubt_before = (flags & 2) != 0,
                                    .expect_stripe = (flags & 4) != 0,
                                    .livemode = false,
                                    .answer = answer};
            check(question, core::judge(question));
        }
    }
}

std::string told(const Question& question) {
    const Response& r = question.answer.response;
    return "status " + std::to_string(r.status) + " body " + std::string(r.body) + " transport " +
           std::to_string(static_cast<int>(r.transport)) + (r.sent ? " sent" : "") +
           (r.headers.replayed ? " replayed" : "") + (question.doubt_before ? " doubt" : "");
}

TEST(VerdictRules, reads_are_never_in_doubt) {
    for_every_question([](const Question& question, const Judgement& judgement) {
        if (!question.mutation) {
            EXPECT_FALSE(judgement.doubt_after) << told(question);
            EXPECT_FALSE(judgement.needs_read) << told(question);
            EXPECT_NE(judgement.verdict, Verdict::unknown) << told(question);
            EXPECT_NE(judgement.verdict, Verdict::awaiting) << told(question);
        }
    });
}

TEST(VerdictRules, doubt_ends_only_by_proof) {
    for_every_question([](const Question& question, const Judgement& judgement) {
        if (question.mutation && question.doubt_before && !judgement.doubt_after) {
            const Response& r = question.answer.response;
            const bool success = r.status >= 200 && r.status <= 299;
            EXPECT_EQ(r.transport, Transport::complete) << told(question);
            EXPECT_TRUE(success || r.status == 402 || r.headers.replayed) << told(question);
        }
    });
}

TEST(VerdictRules, refusing_leaves_no_doubt) {
    for_every_question([](const Question& question, const Judgement& judgement) {
        if (judgement.verdict == Verdict::refused) {
            EXPECT_FALSE(judgement.doubt_after) << told(question);
            EXPECT_EQ(question.answer.response.transport, Transport::complete) << told(question);
            EXPECT_TRUE(question.answer.response.status >= 400 &&
                        question.answer.response.status <= 499)
                << told(question);
        }
    });
}

TEST(VerdictRules, unknown_is_doubt) {
    for_every_question([](const Question& question, const Judgement& judgement) {
        if (judgement.verdict == Verdict::unknown) {
            EXPECT_TRUE(judgement.doubt_after) << told(question);
        }
    });
}

TEST(VerdictRules, done_needs_an_object_of_stripes) {
    for_every_question([](const Question& question, const Judgement& judgement) {
        const bool done =
            judgement.verdict == Verdict::done || judgement.verdict == Verdict::awaiting;
        if (done && question.expect_stripe) {
            EXPECT_TRUE(core::read_object(question.answer.body).has_value()) << told(question);
        }
    });
}

TEST(VerdictRules, only_halts_have_a_scope_and_every_verdict_a_reason) {
    for_every_question([](const Question& question, const Judgement& judgement) {
        EXPECT_EQ(judgement.verdict == Verdict::halted, judgement.halt_scope != HaltScope::none)
            << told(question);
        EXPECT_FALSE(judgement.reason.empty()) << told(question);
        EXPECT_FALSE(judgement.fingerprint.empty()) << told(question);
    });
}

TEST(VerdictRules, what_was_not_sent_raises_no_doubt) {
    for_every_question([](const Question& question, const Judgement& judgement) {
        if (!question.answer.response.sent) {
            EXPECT_EQ(judgement.verdict, Verdict::again) << told(question);
            EXPECT_EQ(judgement.doubt_after, question.mutation && question.doubt_before)
                << told(question);
        }
    });
}

Judgement judge_error(int status, std::string_view error) {
    Response response;
    response.transport = Transport::complete;
    response.sent = true;
    response.status = status;
    response.body = "{\"error\":" + std::string(error) + "}";
    response.headers.retry_after = std::chrono::seconds{3};
    return core::judge(Question{.answer = read(response)});
}

TEST(VerdictWords, fields_of_the_error) {
    const auto judgement = judge_error(
        402, R"({"type":"card_error","code":"card_declined","decline_code":"generic_decline",
                 "param":"","message":"Your card was declined.","payment_intent":
                 {"client_secret":"pi_1_secret_x"}})");
    EXPECT_EQ(judgement.error_type, "card_error");
    EXPECT_EQ(judgement.error_code, "card_declined");
    EXPECT_EQ(judgement.decline_code, "generic_decline");
    EXPECT_EQ(judgement.message, "Your card was declined.");
    EXPECT_EQ(judgement.fingerprint, "402/card_error/card_declined/");
    EXPECT_EQ(judgement.retry_after, std::chrono::seconds{3});
}

TEST(VerdictDeletion, what_is_gone_after_a_doubtful_try_was_deleted_by_it) {
    Response response;
    response.transport = Transport::complete;
    response.sent = true;
    response.status = 404;
    response.body =
        R"({"error":{"type":"invalid_request_error","code":"resource_missing","param":"id"}})";
    const auto judged = [&response](bool deletion, bool doubt) {
        return core::judge(
            Question{.deletion = deletion, .doubt_before = doubt, .answer = read(response)});
    };
    const auto verdict = [&judged](bool deletion, bool doubt) {
        return judged(deletion, doubt).verdict;
    };
    EXPECT_EQ(verdict(true, true), Verdict::done);
    EXPECT_EQ(judged(true, true).reason, "already_gone");
    EXPECT_EQ(verdict(true, false), Verdict::halted) << "never there: somebody's mistake";
    EXPECT_NE(verdict(false, true), Verdict::done);
}

TEST(VerdictWords, no_secret_and_bounded) {
    const auto judgement =
        judge_error(400, R"({"type":"invalid_request_error","message":"key sk_live_abc\n)" +
                             std::string(2'000, 'x') + R"(","param":"sk_live_def"})");
    EXPECT_TRUE(judgement.message.starts_with("key [removed] xxx"));
    EXPECT_EQ(judgement.message.size(), 500U);
    EXPECT_EQ(judgement.param, "[removed]");
    EXPECT_EQ(judgement.fingerprint.find("sk_live"), std::string::npos);
}

TEST(VerdictWords, fingerprint_is_the_same_in_every_lane) {
    const auto one = judge_error(400, R"({"type":"invalid_request_error","code":"c",
        "param":"items[0][price]","message":"No such price: 'price_1'"})");
    const auto two = judge_error(400, R"({"type":"invalid_request_error","code":"c",
        "param":"items[12][price]","message":"No such price: 'price_2'"})");
    EXPECT_EQ(one.fingerprint, two.fingerprint);
    EXPECT_EQ(one.fingerprint, "400/invalid_request_error/c/items[#][price]");
}

TEST(VerdictWords, no_number_hides_a_secret_in_the_fingerprint) {
    const auto judgement = judge_error(
        400, R"({"type":"invalid_request_error","code":"c","param":"a_secret0_b xsk_li1ve_c"})");
    EXPECT_EQ(judgement.fingerprint, "400/invalid_request_error/c/a_secret#_b xsk_li#ve_c");
}

TEST(VerdictWords, transport_error_is_the_message) {
    Response response;
    response.error = "could not connect: Connection refused";
    const auto judgement = core::judge(Question{.answer = read(response)});
    EXPECT_EQ(judgement.message, "could not connect: Connection refused");
    EXPECT_EQ(judgement.fingerprint, "0///");
}

TEST(VerdictWords, names) {
    EXPECT_EQ(core::to_string(Verdict::done), "done");
    EXPECT_EQ(core::to_string(Verdict::awaiting), "awaiting");
    EXPECT_EQ(core::to_string(Verdict::refused), "refused");
    EXPECT_EQ(core::to_string(Verdict::again), "again");
    EXPECT_EQ(core::to_string(Verdict::unknown), "unknown");
    EXPECT_EQ(core::to_string(Verdict::halted), "halted");
}

}  // namespace
}  // namespace pg_seats::test
