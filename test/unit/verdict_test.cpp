// One named test for each row of docs/verdicts.md.
#include "core/verdict.hpp"

#include <gtest/gtest.h>

#include <string>

namespace pg_seats::test {
namespace {

using core::HaltScope;
using core::Judgement;
using core::Transport;
using core::Verdict;

constexpr Verdict done = Verdict::done;
constexpr Verdict awaiting = Verdict::awaiting;
constexpr Verdict refused = Verdict::refused;
constexpr Verdict again = Verdict::again;
constexpr Verdict unknown = Verdict::unknown;
constexpr Verdict halted = Verdict::halted;

// How the answer came.
struct Came {
    int status = 200;
    std::string_view body{};
    bool replayed = false;
    std::optional<bool> should_retry{};
    bool echoed = false;  // Idempotency-Key in the answer
    std::string_view request_id{};
    std::string_view content_type{};
    Transport transport = Transport::complete;
    bool sent = true;
    bool over_limit = false;
    bool resent = false;
};

struct Expected {
    Verdict verdict = unknown;
    std::string_view reason{};
    bool doubt = false;
    HaltScope scope = HaltScope::none;
    bool final = false;
    bool read = false;
    bool card = false;
    bool slow = false;
    bool breaker = false;
};

struct Row {
    const char* name;
    Came came;
    Expected expected;
    bool doubt_before = false;
    bool mutation = true;
    bool expect_stripe = true;
    std::optional<bool> livemode{};
};

void PrintTo(const Row& row, std::ostream* out) {
    *out << row.name;
}

core::Answer answer_of(const Came& came, bool expect_stripe) {
    core::Answer answer;
    core::Response& response = answer.response;
    response.transport = came.transport;
    response.sent = came.sent;
    response.over_limit = came.over_limit;
    response.resent = came.resent;
    response.status = came.transport == Transport::complete || came.sent ? came.status : 0;
    // The literals below are broken into lines for their readers; JSON's texts may not be.
    for (const char c : came.body) {
        response.body.push_back(c == '\n' ? ' ' : c);
    }
    response.headers.replayed = came.replayed;
    response.headers.should_retry = came.should_retry;
    response.headers.idempotency_key = came.echoed ? "key" : "";
    response.headers.request_id = came.request_id;
    response.headers.content_type = came.content_type;
    answer.parse(expect_stripe);
    return answer;
}

Judgement judged(const Row& row) {
    const core::Answer answer = answer_of(row.came, row.expect_stripe);
    return core::judge(core::Question{.mutation = row.mutation,
                                      .doubt_before = row.doubt_before,
                                      .expect_stripe = row.expect_stripe,
                                      .livemode = row.livemode,
                                      .answer = answer});
}

class Verdicts : public testing::TestWithParam<Row> {};

TEST_P(Verdicts, row) {
    const Row& row = GetParam();
    const Judgement judgement = judged(row);
    EXPECT_EQ(core::to_string(judgement.verdict), core::to_string(row.expected.verdict));
    EXPECT_EQ(judgement.reason, row.expected.reason);
    EXPECT_EQ(judgement.doubt_after, row.expected.doubt) << "doubt";
    EXPECT_EQ(judgement.halt_scope, row.expected.scope) << "halt scope";
    EXPECT_EQ(judgement.key_is_final, row.expected.final) << "key is final";
    EXPECT_EQ(judgement.needs_read, row.expected.read) << "needs read";
    EXPECT_EQ(judgement.is_card_refusal, row.expected.card) << "card";
    EXPECT_EQ(judgement.slow_down, row.expected.slow) << "slow down";
    EXPECT_EQ(judgement.counts_for_breaker, row.expected.breaker) << "breaker";
}

constexpr auto name_of = [](const auto& parameter) { return std::string(parameter.param.name); };

constexpr HaltScope to_call = HaltScope::call;
constexpr HaltScope to_destination = HaltScope::destination;

constexpr std::string_view subscription =
    R"({"id":"sub_1","object":"subscription","livemode":false,"pending_update":null})";
constexpr std::string_view pending =
    R"({"id":"sub_1","object":"subscription","pending_update":{"expires_at":1}})";
constexpr std::string_view html = "<!DOCTYPE html><title>Log in to the guest network</title>";

// Bodies of errors, as they were recorded or reported.
constexpr std::string_view declined =
    R"({"error":{"type":"card_error","code":"card_declined","decline_code":"insufficient_funds",
        "message":"Your card was declined."}})";
constexpr std::string_view needs_action =
    R"({"error":{"type":"card_error","code":"subscription_payment_intent_requires_action",
        "message":"Payment for this subscription requires additional user action"}})";
constexpr std::string_view in_use =
    R"({"error":{"type":"invalid_request_error","code":"idempotency_key_in_use","message":
        "There is currently another in-progress request using this Idempotent Key"}})";
constexpr std::string_view mismatch =
    R"({"error":{"type":"idempotency_error","message":"Keys for idempotent requests can only be
        used with the same parameters they were first used with."}})";
constexpr std::string_view lock_timeout =
    R"({"error":{"type":"invalid_request_error","code":"lock_timeout","message":"..."}})";
constexpr std::string_view rate_limit =
    R"({"error":{"type":"invalid_request_error","code":"rate_limit","message":"..."}})";
constexpr std::string_view no_price =
    R"({"error":{"type":"invalid_request_error","code":"resource_missing",
        "param":"items[0][price]","message":"No such price: 'price_x'"}})";
constexpr std::string_view no_subscription =
    R"({"error":{"type":"invalid_request_error","code":"resource_missing","param":"id",
        "message":"No such subscription: 'sub_1'"}})";
constexpr std::string_view wrong_mode =
    R"({"error":{"type":"invalid_request_error","code":"resource_missing","param":"id","message":
        "No such subscription: 'sub_1'; a similar object exists in live mode, but a test mode key was used to make this request."}})";
constexpr std::string_view wrong_account =
    R"({"error":{"type":"invalid_request_error","code":"resource_missing","param":"id","message":
        "No such subscription: 'sub_1'; this object exists on one of your connected accounts."}})";
constexpr std::string_view no_method =
    R"({"error":{"type":"invalid_request_error","code":"resource_missing","message":
        "This customer has no attached payment source or default payment method."}})";
constexpr std::string_view unknown_parameter =
    R"({"error":{"type":"invalid_request_error","code":"parameter_unknown","param":"foo",
        "message":"Received unknown parameter: foo"}})";
constexpr std::string_view no_code_unknown_parameter =
    R"({"error":{"type":"invalid_request_error","message":"Received unknown parameters: foo"}})";
constexpr std::string_view not_supported =
    R"({"error":{"type":"invalid_request_error","message":"When `payment_behavior` is set to
        `pending_if_incomplete`, you can only pass supported params. `metadata` is not supported."}})";
constexpr std::string_view bad_version =
    R"({"error":{"type":"invalid_request_error","message":"Invalid Stripe API version: 2099"}})";
constexpr std::string_view api_error =
    R"({"error":{"type":"api_error","message":"An unknown error occurred"}})";
constexpr std::string_view invalid_integer =
    R"({"error":{"type":"invalid_request_error","code":"parameter_invalid_integer",
        "param":"items[3][quantity]","message":"Invalid integer: x"}})";
constexpr std::string_view no_permission =
    R"({"error":{"type":"invalid_request_error","message":"The provided key does not have the required permissions"}})";
constexpr std::string_view bad_key =
    R"({"error":{"type":"invalid_request_error","message":"Invalid API Key provided: sk_test_****abcd"}})";

// ---------------------------------------------------------------------------- transport

INSTANTIATE_TEST_SUITE_P(
    Transport, Verdicts,
    testing::Values(
        Row{"not_sent",
            {.transport = Transport::broken, .sent = false},
            {.verdict = again, .reason = "not_sent", .breaker = true}},
        Row{"not_sent_timed_out",
            {.transport = Transport::timed_out, .sent = false},
            {.verdict = again, .reason = "not_sent", .breaker = true}},
        Row{"not_sent_after_doubt",
            {.transport = Transport::broken, .sent = false},
            {.verdict = again, .reason = "not_sent", .doubt = true, .breaker = true},
            true},
        Row{"timed_out",
            {.status = 0, .transport = Transport::timed_out},
            {.verdict = unknown, .reason = "timed_out", .doubt = true, .breaker = true}},
        Row{"reset",
            {.status = 0, .transport = Transport::broken},
            {.verdict = unknown, .reason = "connection_broken", .doubt = true, .breaker = true}},
        Row{"cut_200",
            {.body = "{\"id\":", .transport = Transport::broken},
            {.verdict = unknown, .reason = "connection_broken", .doubt = true, .breaker = true}},
        Row{"cut_402",
            {.status = 402, .body = declined, .transport = Transport::broken},
            {.verdict = unknown, .reason = "connection_broken", .doubt = true, .breaker = true}},
        Row{"too_large",
            {.transport = Transport::broken, .over_limit = true},
            {.verdict = unknown, .reason = "answer_too_large", .doubt = true}},
        Row{"no_status",
            {.status = 0},
            {.verdict = unknown, .reason = "connection_broken", .doubt = true}}),
    name_of);

// ---------------------------------------------------------------------------- 2xx and 3xx

INSTANTIATE_TEST_SUITE_P(
    Success, Verdicts,
    testing::Values(
        Row{"done", {.body = subscription}, {.verdict = done, .reason = "done", .final = true}},
        Row{"done_ends_doubt",
            {.body = subscription},
            {.verdict = done, .reason = "done", .final = true},
            true},
        Row{"done_replayed",
            {.body = subscription, .replayed = true},
            {.verdict = done, .reason = "done", .final = true},
            true},
        Row{"done_should_retry_is_no_matter",
            {.body = subscription, .should_retry = true},
            {.verdict = done, .reason = "done", .final = true}},
        Row{"awaiting",
            {.body = pending},
            {.verdict = awaiting, .reason = "pending_update", .final = true}},
        Row{"awaiting_ends_doubt",
            {.body = pending},
            {.verdict = awaiting, .reason = "pending_update", .final = true},
            true},
        Row{"right_mode",
            {.body = subscription},
            {.verdict = done, .reason = "done", .final = true},
            false,
            true,
            true,
            false},
        Row{"wrong_mode",
            {.body = subscription},
            {.verdict = halted, .reason = "mode_mismatch", .doubt = true, .scope = to_destination},
            false,
            true,
            true,
            true},
        Row{"empty_body",
            {.body = ""},
            {.verdict = unknown, .reason = "empty_answer", .doubt = true}},
        Row{"no_content",
            {.status = 204, .body = ""},
            {.verdict = unknown, .reason = "empty_answer", .doubt = true}},
        Row{"cut_json",
            {.body = R"({"id":"sub_1","obj)"},
            {.verdict = unknown, .reason = "answer_cut", .doubt = true}},
        Row{"json_with_rest",
            {.body = R"({"object":"a"} x)"},
            {.verdict = unknown, .reason = "answer_cut", .doubt = true}},
        Row{"json_without_object",
            {.body = R"({"ok":true})"},
            {.verdict = unknown, .reason = "answer_cut", .doubt = true}},
        Row{"json_number_beyond_64_bits",
            {.body = R"({"object":"a","n":99999999999999999999})"},
            {.verdict = unknown, .reason = "answer_cut", .doubt = true}},
        Row{"error_with_200",
            {.body = declined},
            {.verdict = unknown, .reason = "answer_cut", .doubt = true}},
        Row{"page_with_a_trace_of_stripe",
            {.body = html, .request_id = "req_1"},
            {.verdict = unknown, .reason = "answer_cut", .doubt = true}},
        Row{"page_without",
            {.body = html, .content_type = "text/html"},
            {.verdict = halted, .reason = "not_stripe", .doubt = true, .scope = to_destination}},
        Row{"redirect",
            {.status = 302, .body = html},
            {.verdict = halted, .reason = "redirect", .scope = to_destination}},
        Row{"redirect_after_doubt",
            {.status = 307, .body = ""},
            {.verdict = halted, .reason = "redirect", .doubt = true, .scope = to_destination},
            true}),
    name_of);

// ---------------------------------------------------------------------------- refused

INSTANTIATE_TEST_SUITE_P(
    Refused, Verdicts,
    testing::Values(
        Row{"card_declined",
            {.status = 402, .body = declined, .should_retry = false},
            {.verdict = refused, .reason = "payment_failed", .final = true, .card = true}},
        Row{"card_declined_after_doubt",
            {.status = 402, .body = declined},
            {.verdict = refused, .reason = "payment_failed", .final = true, .card = true},
            true},
        Row{"needs_action",
            {.status = 402, .body = needs_action},
            {.verdict = refused, .reason = "payment_failed", .final = true, .card = true}},
        Row{"card_error_with_400",
            {.status = 400, .body = needs_action},
            {.verdict = refused, .reason = "payment_failed", .card = true}},
        Row{"card_error_with_400_after_doubt",
            {.status = 400, .body = needs_action},
            {.verdict = unknown, .reason = "refused_after_doubt", .doubt = true},
            true},
        Row{"payment_required_without_json",
            {.status = 402, .body = ""},
            {.verdict = unknown, .reason = "empty_answer", .doubt = true}},
        Row{"no_payment_method",
            {.status = 400, .body = no_method, .should_retry = false, .echoed = true},
            {.verdict = refused, .reason = "payment_method_missing", .final = true, .card = true}},
        Row{"no_such_price",
            {.status = 400, .body = no_price, .echoed = true},
            {.verdict = refused, .reason = "invalid_request"}},
        Row{"no_such_price_resent_by_libcurl",
            {.status = 400, .body = no_price, .resent = true},
            {.verdict = unknown, .reason = "refused_after_doubt", .doubt = true}},
        Row{"no_such_price_after_doubt",
            {.status = 400, .body = no_price},
            {.verdict = unknown, .reason = "refused_after_doubt", .doubt = true},
            true},
        Row{"no_such_price_replayed_after_doubt",
            {.status = 400, .body = no_price, .replayed = true},
            {.verdict = refused, .reason = "invalid_request", .final = true},
            true},
        Row{"invalid_integer",
            {.status = 400, .body = invalid_integer},
            {.verdict = refused, .reason = "invalid_request"}},
        Row{"proration_date",
            {.status = 400, .body = R"({"error":{"type":"invalid_request_error",
                "param":"proration_date","message":"Cannot specify proration date outside of
                current subscription period"}})"},
            {.verdict = refused, .reason = "proration_date"}},
        Row{"unexpected_state",
            {.status = 400, .body = R"({"error":{"type":"invalid_request_error",
                "code":"payment_intent_unexpected_state","message":"You cannot cancel this
                PaymentIntent because it has a status of succeeded."}})"},
            {.verdict = refused, .reason = "unexpected_state"}},
        Row{"managed_by_schedule",
            {.status = 400, .body = R"({"error":{"type":"invalid_request_error","message":"The
                subscription is managed by the subscription schedule `sub_sched_1`"}})"},
            {.verdict = refused, .reason = "managed_by_schedule"}}),
    name_of);

// ---------------------------------------------------------------------------- again

INSTANTIATE_TEST_SUITE_P(
    Again, Verdicts,
    testing::Values(
        Row{"key_in_use",
            {.status = 409, .body = in_use},
            {.verdict = again, .reason = "key_in_use", .doubt = true}},
        Row{"key_in_use_by_type",
            {.status = 409, .body = R"({"error":{"type":"idempotency_error","message":"x"}})"},
            {.verdict = again, .reason = "key_in_use", .doubt = true}},
        Row{"conflict",
            {.status = 409, .body = R"({"error":{"type":"invalid_request_error"}})"},
            {.verdict = again, .reason = "conflict"}},
        Row{"conflict_after_doubt",
            {.status = 409, .body = R"({"error":{"type":"invalid_request_error"}})"},
            {.verdict = again, .reason = "conflict", .doubt = true},
            true},
        Row{"rate_limited",
            {.status = 429, .body = rate_limit},
            {.verdict = again, .reason = "rate_limited", .slow = true}},
        Row{"rate_limited_with_400",
            {.status = 400, .body = rate_limit},
            {.verdict = again, .reason = "rate_limited", .slow = true}},
        Row{"rate_limited_without_json",
            {.status = 429, .body = html},
            {.verdict = again, .reason = "rate_limited", .slow = true}},
        Row{"rate_limited_after_doubt",
            {.status = 429, .body = rate_limit},
            {.verdict = again, .reason = "rate_limited", .doubt = true, .slow = true},
            true},
        Row{"lock_timeout_slows_nobody",
            {.status = 429, .body = lock_timeout},
            {.verdict = again, .reason = "lock_timeout"}},
        Row{"asked_to_retry",
            {.status = 400, .body = no_price, .should_retry = true},
            {.verdict = again, .reason = "asked_to_retry"}},
        Row{"asked_to_retry_402",
            {.status = 402, .body = declined, .should_retry = true},
            {.verdict = again, .reason = "asked_to_retry"}},
        Row{"asked_to_retry_5xx_leaves_doubt",
            {.status = 503, .body = api_error, .should_retry = true},
            {.verdict = again, .reason = "server_error", .doubt = true, .breaker = true}},
        Row{"a_replay_is_not_asked_for_again",
            {.status = 402, .body = declined, .replayed = true, .should_retry = true},
            {.verdict = refused, .reason = "payment_failed", .final = true, .card = true}}),
    name_of);

// ---------------------------------------------------------------------------- unknown

INSTANTIATE_TEST_SUITE_P(
    Unknown, Verdicts,
    testing::Values(
        Row{"server_error",
            {.status = 500, .body = api_error, .should_retry = false},
            {.verdict = unknown, .reason = "server_error", .doubt = true, .breaker = true}},
        Row{"server_error_replayed",
            {.status = 500, .body = api_error, .replayed = true},
            {.verdict = unknown, .reason = "replayed_error", .doubt = true, .final = true}},
        Row{"server_error_replayed_and_asked",
            {.status = 500, .body = api_error, .replayed = true, .should_retry = true},
            {.verdict = unknown, .reason = "replayed_error", .doubt = true, .final = true}},
        Row{"bad_gateway_page",
            {.status = 502, .body = html},
            {.verdict = unknown, .reason = "server_error", .doubt = true, .breaker = true}},
        Row{"unavailable_empty",
            {.status = 503, .body = ""},
            {.verdict = unknown, .reason = "server_error", .doubt = true, .breaker = true}},
        Row{"gateway_timeout",
            {.status = 504, .body = ""},
            {.verdict = unknown, .reason = "server_error", .doubt = true, .breaker = true}},
        Row{"dependency_failed",
            {.status = 424, .body = api_error},
            {.verdict = unknown, .reason = "dependency_failed", .doubt = true}},
        Row{"server_timeout",
            {.status = 408, .body = api_error},
            {.verdict = unknown, .reason = "server_timeout", .doubt = true}},
        Row{"api_error_with_400",
            {.status = 400, .body = api_error},
            {.verdict = unknown, .reason = "api_error", .doubt = true}},
        Row{"key_used_for_something_else",
            {.status = 400, .body = mismatch},
            {.verdict = unknown, .reason = "idempotency_mismatch", .doubt = true}},
        Row{"key_used_for_something_else_and_asked",
            {.status = 400, .body = mismatch, .should_retry = true},
            {.verdict = unknown, .reason = "idempotency_mismatch", .doubt = true}},
        Row{"cut_error",
            {.status = 400, .body = R"({"error":{"type":"invalid_re)"},
            {.verdict = unknown, .reason = "answer_cut", .doubt = true}},
        Row{"odd_status",
            {.status = 600, .body = ""},
            {.verdict = unknown, .reason = "server_error", .doubt = true, .breaker = true}}),
    name_of);

// ---------------------------------------------------------------------------- halted

INSTANTIATE_TEST_SUITE_P(
    Halted, Verdicts,
    testing::Values(
        Row{"unauthorized",
            {.status = 401, .body = bad_key},
            {.verdict = halted, .reason = "unauthorized", .scope = to_destination}},
        Row{"unauthorized_after_doubt",
            {.status = 401, .body = bad_key},
            {.verdict = halted, .reason = "unauthorized", .doubt = true, .scope = to_destination},
            true},
        Row{"unauthorized_and_asked",
            {.status = 401, .body = bad_key, .should_retry = true},
            {.verdict = halted, .reason = "unauthorized", .scope = to_destination}},
        Row{"unauthorized_page",
            {.status = 401, .body = html},
            {.verdict = halted, .reason = "unauthorized", .scope = to_destination}},
        Row{"forbidden",
            {.status = 403, .body = no_permission},
            {.verdict = halted, .reason = "forbidden", .scope = to_destination}},
        Row{"forbidden_page",
            {.status = 403, .body = html},
            {.verdict = halted, .reason = "forbidden", .scope = to_destination}},
        Row{"proxy",
            {.status = 407, .body = html},
            {.verdict = halted, .reason = "proxy", .scope = to_destination}},
        Row{"page_with_404",
            {.status = 404, .body = html},
            {.verdict = halted, .reason = "not_stripe", .doubt = true, .scope = to_destination}},
        Row{"mode_in_words",
            {.status = 404, .body = wrong_mode},
            {.verdict = halted, .reason = "mode_mismatch", .scope = to_destination}},
        Row{"mode_in_words_with_400",
            {.status = 400, .body = wrong_mode},
            {.verdict = halted, .reason = "mode_mismatch", .scope = to_destination}},
        Row{"mode_by_code",
            {.status = 400,
             .body = R"({"error":{"type":"invalid_request_error","code":"livemode_mismatch"}})"},
            {.verdict = halted, .reason = "mode_mismatch", .scope = to_destination}},
        Row{"account_in_words",
            {.status = 404, .body = wrong_account},
            {.verdict = halted, .reason = "account_mismatch", .scope = to_destination}},
        Row{"version",
            {.status = 400, .body = bad_version},
            {.verdict = halted, .reason = "api_version", .scope = to_destination}},
        Row{"tls_version",
            {.status = 400, .body = R"({"error":{"type":"invalid_request_error",
                "code":"tls_version_unsupported","message":"..."}})"},
            {.verdict = halted, .reason = "tls_version", .scope = to_destination}},
        Row{"unknown_parameter",
            {.status = 400, .body = unknown_parameter},
            {.verdict = halted, .reason = "unknown_parameter", .scope = to_call}},
        Row{"unknown_parameter_after_doubt",
            {.status = 400, .body = unknown_parameter},
            {.verdict = halted, .reason = "unknown_parameter", .doubt = true, .scope = to_call},
            true},
        Row{"unknown_parameter_in_words",
            {.status = 400, .body = no_code_unknown_parameter},
            {.verdict = halted, .reason = "unknown_parameter", .scope = to_call}},
        Row{"unsupported_parameter",
            {.status = 400, .body = not_supported},
            {.verdict = halted, .reason = "unsupported_parameter", .scope = to_call}},
        Row{"parameter_missing",
            {.status = 400, .body = R"({"error":{"type":"invalid_request_error",
                "code":"parameter_missing","param":"amount"}})"},
            {.verdict = halted, .reason = "parameter_missing", .scope = to_call}},
        Row{"parameters_exclusive",
            {.status = 400, .body = R"({"error":{"type":"invalid_request_error",
                "code":"parameters_exclusive"}})"},
            {.verdict = halted, .reason = "parameters_exclusive", .scope = to_call}},
        Row{"not_found",
            {.status = 404, .body = no_subscription},
            {.verdict = halted, .reason = "not_found", .scope = to_call, .read = true}},
        Row{"not_found_after_doubt",
            {.status = 404, .body = no_subscription},
            {.verdict = halted,
             .reason = "not_found",
             .doubt = true,
             .scope = to_call,
             .read = true},
            true},
        Row{"not_found_replayed",
            {.status = 404, .body = no_subscription, .replayed = true},
            {.verdict = halted,
             .reason = "not_found",
             .scope = to_call,
             .final = true,
             .read = true},
            true},
        Row{"item_missing",
            {.status = 404, .body = R"({"error":{"type":"invalid_request_error",
                "code":"resource_missing","param":"subscription_item","message":"x"}})"},
            {.verdict = halted, .reason = "item_missing", .scope = to_call, .read = true}},
        Row{"item_missing_with_400",
            {.status = 400, .body = R"({"error":{"type":"invalid_request_error",
                "param":"items[0][id]","message":"Invalid subscription_item id"}})"},
            {.verdict = halted, .reason = "item_missing", .scope = to_call, .read = true}},
        Row{"unrecognized_path",
            {.status = 404, .body = R"({"error":{"type":"invalid_request_error","message":
                "Unrecognized request URL (POST: /v1/foo)."}})"},
            {.verdict = halted, .reason = "unrecognized_path", .scope = to_call}},
        Row{"unfamiliar_type",
            {.status = 400, .body = R"({"error":{"type":"something_new"}})"},
            {.verdict = halted, .reason = "unfamiliar_error", .scope = to_call}},
        Row{"unfamiliar_status",
            {.status = 418, .body = R"({"error":{"type":"invalid_request_error"}})"},
            {.verdict = halted, .reason = "unfamiliar_error", .scope = to_call}}),
    name_of);

// ---------------------------------------------------------------------------- reads

INSTANTIATE_TEST_SUITE_P(
    Reads, Verdicts,
    testing::Values(
        Row{"done", {.body = subscription}, {.verdict = done, .reason = "done"}, false, false},
        Row{"pending_update_is_content",
            {.body = pending},
            {.verdict = done, .reason = "pending_update"},
            false,
            false},
        Row{"timed_out",
            {.status = 0, .transport = Transport::timed_out},
            {.verdict = again, .reason = "timed_out", .breaker = true},
            true,
            false},
        Row{"cut", {.body = "{"}, {.verdict = again, .reason = "answer_cut"}, false, false},
        Row{"page",
            {.body = html},
            {.verdict = halted, .reason = "not_stripe", .scope = to_destination},
            false,
            false},
        Row{"server_error",
            {.status = 500, .body = api_error},
            {.verdict = again, .reason = "server_error", .breaker = true},
            false,
            false},
        Row{"not_found",
            {.status = 404, .body = no_subscription},
            {.verdict = refused, .reason = "not_found"},
            false,
            false},
        Row{"not_found_in_this_mode",
            {.status = 404, .body = wrong_mode},
            {.verdict = halted, .reason = "mode_mismatch", .scope = to_destination},
            false,
            false},
        Row{"wrong_mode",
            {.body = subscription},
            {.verdict = halted, .reason = "mode_mismatch", .scope = to_destination},
            false,
            false,
            true,
            true},
        Row{"unauthorized",
            {.status = 401, .body = bad_key},
            {.verdict = halted, .reason = "unauthorized", .scope = to_destination},
            false,
            false},
        Row{"lock_timeout",
            {.status = 429, .body = lock_timeout},
            {.verdict = again, .reason = "lock_timeout"},
            false,
            false},
        Row{"invalid",
            {.status = 400, .body = invalid_integer},
            {.verdict = refused, .reason = "invalid_request"},
            false,
            false}),
    name_of);

// ---------------------------------------------------------------------------- plain receivers

INSTANTIATE_TEST_SUITE_P(
    PlainReceivers, Verdicts,
    testing::Values(
        Row{"anything_2xx",
            {.status = 204, .body = ""},
            {.verdict = done, .reason = "done", .final = true},
            false,
            true,
            false},
        Row{"page_2xx",
            {.body = html},
            {.verdict = done, .reason = "done", .final = true},
            true,
            true,
            false},
        Row{"redirect",
            {.status = 301, .body = ""},
            {.verdict = halted, .reason = "redirect", .scope = to_call},
            false,
            true,
            false},
        Row{"rate_limited",
            {.status = 429, .body = ""},
            {.verdict = again, .reason = "rate_limited", .slow = true},
            false,
            true,
            false},
        Row{"request_timeout",
            {.status = 408, .body = ""},
            {.verdict = again, .reason = "server_timeout"},
            false,
            true,
            false},
        Row{"gone",
            {.status = 410, .body = ""},
            {.verdict = refused, .reason = "receiver_refused"},
            false,
            true,
            false},
        Row{"forbidden",
            {.status = 403, .body = html},
            {.verdict = refused, .reason = "receiver_refused"},
            false,
            true,
            false},
        Row{"server_error",
            {.status = 500, .body = ""},
            {.verdict = unknown, .reason = "server_error", .doubt = true, .breaker = true},
            false,
            true,
            false},
        Row{"not_sent",
            {.transport = Transport::broken, .sent = false},
            {.verdict = again, .reason = "not_sent", .breaker = true},
            false,
            true,
            false}),
    name_of);

}  // namespace
}  // namespace pg_seats::test
