// What happens to payments outside the API: the payer's browser, banks, the Dashboard, and Stripe's
// own clock. None of it is in the ledger; money that moves is in GET money.

#include <algorithm>
#include <array>

#include "billing/disputes.hpp"
#include "billing/intents.hpp"
#include "billing/lookup.hpp"
#include "billing/refunding.hpp"
#include "billing/render.hpp"
#include "control/control.hpp"
#include "control/objects.hpp"

namespace stripe_simulator {

namespace {

// What an action works with.
struct Acting {
    World& world;
    Account& account;
    PaymentIntent& intent;
    const json_t* raw;

    [[nodiscard]] std::string_view text(const char* name, std::string_view otherwise = {}) const {
        return text_at(raw, name, otherwise);
    }
    [[nodiscard]] std::int64_t number(const char* name, std::int64_t otherwise) const {
        return integer_at(raw, name, otherwise);
    }
    void need_status(std::initializer_list<std::string_view> wanted) const {
        if (std::find(wanted.begin(), wanted.end(), intent.status) == wanted.end()) {
            throw invalid_request("That cannot happen to a PaymentIntent that is " + intent.status,
                                  "action", "payment_intent_unexpected_state");
        }
    }
    void need_payable() const {
        need_status({"requires_payment_method", "requires_confirmation", "requires_action"});
    }
    void need_open() const {
        need_status(
            {"requires_payment_method", "requires_confirmation", "requires_action", "processing"});
    }
    [[nodiscard]] Charge& charge() const {
        Charge* found = account.charges.find(intent.latest_charge);
        if (found == nullptr || found->amount_captured == 0) {
            throw invalid_request("There is no payment of " + intent.id, "action");
        }
        return *found;
    }
    [[nodiscard]] ChargeResult decline() const {
        const bool plain = !has(raw, "code") && !has(raw, "decline_code");
        ChargeResult result =
            declined(std::string(text("code", "card_declined")),
                     std::string(text("decline_code", plain ? "generic_decline" : "")));
        if (has(raw, "message")) {
            result.message = text("message");
        }
        return result;
    }
};

void succeed(const Acting& act) {
    act.need_open();
    act.intent.action_done = true;
    ChargeResult result;
    result.paid = true;
    conclude(act.world, act.account, act.intent, result);
}

void fail(const Acting& act) {
    act.need_open();
    conclude(act.world, act.account, act.intent, act.decline());
}

void require_action(const Acting& act) {
    act.need_payable();
    act.intent.return_url = act.text("return_url");
    ChargeResult result;
    result.needs_action = true;
    conclude(act.world, act.account, act.intent, result);
}

// The payer passes 3-D Secure: what the card does then is its own business.
void authenticate(const Acting& act) {
    act.need_status({"requires_action"});
    act.intent.action_done = true;
    conclude(act.world, act.account, act.intent,
             charge(act.account.customers.find(act.intent.customer),
                    act.account.payment_methods.find(act.intent.payment_method), act.intent.amount,
                    true));
}

void fail_authentication(const Acting& act) {
    act.need_status({"requires_action"});
    intent_not_authenticated(act.world, act.account, act.intent);
}

void process(const Acting& act) {
    act.need_payable();
    ChargeResult result;
    const std::string_view then = act.text("then", "succeed");
    if (then == "fail") {
        result = act.decline();
    } else if (then != "succeed") {
        throw invalid_request("then must be succeed or fail", "then");
    }
    result.processing = true;
    result.seconds = act.number("seconds", -1);
    act.intent.cancelable = flag_at(act.raw, "cancelable");
    conclude(act.world, act.account, act.intent, result);
}

void cancel(const Acting& act) {
    act.need_status({"requires_payment_method", "requires_confirmation", "requires_action",
                     "processing", "requires_capture"});
    cancel_intent(act.world, act.account, act.intent, act.text("reason", "automatic"));
}

void expire(const Acting& act) {
    act.need_payable();
    expire_intent_at(act.world, act.account, act.intent,
                     act.world.now() + act.number("seconds", 0));
    act.world.catch_up();
}

// Somebody does it in the Dashboard.
void refund_by_hand(const Acting& act) {
    Charge& charge = act.charge();
    const std::int64_t left = charge.amount_captured - charge.amount_refunded;
    Refund draft;
    draft.amount = act.number("amount", left);
    draft.reason = act.text("reason");
    if (draft.amount < 1 || draft.amount > left || is_charged_back(act.account, charge)) {
        throw invalid_request("So much cannot be refunded", "amount");
    }
    make_refund(act.world, act.account, charge, std::move(draft));
}

void dispute(const Acting& act) {
    Charge& charge = act.charge();
    const std::int64_t amount = act.number("amount", charge.amount_captured);
    if (amount < 1 || amount > charge.amount_captured ||
        open_dispute_of(act.account, act.intent.id) != nullptr) {
        throw invalid_request("So much cannot be disputed, or it is already", "amount");
    }
    open_dispute(act.world, act.account, charge, amount, act.text("reason", "fraudulent"),
                 flag_at(act.raw, "inquiry"));
}

Dispute& need_open_dispute(const Acting& act) {
    Dispute* found = has(act.raw, "dispute") ? act.account.disputes.find(act.text("dispute"))
                                             : open_dispute_of(act.account, act.intent.id);
    if (found == nullptr || found->is_over()) {
        throw invalid_request("There is no open dispute of " + act.intent.id, "dispute");
    }
    return *found;
}

void dispute_changes(const Acting& act) {
    Dispute& found = need_open_dispute(act);
    const std::string_view status = act.text("status", "under_review");
    constexpr std::array<std::string_view, 4> kOpen{
        "needs_response", "under_review", "warning_needs_response", "warning_under_review"};
    if (std::find(kOpen.begin(), kOpen.end(), status) == kOpen.end() ||
        (!found.is_inquiry() && status.rfind("warning_", 0) == 0)) {
        throw invalid_request(
            "A dispute that is " + found.status + " cannot become " + std::string(status),
            "status");
    }
    dispute_moved(act.world, act.account, found, status);
}

void dispute_won(const Acting& act) {
    close_dispute(act.world, act.account, need_open_dispute(act), true);
}

void dispute_lost(const Acting& act) {
    close_dispute(act.world, act.account, need_open_dispute(act), false);
}

struct Action {
    std::string_view name;
    void (*run)(const Acting& act);
    std::string_view fields;  // beside those that any action takes
};

constexpr std::array<Action, 13> kActions{{
    {"succeed", succeed, ""},
    {"fail", fail, " code decline_code message "},
    {"requires_action", require_action, " return_url "},
    {"authenticate", authenticate, ""},
    {"fail_authentication", fail_authentication, ""},
    {"processing", process, " seconds then code decline_code message cancelable "},
    {"cancel", cancel, " reason "},
    {"expire", expire, " seconds "},
    {"refund", refund_by_hand, " amount reason "},
    {"dispute", dispute, " amount reason inquiry "},
    {"dispute_updated", dispute_changes, " dispute status "},
    {"dispute_won", dispute_won, " dispute "},
    {"dispute_lost", dispute_lost, " dispute "},
}};

const Action& action_named(std::string_view name) {
    const auto* const found = std::find_if(kActions.begin(), kActions.end(),
                                           [&](const Action& one) { return one.name == name; });
    if (found != kActions.end()) {
        return *found;
    }
    std::string message = "action must be one of:";
    for (const Action& one : kActions) {
        message.append(" ").append(one.name);
    }
    throw invalid_request(message, "action");
}

// A misspelt field would change nothing: a test that tests nothing.
void check_fields(json_t* raw, std::string_view fields) {
    const char* name = nullptr;
    json_t* value = nullptr;
    json_object_foreach(raw, name, value) {
        if (fields.find(" " + std::string(name) + " ") == std::string_view::npos) {
            throw unknown_parameter(name);
        }
    }
}

RefundPlan plan_of(json_t* raw) {
    check_fields(raw, " status then seconds failure_reason ");
    RefundPlan plan;
    plan.status = text_at(raw, "status", plan.status);
    plan.then = text_at(raw, "then");
    plan.seconds = integer_at(raw, "seconds", plan.seconds);
    plan.failure_reason = text_at(raw, "failure_reason", plan.failure_reason);
    const bool begins = plan.status == "succeeded" || plan.status == "pending";
    if (!begins || (!plan.then.empty() && !may_become(plan.status, plan.then))) {
        throw invalid_request("Refunds do not go like that", "refunds");
    }
    return plan;
}

template <typename T>
Json all_of(const Account& account, const Store<T>& store, std::string_view intent) {
    Json list = Json::array();
    for (const auto& one : store.in_order()) {
        if (one->payment_intent == intent) {
            list.push(render(account, *one));
        }
    }
    return list;
}

}  // namespace

Json Control::payment_intent(const Asked& asked) {
    World& world = parts_.world;
    world.catch_up();
    auto [account, intent] = find_anywhere(world, &Account::payment_intents, asked.path[1]);
    json_t* raw = asked.raw();
    if (asked.method == "POST") {
        if (!has(raw, "action") && !has(raw, "refunds")) {
            action_named("");
        }
        const Action* action = has(raw, "action") ? &action_named(text_at(raw, "action")) : nullptr;
        check_fields(raw, " action client_secret refunds " +
                              std::string(action != nullptr ? action->fields : ""));
        if (has(raw, "client_secret") && text_at(raw, "client_secret") != intent->client_secret) {
            throw invalid_request("That is not the client_secret of " + intent->id,
                                  "client_secret");
        }
        if (has(raw, "refunds")) {
            intent->refunds = plan_of(json_object_get(raw, "refunds"));
        }
        if (action != nullptr) {
            action->run(Acting{world, *account, *intent, raw});
        }
        return render(*account, *intent);
    }
    return render(*account, *intent)
        .set("charges", all_of(*account, account->charges, intent->id))
        .set("refunds", all_of(*account, account->refunds, intent->id))
        .set("disputes", all_of(*account, account->disputes, intent->id));
}

Json Control::list_payment_intents(const Asked& asked) {
    parts_.world.catch_up();
    const Params& filters = asked.query;
    const auto passes = [&](const std::string& name, std::string_view value) {
        return !filters.has(name) || glob_match(filters.text(name), value);
    };
    Json list = Json::array();
    for (const auto& [scope, account] : parts_.world.accounts()) {
        for (const auto& intent : account->payment_intents.in_order()) {
            const Metadata& all = intent->metadata;
            const auto wanted = filters.map_below("metadata");
            const bool fits = std::all_of(wanted.begin(), wanted.end(), [&](const auto& one) {
                return std::any_of(all.begin(), all.end(), [&](const auto& entry) {
                    return entry.first == one.first && glob_match(one.second, entry.second);
                });
            });
            if (fits && passes("account", account->id) && passes("status", intent->status) &&
                passes("currency", intent->currency) && passes("invoice", intent->invoice)) {
                list.push(render(*account, *intent).set_or_null("invoice", intent->invoice));
            }
        }
    }
    return Json::object().set("payment_intents", list);
}

Json Control::refund(const Asked& asked) {
    World& world = parts_.world;
    world.catch_up();
    auto [account, refund] = find_anywhere(world, &Account::refunds, asked.path[1]);
    if (asked.method == "POST") {
        check_fields(asked.raw(), " action failure_reason ");
        const std::string_view action = text_at(asked.raw(), "action");
        const std::string_view status = action == "succeed"  ? "succeeded"
                                        : action == "fail"   ? "failed"
                                        : action == "cancel" ? "canceled"
                                                             : "";
        if (!may_become(refund->status, status)) {
            throw invalid_request("action must be succeed, fail or cancel, and a refund that is " +
                                      refund->status + " must be able to become that",
                                  "action");
        }
        refund_became(world, *account, *refund, status,
                      text_at(asked.raw(), "failure_reason", "unknown"));
    }
    return render(*account, *refund);
}

// The rows may be many: totals are of all that pass the filters, rows only up to the limit.
Json Control::money(const Asked& asked) {
    parts_.world.catch_up();
    const Params& filters = asked.query;
    const auto passes = [&](const char* name, std::string_view value) {
        return !filters.has(name) || glob_match(filters.text(name), value);
    };
    const std::int64_t after = filters.integer("after").value_or(0);
    const std::int64_t limit = filters.integer("limit").value_or(10000);
    Json rows = Json::array();
    Json totals = Json::object();
    for (const auto& [scope, account] : parts_.world.accounts()) {
        for (const MoneyMove& move : account->money) {
            if (static_cast<std::int64_t>(move.sequence) <= after || !passes("kind", move.kind) ||
                !passes("account", account->id) || !passes("currency", move.currency) ||
                !passes("object", move.object) || !passes("payment_intent", move.payment_intent) ||
                !passes("of_invoice", move.of_invoice ? "true" : "false")) {
                continue;
            }
            if (!json_is_object(json_object_get(totals.node(), move.currency.c_str()))) {
                totals.set(move.currency.c_str(), Json::object().set("balance", 0));
            }
            Json total = Json::share(json_object_get(totals.node(), move.currency.c_str()));
            const std::string kind(move.kind);
            total.set(kind.c_str(), integer_at(total.node(), kind.c_str()) +
                                        (move.amount < 0 ? -move.amount : move.amount));
            total.set("balance", integer_at(total.node(), "balance") + move.amount);
            if (static_cast<std::int64_t>(json_array_size(rows.node())) < limit &&
                !filters.flag("summary")) {
                Json row = Json::object();
                row.set("sequence", move.sequence).set("at", move.at).set("account", account->id);
                row.set("kind", move.kind).set("object", move.object);
                row.set("payment_intent", move.payment_intent).set("amount", move.amount);
                rows.push(row.set("currency", move.currency).set("of_invoice", move.of_invoice));
            }
        }
    }
    return Json::object().set("rows", rows).set("totals", totals);
}

}  // namespace stripe_simulator
