#include "billing/refunding.hpp"

#include "billing/render.hpp"

namespace stripe_simulator {

namespace {

void move_refund(World& world, Account& account, const Refund& refund, bool back) {
    MoneyMove move;
    move.kind = back ? "refund_failed" : "refunded";
    move.object = refund.id;
    move.payment_intent = refund.payment_intent;
    move.currency = refund.currency;
    move.amount = back ? refund.amount : -refund.amount;
    world.move_money(account, std::move(move));
}

void emit_refund(World& world, Account& account, const Refund& refund, std::string_view type,
                 const Json& previous = Json()) {
    world.emit(
        account, type, [&](std::string_view) { return render(account, refund); }, previous);
}

const RefundPlan& plan_of(const Account& account, const Charge& charge) {
    const auto* intent = account.payment_intents.find(charge.payment_intent);
    return intent != nullptr && intent->refunds ? *intent->refunds : charge.refunds;
}

}  // namespace

Refund& make_refund(World& world, Account& account, Charge& charge, Refund draft) {
    const RefundPlan plan = plan_of(account, charge);
    draft.id = world.ids().make("re_3", 23);
    draft.created = world.now();
    draft.charge = charge.id;
    draft.payment_intent = charge.payment_intent;
    draft.currency = charge.currency;
    draft.status = plan.status;
    Refund& refund = account.refunds.add(std::move(draft));
    const Json before = render(account, charge);
    charge.amount_refunded += refund.amount;
    const Json after = render(account, charge);
    move_refund(world, account, refund, false);
    world.emit(
        account, "charge.refunded", [&](std::string_view) { return after; },
        difference(before.node(), after.node()));
    emit_refund(world, account, refund, "refund.created");
    if (!plan.then.empty()) {
        world.at(world.now() + plan.seconds, [&world, &account, &refund, plan] {
            if (may_become(refund.status, plan.then)) {
                refund_became(world, account, refund, plan.then, plan.failure_reason);
            }
        });
    }
    return refund;
}

bool may_become(std::string_view status, std::string_view next) {
    if (status == "pending") {
        return next == "succeeded" || next == "failed" || next == "canceled";
    }
    return status == "succeeded" && next == "failed";
}

void refund_became(World& world, Account& account, Refund& refund, std::string_view status,
                   std::string_view failure_reason) {
    const Json before = render(account, refund);
    refund.status = status;
    if (status == "failed") {
        refund.failure_reason = failure_reason;
    }
    if (status != "succeeded") {
        // The money is the account's again, and may be refunded again.
        if (Charge* charge = account.charges.find(refund.charge)) {
            charge->amount_refunded -= refund.amount;
        }
        move_refund(world, account, refund, true);
    }
    const Json previous = difference(before.node(), render(account, refund).node());
    emit_refund(world, account, refund, "refund.updated", previous);
    emit_refund(world, account, refund, "charge.refund.updated", previous);
    if (status == "failed") {
        emit_refund(world, account, refund, "refund.failed");
    }
}

}  // namespace stripe_simulator
