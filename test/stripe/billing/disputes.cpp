#include "billing/disputes.hpp"

#include <algorithm>

#include "api/router.hpp"
#include "billing/lookup.hpp"
#include "billing/render.hpp"

namespace stripe_simulator {

namespace {

void emit_dispute(World& world, Account& account, const Dispute& dispute, std::string_view type) {
    world.emit(account, type, [&](std::string_view) { return render(account, dispute); });
}

void move_disputed(World& world, Account& account, const Dispute& dispute, bool back) {
    MoneyMove move;
    move.kind = back ? "dispute_won" : "disputed";
    move.object = dispute.id;
    move.payment_intent = dispute.payment_intent;
    move.currency = dispute.currency;
    move.amount = back ? dispute.amount : -dispute.amount;
    world.move_money(account, std::move(move));
    emit_dispute(world, account, dispute,
                 back ? "charge.dispute.funds_reinstated" : "charge.dispute.funds_withdrawn");
}

}  // namespace

Dispute& open_dispute(World& world, Account& account, Charge& charge, std::int64_t amount,
                      std::string_view reason, bool inquiry) {
    Dispute fresh;
    fresh.id = world.ids().make("du_1", 23);
    fresh.created = world.now();
    fresh.charge = charge.id;
    fresh.payment_intent = charge.payment_intent;
    fresh.currency = charge.currency;
    fresh.amount = amount;
    fresh.reason = reason;
    fresh.status = inquiry ? "warning_needs_response" : "needs_response";
    charge.disputed = true;
    Dispute& dispute = account.disputes.add(std::move(fresh));
    emit_dispute(world, account, dispute, "charge.dispute.created");
    if (!inquiry) {
        move_disputed(world, account, dispute, false);
    }
    return dispute;
}

void dispute_moved(World& world, Account& account, Dispute& dispute, std::string_view status) {
    const bool was_inquiry = dispute.is_inquiry();
    const Json before = render(account, dispute);
    dispute.status = status;
    const Json after = render(account, dispute);
    world.emit(
        account, "charge.dispute.updated", [&](std::string_view) { return after; },
        difference(before.node(), after.node()));
    if (was_inquiry && !dispute.is_inquiry()) {
        move_disputed(world, account, dispute, false);
    }
}

void close_dispute(World& world, Account& account, Dispute& dispute, bool won) {
    const bool took_money = !dispute.is_inquiry();
    dispute.status = took_money ? (won ? "won" : "lost") : "warning_closed";
    if (took_money && won) {
        move_disputed(world, account, dispute, true);
    }
    emit_dispute(world, account, dispute, "charge.dispute.closed");
}

Dispute* open_dispute_of(const Account& account, std::string_view intent) {
    const auto& all = account.disputes.in_order();
    const auto found = std::find_if(all.rbegin(), all.rend(), [&](const auto& dispute) {
        return dispute->payment_intent == intent && !dispute->is_over();
    });
    return found == all.rend() ? nullptr : found->get();
}

bool is_charged_back(const Account& account, const Charge& charge) {
    const auto& all = account.disputes.in_order();
    return charge.disputed && std::any_of(all.begin(), all.end(), [&](const auto& dispute) {
               return dispute->charge == charge.id && !dispute->is_inquiry() &&
                      dispute->status != "won";
           });
}

namespace {

Dispute& need_dispute(Call& call) {
    return need(call, &Account::disputes, "dispute", call.ids[0], "dispute");
}

std::string retrieve_dispute(Call& call) {
    return answer(call, render(call.account, need_dispute(call)));
}

std::string list_disputes(Call& call) {
    const Params& params = call.params;
    return answer(
        call, list_objects<Dispute>(
                  call, call.account.disputes, "dispute", "/v1/disputes",
                  [&](const Dispute& dispute) {
                      return (!params.has("charge") || dispute.charge == params.text("charge")) &&
                             (!params.has("payment_intent") ||
                              dispute.payment_intent == params.text("payment_intent"));
                  },
                  [&](Dispute& dispute) { return render(call.account, dispute); }));
}

// To close a dispute is to accept it as lost.
std::string accept_dispute(Call& call) {
    Dispute& dispute = need_dispute(call);
    if (dispute.is_over()) {
        throw invalid_request("This dispute is already closed");
    }
    close_dispute(call.world, call.account, dispute, false);
    call.note.object = dispute.id;
    call.note.amount = dispute.amount;
    call.note.currency = dispute.currency;
    return answer(call, render(call.account, dispute));
}

}  // namespace

void add_dispute_operations(Router& router) {
    router.add("GET", "/v1/disputes/{id}", retrieve_dispute, "");
    router.add("GET", "/v1/disputes", list_disputes,
               "charge payment_intent" + std::string(kPageParameters));
    router.add("POST", "/v1/disputes/{id}/close", accept_dispute, "");
}

}  // namespace stripe_simulator
