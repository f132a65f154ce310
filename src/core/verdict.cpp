#include "core/verdict.hpp"

#include "core/json.hpp"
#include "core/safe_text.hpp"
#include "core/stripe_error.hpp"

namespace pg_seats::core {
namespace {

constexpr std::size_t message_limit = 500;
constexpr std::size_t word_limit = 100;

bool is_success(int status) noexcept {
    return status >= 200 && status <= 299;
}
bool is_redirect(int status) noexcept {
    return status >= 300 && status <= 399;
}
bool is_refusal(int status) noexcept {
    return status >= 400 && status <= 499;
}

// Says what the answer means for a mutation; doubt and reads are worked in by judge().
struct Reading {
    const Question& question;
    const Response& response;
    JsonValue body;
    std::optional<StripeError> error;

    explicit Reading(const Question& asked) : question(asked), response(asked.answer.response) {
        if (question.expect_stripe && response.transport == Transport::complete) {
            body = question.answer.body.root();
            error = read_error(body);
        }
    }

    [[nodiscard]] Meaning meaning() const;

  private:
    [[nodiscard]] Meaning transport_failure() const;
    [[nodiscard]] Meaning success() const;
    [[nodiscard]] Meaning not_stripes() const;
    [[nodiscard]] Meaning plain_receiver() const;
    [[nodiscard]] bool suggests_stripe() const noexcept;
};

Meaning Reading::transport_failure() const {
    if (!response.sent) {
        return {.verdict = Verdict::again, .reason = "not_sent"};
    }
    if (response.over_limit) {
        return {.verdict = Verdict::unknown, .reason = "answer_too_large"};
    }
    const bool late = response.transport == Transport::timed_out;
    return {.verdict = Verdict::unknown, .reason = late ? "timed_out" : "connection_broken"};
}

// Any sign that Stripe, and nobody in between, has spoken.
bool Reading::suggests_stripe() const noexcept {
    const ResponseHeaders& headers = response.headers;
    return !headers.request_id.empty() || !headers.idempotency_key.empty() || headers.replayed ||
           headers.should_retry.has_value() ||
           headers.content_type.find("json") != std::string::npos;
}

// No JSON of Stripe's where there should be some. Whatever is cut or empty may be the rest of a
// true answer. A page that shows no trace of Stripe is a proxy's or a portal's: it stands before
// every call, so the destination stops; but it may have been put in the place of an answer, so the
// doubt is raised all the same.
Meaning Reading::not_stripes() const {
    if (response.body.empty()) {
        return {.verdict = Verdict::unknown, .reason = "empty_answer"};
    }
    if (suggests_stripe() || response.body.front() == '{') {
        return {.verdict = Verdict::unknown, .reason = "answer_cut"};
    }
    return {.verdict = Verdict::halted, .scope = HaltScope::destination, .reason = "not_stripe"};
}

Meaning Reading::success() const {
    if (text_member(body, "object").empty()) {
        return not_stripes();
    }
    const std::optional<bool> mode = bool_member(body, "livemode");
    if (question.livemode && mode && *mode != *question.livemode) {
        return {
            .verdict = Verdict::halted, .scope = HaltScope::destination, .reason = "mode_mismatch"};
    }
    if (has_member(body, "pending_update")) {
        return {.verdict = Verdict::awaiting, .reason = "pending_update"};
    }
    return {.verdict = Verdict::done, .reason = "done"};
}

Meaning Reading::plain_receiver() const {
    const int status = response.status;
    if (is_success(status)) {
        return {.verdict = Verdict::done, .reason = "done"};
    }
    if (is_redirect(status)) {
        return {.verdict = Verdict::halted, .scope = HaltScope::call, .reason = "redirect"};
    }
    if (status == 429) {
        return {.verdict = Verdict::again, .reason = "rate_limited", .slow_down = true};
    }
    if (status == 408 || status == 425) {
        return {.verdict = Verdict::again, .reason = "server_timeout"};
    }
    if (is_refusal(status)) {
        return {.verdict = Verdict::refused, .reason = "receiver_refused"};
    }
    return {.verdict = Verdict::unknown, .reason = "server_error"};
}

Meaning Reading::meaning() const {
    const int status = response.status;
    if (response.transport != Transport::complete || status == 0) {
        return transport_failure();
    }
    if (!question.expect_stripe) {
        return plain_receiver();
    }
    if (is_success(status)) {
        return success();
    }
    if (is_redirect(status)) {
        return {.verdict = Verdict::halted, .scope = HaltScope::destination, .reason = "redirect"};
    }
    if (!is_refusal(status)) {
        const bool asked = response.headers.should_retry == true && !response.headers.replayed;
        return {.verdict = asked ? Verdict::again : Verdict::unknown,
                .reason = response.headers.replayed ? "replayed_error" : "server_error"};
    }
    if (!error) {
        // Who turns a request away in front of Stripe says so by the status alone.
        const StripeError nothing;
        const bool plain = status == 401 || status == 403 || status == 407 || status == 429;
        return plain ? meaning_of(status, nothing) : not_stripes();
    }
    const Meaning& row = meaning_of(status, *error);
    // A stored answer cannot change, a wrong key does not mend, and a key that has been used for
    // something else needs more than patience.
    const bool asked = response.headers.should_retry == true && !response.headers.replayed &&
                       row.scope != HaltScope::destination && row.reason != "idempotency_mismatch";
    if (asked && row.verdict != Verdict::again) {
        return {.verdict = Verdict::again, .reason = "asked_to_retry"};
    }
    return row;
}

// After doubt only 2xx, a replayed answer or a 402 testify about what was sent before.
void weigh_doubt(const Question& question, Judgement& judgement) {
    const Response& response = question.answer.response;
    const bool doubt_before = question.doubt_before || response.resent;
    const bool complete = response.transport == Transport::complete && response.status != 0;
    const bool replayed_refusal = response.headers.replayed && is_refusal(response.status) &&
                                  judgement.verdict != Verdict::again &&
                                  judgement.verdict != Verdict::unknown;
    const bool testifies = complete && (replayed_refusal || response.status == 402);
    switch (judgement.verdict) {
        case Verdict::done:
        case Verdict::awaiting:
            judgement.key_is_final = true;
            return;
        case Verdict::refused:
            if (doubt_before && !testifies) {
                judgement.verdict = Verdict::unknown;
                judgement.reason = "refused_after_doubt";
                judgement.is_card_refusal = false;
                judgement.doubt_after = true;
                return;
            }
            break;
        case Verdict::again:
            // A key in use proves that something runs under it, whatever we knew of.
            judgement.doubt_after = doubt_before || judgement.reason == "key_in_use" ||
                                    (complete && response.status >= 500);
            return;
        case Verdict::unknown:
            judgement.doubt_after = true;
            judgement.key_is_final =
                complete && response.headers.replayed && judgement.reason == "replayed_error";
            return;
        case Verdict::halted:
            judgement.doubt_after = (doubt_before && !testifies) || is_success(response.status) ||
                                    judgement.reason == "not_stripe";
            break;
    }
    // Stripe-Should-Retry: false on a keyed POST goes with an answer that is stored under the key.
    judgement.key_is_final =
        testifies || (is_refusal(response.status) && response.headers.should_retry == false &&
                      !response.headers.idempotency_key.empty() &&
                      judgement.halt_scope != HaltScope::destination);
}

// Reads leave nothing behind: what would be doubt is only a reason to read again, and an object
// that is not there is an answer.
void soften_for_reads(Judgement& judgement) {
    judgement.needs_read = false;
    if (judgement.verdict == Verdict::unknown) {
        judgement.verdict = Verdict::again;
    } else if (judgement.verdict == Verdict::awaiting) {
        judgement.verdict = Verdict::done;
    } else if (judgement.reason == "not_found" || judgement.reason == "item_missing") {
        judgement.verdict = Verdict::refused;
        judgement.halt_scope = HaltScope::none;
        judgement.reason = "not_found";
    }
}

// The same mistake in several lanes must give the same text: no ids, no indexes, no message. (A
// number leaves a mark, or what is left and right of it would become a word that safe_text() has
// not seen.)
std::string fingerprint(int status, const Judgement& judgement) {
    std::string text =
        std::to_string(status) + "/" + judgement.error_type + "/" + judgement.error_code + "/";
    for (const char c : judgement.param) {
        if (c < '0' || c > '9') {
            text.push_back(c);
        } else if (text.back() != '#') {
            text.push_back('#');
        }
    }
    return text;
}

}  // namespace

Judgement judge(const Question& question) {
    const Response& response = question.answer.response;
    const Reading reading(question);
    const Meaning meaning = reading.meaning();

    Judgement judgement;
    judgement.verdict = meaning.verdict;
    judgement.halt_scope = meaning.scope;
    judgement.reason = meaning.reason;
    judgement.is_card_refusal = meaning.card && meaning.verdict == Verdict::refused;
    judgement.needs_read = meaning.needs_read;
    judgement.slow_down = meaning.slow_down;
    judgement.retry_after = response.headers.retry_after;
    const bool failed = response.transport != Transport::complete && !response.over_limit;
    judgement.counts_for_breaker = failed || (response.status >= 500 && !response.headers.replayed);
    if (reading.error) {
        judgement.error_type = safe_text(reading.error->type, word_limit);
        judgement.error_code = safe_text(reading.error->code, word_limit);
        judgement.decline_code = safe_text(reading.error->decline_code, word_limit);
        judgement.param = safe_text(reading.error->param, word_limit);
        judgement.message = safe_text(reading.error->message, message_limit);
    } else {
        judgement.message = safe_text(response.error, message_limit);
    }
    const bool doubt_before = question.doubt_before || response.resent;
    if (question.deletion && doubt_before && judgement.reason == "not_found") {
        // A DELETE has no idempotency key and needs none: what an earlier try may have deleted, and
        // is not there now, was deleted.
        judgement.verdict = Verdict::done;
        judgement.halt_scope = HaltScope::none;
        judgement.reason = "already_gone";
        judgement.needs_read = false;
    } else if (question.mutation) {
        weigh_doubt(question, judgement);
    } else {
        soften_for_reads(judgement);
    }
    judgement.fingerprint = fingerprint(response.status, judgement);
    return judgement;
}

std::string_view to_string(Verdict verdict) {
    switch (verdict) {
        case Verdict::done:
            return "done";
        case Verdict::awaiting:
            return "awaiting";
        case Verdict::refused:
            return "refused";
        case Verdict::again:
            return "again";
        case Verdict::unknown:
            return "unknown";
        case Verdict::halted:
            return "halted";
    }
    return "unknown";
}

}  // namespace pg_seats::core
