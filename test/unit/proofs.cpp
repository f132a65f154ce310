#include "proofs.hpp"

#include <array>

#include "core/parsed_body.hpp"

namespace pg_seats::test {
namespace {

using core::Decision;
using core::Purpose;
using core::State;

void add(std::string& text, std::string_view word) {
    text.append(text.empty() ? "" : " ").append(word);
}

void add_if(std::string& text, bool holds, std::string_view word) {
    if (holds) {
        add(text, word);
    }
}

void add_number(std::string& text, std::string_view word, std::int64_t number,
                std::int64_t before) {
    if (number != before) {
        add(text, word);
        add(text, std::to_string(number));
    }
}

// The ids of a list of items or prices, as they stand there.
void add_ids(std::string& text, core::JsonValue list) {
    for (const core::JsonValue element : core::elements_of(list)) {
        add(text, core::text_member(element, "id"));
    }
}

// Of a subscription: its items and their prices. Of a price: nothing more.
void add_facts(std::string& text, const Decision& decision) {
    if (!decision.facts.empty()) {
        const core::ParsedBody facts(decision.facts);
        add(text, "facts");
        add_ids(text, core::member(facts.root(), "items"));
        add_ids(text, core::member(facts.root(), "prices"));
        const auto is_complete = core::bool_member(facts.root(), "items_complete");
        add_if(text, is_complete == false, "and more");
    } else if (decision.facts_as_of != 0) {
        add(text, "no facts");
    }
    if (!decision.facts.empty() || decision.facts_as_of != 0) {
        add_number(text, "as of", decision.facts_as_of - sent_at, 0);
    }
}

// Which invoice, how it stands, and whose it is said to be.
void add_invoice(std::string& text, const std::string& invoice) {
    if (!invoice.empty()) {
        const core::ParsedBody facts(invoice);
        const bool own = core::bool_member(facts.root(), "made_by_call").value_or(false);
        add(text, own ? "its invoice" : "latest invoice");
        add(text, core::text_member(facts.root(), "id"));
        add(text, core::text_member(facts.root(), "status"));
    }
}

void add_outcome(std::string& text, const Decision& decision) {
    switch (decision.outcome) {
        case Decision::Outcome::settled:
            add(text, to_string(decision.result));
            add_if(text, decision.proof != core::Proof::answered,
                   "by " + std::string(to_string(decision.proof)));
            break;
        case Decision::Outcome::stays:
            add(text, to_string(decision.state));
            break;
        case Decision::Outcome::learned:
            add(text, "learned");
            break;
        case Decision::Outcome::asks:
            add(text, "asks to " + std::string(to_string(decision.next.purpose)));
            break;
    }
    add_if(text, !decision.reason.empty(), decision.reason);
}

void add_leg(std::string& text, const core::Leg& before, const core::Leg& next) {
    add_number(text, "page", next.pages, 0);
    add_number(text, "of", next.page_size, before.page_size);
    add_if(text, !next.cursor.empty(), "after " + next.cursor);
    add_if(text, next.doubted, "doubted");
    add_if(text, !next.proven.empty(),
           "proven: " + std::string(next.proven) + " by " + std::string(to_string(next.proof)));
    if (next.purpose == Purpose::read_missing) {
        add(text, "of " + std::string(next.first.reason));
        add_if(text, next.first.doubt_after, "in doubt");
    }
    if (next.purpose == Purpose::read_items && next.subscription) {
        for (const core::ItemFacts& item : next.subscription->items) {
            add(text, "with " + item.id);
        }
        for (const core::PriceFacts& price : next.subscription->prices) {
            add(text, "with " + price.id);
        }
    }
}

void add_row(std::string& text, const core::Call& call, const Decision& decision) {
    add_if(text, decision.doubt, "doubt");
    add_number(text, "tries", decision.tries, call.tries);
    add_number(text, "attempts", decision.attempts, call.attempts);
    add_number(text, "generation", decision.generation, call.generation);
    add_number(text, "verifications", decision.verifications, call.verifications);
    if (decision.key_final_at != call.key_final_at) {
        add(text, decision.key_final_at == now ? "final now" : "not final");
    }
    add_if(text, decision.forget_first_sent, "thawed");
    add_if(text, decision.split, "split");
    if (decision.due_in) {
        add(text, "in " + std::to_string(decision.due_in->count()));
    }
}

void add_stored(std::string& text, const Decision& decision) {
    add_if(text, decision.clean, "clean");
    add_if(text, decision.proves_marker, "marker");
    add_if(text, !decision.answer.empty(), "answer");
    add_facts(text, decision);
    add_invoice(text, decision.invoice);
    add_if(text, !decision.error.empty(), "error '" + decision.error + "'");
    add_if(text, !decision.read_problem.empty(), "problem");
    add_if(text, !decision.read_problem.empty() && decision.read_problem != decision.error,
           "'" + decision.read_problem + "'");
    add_if(text, decision.problem_lasts, "lasts");
    add_if(text, decision.journal != core::JournalKind::none,
           "journal " + std::string(to_string(decision.journal)));
    add_if(text, decision.alert.has_value(),
           "alert " + (decision.alert ? decision.alert->fingerprint : std::string()));
    if (decision.verdict) {
        add(text, "[" + std::string(to_string(*decision.verdict)) + "]");
    }
}

std::string_view name_of(core::Counter counter) {
    constexpr std::array<std::string_view, 6> names{"done",    "refused", "again",
                                                    "unknown", "halted",  "reads"};
    return names.at(static_cast<std::size_t>(counter));
}

// Only where it is another one than one expects: what the verdict says, or a read.
void add_counter(std::string& text, const Case& situation, const Decision& decision) {
    const std::string_view counted =
        decision.effects.count ? name_of(*decision.effects.count) : "nothing";
    const bool is_sent = situation.leg.purpose == Purpose::send;
    if (counted != (is_sent ? to_string(*decision.verdict) : "reads")) {
        add(text, "+counts " + std::string(counted));
    }
}

void add_effects(std::string& text, const core::Effects& effects) {
    add_if(text, effects.question, "+question");
    add_if(text, effects.wants_probe, "+probe");
    if (effects.refusal) {
        add(text, "+refusal " + std::to_string(effects.refusal->lane_or_call));
    }
    add_if(text, effects.is_everywhere, "+everywhere");
    if (effects.halt) {
        add(text, "+halt " + std::string(effects.halt->reason));
        add_if(text, effects.halt->needs_person, "by a person");
    }
    add_if(text, !effects.log.empty(), "+log");
}

}  // namespace

std::string told(const Case& situation, const Decision& decision) {
    std::string text;
    add_outcome(text, decision);
    if (decision.outcome == Decision::Outcome::asks) {
        add_leg(text, situation.leg, decision.next);
    } else if (decision.outcome == Decision::Outcome::stays) {
        add_row(text, situation.call, decision);
    }
    add_stored(text, decision);
    add_counter(text, situation, decision);
    add_effects(text, decision.effects);
    return text;
}

std::string subscription(std::string_view marker, std::string_view more) {
    return R"({"id":"sub_1","object":"subscription","status":"active","metadata":{"pg_seats":")" +
           std::string(marker) +
           R"("},"items":{"object":"list","data":[{"id":"si_1","quantity":3,)" +
           R"("price":{"id":"price_1"}}],"has_more":false})" + std::string(more) + "}";
}

std::string latest(std::string_view id, std::string_view status, std::int64_t seconds_ago,
                   std::string_view reason) {
    constexpr std::int64_t year_2000 = 946'684'800;
    return R"(,"latest_invoice":{"id":")" + std::string(id) + R"(","status":")" +
           std::string(status) + R"(","billing_reason":")" + std::string(reason) +
           R"(","created":)" + std::to_string(year_2000 + sent_at / 1'000'000 - seconds_ago) + "}";
}

std::string event(std::string_view key, std::string_view marker, std::string_view type) {
    return R"({"id":"evt_1","object":"event","type":")" + std::string(type) +
           R"(","request":{"idempotency_key":")" + std::string(key) +
           R"("},"data":{"object":{"id":"sub_1","object":"subscription","metadata":{"pg_seats":")" +
           std::string(marker) + R"("}}}})";
}

std::string list(std::string_view elements, bool has_more) {
    return R"({"object":"list","data":[)" + std::string(elements) + R"(],"has_more":)" +
           (has_more ? "true}" : "false}");
}

Case::Case() {
    call.id = 7;
    call.lane_id = 3;
    call.kind = "call";
    call.uuid = "uuid";
    call.installation = "us";
    call.method = "POST";
    call.path = "/v1/subscriptions/sub_1";
    call.body = "cancel_at_period_end=true";
    call.verifier = core::Verifier::object;
    call.marker = "uuid-uuid-1";
    call.last_lane_marker = "before-before-1";
    call.tries = call.attempts = 1;
    call.created_at = ago(10);
    call.first_sent_at = call.last_sent_at = ago(1);
    call.state = State::sending;
    answer(200, subscription("uuid-uuid-1"));
}

Decision Case::decide() const {
    core::Answer answer;
    answer.response = response;
    answer.parse(is_stripe);
    const core::Judgement judgement =
        judge_leg(call, *rules, leg.purpose, answer, {.is_stripe = is_stripe, .livemode = false});
    const core::Standing standing{.mistakes = mistakes, .halted = halted, .name = "stripe"};
    return core::decide({.call = call,
                         .rules = *rules,
                         .leg = leg,
                         .answer = answer,
                         .judgement = judgement,
                         .standing = standing,
                         .policy = policy,
                         .sent_at = sent_at,
                         .now = now,
                         .tick = tick,
                         .chance = 1});  // the whole of a pause: a real one is less by something
}

Case& Case::change() {
    call.kind = "change";
    rules = &core::rules::change;
    return *this;
}

Case& Case::bought() {
    call.body = "items[0][quantity]=3&proration_behavior=always_invoice";
    return change();
}

Case& Case::read() {
    call.kind = "read";
    call.method = "GET";
    call.lane_id = 0;
    call.beside_lane_id = 3;
    call.verifier = core::Verifier::events;
    call.marker = call.last_lane_marker = "";
    rules = &core::rules::read;
    return *this;
}

Case& Case::price() {
    read();
    call.kind = "price";
    call.beside_lane_id = 0;
    call.path = "/v1/prices/price_1";
    rules = &core::rules::price;
    return answer(200, R"({"id":"price_1","object":"price","active":true})");
}

Case& Case::preview() {
    call.path = core::preview_path;
    call.verifier = core::Verifier::events;
    call.marker = "";
    return *this;
}

Case& Case::delivery() {
    call.kind = "delivery";
    call.verifier = core::Verifier::events;
    call.marker = "";
    rules = &core::rules::delivery;
    is_stripe = false;
    return answer(200, "ok");
}

Case& Case::in(State state) {
    call.state = state;
    return *this;
}

Case& Case::doubt() {
    call.doubt = true;
    return *this;
}

Case& Case::asks(Purpose purpose) {
    leg.purpose = purpose;
    if (call.state == State::sending) {
        const bool is_base = purpose == Purpose::read_base || purpose == Purpose::read_items;
        call.state = is_base ? State::pending : State::verifying;
        call.doubt = !is_base;
        call.verifications = is_base ? 0 : 1;
    }
    return *this;
}

Case& Case::missing(std::string_view error, bool doubt) {
    call.doubt = doubt;
    leg.purpose = Purpose::send;
    this->error(404, error);
    core::Answer answer;
    answer.response = response;
    answer.parse(true);
    leg.first = judge_leg(call, *rules, leg.purpose, answer, {.livemode = false});
    leg.purpose = Purpose::read_missing;
    return this->answer(200, subscription("before-before-1"));
}

Case& Case::proven(std::string_view reason, core::Proof proof) {
    leg.proven = reason;
    leg.proof = proof;
    return *this;
}

Case& Case::answer(int status, std::string_view body) {
    response = {};
    response.transport = core::Transport::complete;
    response.sent = true;
    response.status = status;
    response.body = body;
    response.headers.request_id = "req_1";
    return *this;
}

Case& Case::error(int status, std::string_view members) {
    return answer(status,
                  R"({"error":{"type":"invalid_request_error",)" + std::string(members) + "}}");
}

Case& Case::replayed() {
    response.headers.replayed = true;
    return *this;
}

Case& Case::nothing(core::Transport transport, bool sent) {
    response = {};
    response.transport = transport;
    response.sent = sent;
    response.error = "gone";
    return *this;
}

Case& Case::too_large() {
    nothing(core::Transport::broken);
    response.status = 200;
    response.over_limit = true;
    return *this;
}

Case& is_final(Case& situation) {
    situation.call.key_final_at = ago(61);
    return situation;
}

Case& was_asked(Case& situation) {
    situation.mistakes.ask(situation.call.id);
    situation.mistakes.probe_passed();
    return situation;
}

std::string over() {
    return R"({"id":"sub_1","object":"subscription","status":"canceled","items":)" + list("") + "}";
}

void PrintTo(const Row& row, std::ostream* out) {
    *out << row.name;
}

TEST_P(Proofs, row) {
    Case situation;
    GetParam().make(situation);
    EXPECT_EQ(told(situation, situation.decide()), GetParam().expected);
}

}  // namespace pg_seats::test
