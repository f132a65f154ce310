// What becomes of payments: by the payer, by banks, by time, in the Dashboard.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { Simulator } from './simulator.mjs';

let stripe;
before(async () => { stripe = await Simulator.start(); });
after(() => stripe.stop());
beforeEach(() => stripe.reset());

const intents = '/v1/payment_intents';
const make = async (more = {}) =>
  (await stripe.post(intents, { amount: 2000, currency: 'eur', ...more })).json;
const act = (intent, action, more = {}) =>
  stripe.control('POST', `payment_intents/${intent.id}`, { action, ...more });
const read = async (intent, params = { expand: ['latest_charge'] }) =>
  (await stripe.get(`${intents}/${intent.id}`, params)).json;
const confirm = (intent, payment_method) =>
  stripe.post(`${intents}/${intent.id}/confirm`, { payment_method });
const pay = async (method = 'pm_card_visa') => {
  const intent = await make();
  assert.equal((await confirm(intent, method)).status, 200);
  return intent;
};
const refund = (intent, more = {}) =>
  stripe.post('/v1/refunds', { payment_intent: intent.id, ...more });
const events = async () => (await stripe.get('/v1/events', { limit: 100 })).json.data
  .map((one) => one.type).reverse();
const totals = async () => (await stripe.control('GET', 'money?summary=true')).totals;
const rejects = (promise) => assert.rejects(promise, /400|control/);

test('a payer is declined by code, asked, not believed, and pays at last', async () => {
  const intent = await make();
  const declined = await act(intent, 'fail', { code: 'expired_card' });
  assert.deepEqual([declined.status, declined.last_payment_error.code,
    declined.last_payment_error.decline_code], ['requires_payment_method', 'expired_card', null]);
  assert.equal((await read(intent)).latest_charge.status, 'failed');
  const asked = await act(intent, 'requires_action', { return_url: 'https://example.com' });
  assert.deepEqual([asked.status, asked.next_action.type], ['requires_action', 'redirect_to_url']);
  const refused = await act(intent, 'fail_authentication');
  assert.deepEqual([refused.status, refused.last_payment_error.code],
    ['requires_payment_method', 'payment_intent_authentication_failure']);
  await rejects(act(intent, 'succeed', { client_secret: 'pi_wrong' }));
  await act(intent, 'succeed', { client_secret: intent.client_secret });
  const paid = await read(intent);
  assert.deepEqual([paid.status, paid.amount_received, paid.last_payment_error,
    paid.latest_charge.amount_refunded, paid.latest_charge.disputed],
  ['succeeded', 2000, null, 0, false]);
  for (const action of ['succeed', 'fail', 'processing', 'requires_action', 'cancel']) {
    await rejects(act(intent, action));
  }
  await rejects(act(intent, 'refund', { sum: 1 }));
  assert.deepEqual(await totals(), { eur: { balance: 2000, paid: 2000 } });
});

test('after 3-D Secure the card pays or declines', async () => {
  const good = await make();
  assert.equal((await confirm(good, 'pm_card_authenticationRequired')).json.status, 'requires_action');
  assert.equal((await act(good, 'authenticate')).status, 'succeeded');
  const bad = await make();
  await confirm(bad, 'pm_card_threeDSecureRequiredChargeDeclined');
  assert.equal((await act(bad, 'authenticate')).status, 'requires_payment_method');
  const again = await confirm(bad, 'pm_card_authenticationRequired');
  assert.equal(again.json.status, 'requires_action', 'it is asked for each attempt');
});

test('a bank takes days, and then pays or does not', async () => {
  const good = await pay('pm_usBankAccount_success');
  const bad = await pay('pm_usBankAccount_insufficientFunds');
  const open = await pay('pm_usBankAccount_processing');
  const own = await make();
  await act(own, 'processing', { seconds: 60, then: 'fail', code: 'debit_not_authorized' });
  for (const one of [good, bad, open, own]) assert.equal((await read(one)).status, 'processing');
  assert.equal((await read(good)).latest_charge.status, 'pending');
  assert.equal((await read(good)).latest_charge.paid, false);
  const refused = await stripe.post(`${intents}/${open.id}/cancel`, {});
  assert.deepEqual([refused.status, refused.json.error.code, refused.json.error.payment_intent.status],
    [400, 'payment_intent_unexpected_state', 'processing']);
  await stripe.clock({ advance: 5 * 86400 });
  const after = await Promise.all([good, bad, open, own].map((one) => read(one)));
  assert.deepEqual(after.map((one) => one.status),
    ['succeeded', 'requires_payment_method', 'processing', 'requires_payment_method']);
  assert.equal(after[0].latest_charge.status, 'succeeded');
  assert.equal(after[1].last_payment_error.code, 'insufficient_funds');
  assert.equal(after[1].last_payment_error.charge, after[1].latest_charge.id);
  assert.equal((await act(open, 'succeed')).status, 'succeeded');
  const seen = await events();
  for (const type of ['payment_intent.processing', 'charge.pending', 'charge.succeeded',
    'charge.failed', 'payment_intent.succeeded', 'payment_intent.payment_failed']) {
    assert.ok(seen.includes(type), type);
  }
  assert.deepEqual(await totals(), { eur: { balance: 4000, paid: 4000 } });
});

test('what somebody has decided is not decided again by time', async () => {
  const intent = await make();
  await act(intent, 'processing', { seconds: 60, cancelable: true });
  assert.equal((await stripe.post(`${intents}/${intent.id}/cancel`, {})).json.status, 'canceled');
  const idle = await make();
  await act(idle, 'expire', { seconds: 60 });
  const paid = await make();
  await act(paid, 'expire', { seconds: 60 });
  await act(paid, 'succeed');
  const held = (await stripe.post(intents, { amount: 500, currency: 'eur', confirm: true,
    capture_method: 'manual', payment_method: 'pm_card_visa' })).json;
  await stripe.clock({ advance: 8 * 86400 });
  assert.equal((await read(intent)).status, 'canceled');
  assert.deepEqual([(await read(idle)).status, (await read(idle)).cancellation_reason],
    ['canceled', 'expired']);
  assert.equal((await read(paid)).status, 'succeeded');
  assert.deepEqual([(await read(held)).status, (await read(held)).cancellation_reason],
    ['canceled', 'automatic']);
});

test('refunds are partial, wait, fail at once or much later', async () => {
  const intent = await pay();
  const first = (await refund(intent, { amount: 500 })).json;
  assert.equal((await read(intent)).latest_charge.amount_refunded, 500);
  const much = await refund(intent, { amount: 1501 });
  assert.deepEqual([much.status, much.json.error.param], [400, 'amount']);
  await stripe.control('POST', `payment_intents/${intent.id}`,
    { refunds: { status: 'pending', then: 'failed', seconds: 60, failure_reason: 'lost_or_stolen_card' } });
  const second = (await refund(intent)).json;
  assert.deepEqual([second.status, second.amount], ['pending', 1500]);
  assert.equal((await refund(intent)).json.error.code, 'charge_already_refunded');
  assert.equal((await read(intent)).latest_charge.refunded, true);
  await stripe.clock({ advance: 61 });
  const list = (await stripe.get('/v1/refunds', { payment_intent: intent.id, limit: 100 })).json;
  assert.deepEqual(list.data.map((one) => [one.id, one.status, one.failure_reason]),
    [[second.id, 'failed', 'lost_or_stolen_card'], [first.id, 'succeeded', undefined]]);
  assert.equal((await read(intent)).latest_charge.amount_refunded, 500);
  await stripe.control('POST', `refunds/${first.id}`, { action: 'fail' });
  await rejects(stripe.control('POST', `refunds/${first.id}`, { action: 'succeed' }));
  assert.equal((await read(intent)).latest_charge.amount_refunded, 0);
  await act(intent, 'refund', { amount: 200 });
  const seen = await events();
  for (const type of ['charge.refunded', 'refund.created', 'refund.updated', 'refund.failed']) {
    assert.ok(seen.includes(type), type);
  }
  assert.deepEqual(await totals(),
    { eur: { balance: 1800, paid: 2000, refunded: 2200, refund_failed: 2000 } });
});

test('cards whose refunds wait or fail, and a transfer that needs a word', async () => {
  const waits = (await refund(await pay('pm_card_pendingRefund'))).json;
  const fails = (await refund(await pay('pm_card_refundFail'))).json;
  assert.deepEqual([waits.status, fails.status], ['pending', 'succeeded']);
  await stripe.clock({ advance: 61 });
  const status = async (one) => (await stripe.get(`/v1/refunds/${one.id}`)).json.status;
  assert.deepEqual([await status(waits), await status(fails)], ['succeeded', 'failed']);
  const plain = await refund(await pay(), { reverse_transfer: true });
  assert.deepEqual([plain.status, plain.json.error.param], [400, 'reverse_transfer']);
  const shared = await make({ transfer_data: { destination: 'acct_other' }, application_fee_amount: 100 });
  await act(shared, 'succeed');
  const both = await refund(shared, { reverse_transfer: true, refund_application_fee: true });
  assert.equal(both.status, 200, both.text);
});

test('disputes take the money, and give it back when they are won', async () => {
  const won = await pay();
  const lost = await pay('pm_card_createDispute');
  const asked = await pay('pm_card_createDisputeInquiry');
  await act(won, 'dispute', { reason: 'product_not_received' });
  await rejects(act(won, 'dispute'));
  assert.equal((await read(won)).latest_charge.disputed, true);
  assert.equal((await refund(won)).json.error.code, 'charge_disputed');
  assert.equal((await totals()).eur.balance, 2000);
  await act(won, 'dispute_updated');
  await act(won, 'dispute_won');
  await act(lost, 'dispute_lost');
  await act(asked, 'dispute_won');
  await rejects(act(won, 'dispute_lost'));
  const status = async (intent) => (await stripe.get('/v1/disputes',
    { payment_intent: intent.id })).json.data.map((one) => [one.status, one.reason, one.amount]);
  assert.deepEqual(await status(won), [['won', 'product_not_received', 2000]]);
  assert.deepEqual(await status(lost), [['lost', 'fraudulent', 2000]]);
  assert.deepEqual(await status(asked), [['warning_closed', 'fraudulent', 2000]]);
  assert.equal((await refund(won)).status, 200);
  assert.equal((await refund(lost)).json.error.code, 'charge_disputed');
  const seen = await events();
  for (const [type, count] of Object.entries({ created: 3, updated: 1, closed: 3,
    funds_withdrawn: 2, funds_reinstated: 1 })) {
    assert.equal(seen.filter((one) => one === `charge.dispute.${type}`).length, count, type);
  }
  assert.deepEqual(await totals(), { eur: { balance: 2000, paid: 6000, disputed: 4000,
    dispute_won: 2000, refunded: 2000 } });
});

test('amounts that Stripe does not take', async () => {
  const refused = async (amount, currency) => {
    const answer = await stripe.post(intents, { amount, currency });
    return answer.status === 200 ? answer.json.currency : `${answer.json.error.param} ${answer.json.error.code}`;
  };
  const wrong = 'amount parameter_invalid_integer';
  assert.equal(await refused(5001, 'kwd'), wrong);
  assert.equal(await refused(5010, 'KWD'), 'kwd');
  assert.equal(await refused(200050, 'isk'), wrong);
  assert.equal(await refused(200000, 'ugx'), 'ugx');
  assert.equal(await refused(29, 'gbp'), wrong);
  assert.equal(await refused(49, 'usd'), wrong);
  assert.equal(await refused('1.5', 'usd'), wrong);
  assert.equal(await refused(100000000, 'usd'), 'amount amount_too_large');
  assert.equal(await refused(100000000, 'idr'), 'idr');
  assert.equal(await refused(500, 'xyz'), 'currency undefined');
  assert.equal((await stripe.get(intents)).json.data.length, 3);
});

test('parameters that a PaymentIntent does not know', async () => {
  const param = async (more) => {
    const { status, json } = await stripe.post(intents, { amount: 500, currency: 'eur', ...more });
    return [status, json.error?.param];
  };
  assert.deepEqual(await param({ members: 3 }), [400, 'members']);
  assert.deepEqual(await param({ transfer_data: { to: 'acct_x' } }), [400, 'transfer_data[to]']);
  assert.deepEqual(await param({ transfer_data: { destination: 'x' } }), [400, 'transfer_data[destination]']);
  assert.deepEqual(await param({ receipt_email: 'nobody' }), [400, 'receipt_email']);
  assert.deepEqual(await param({ setup_future_usage: 'later' }), [400, 'setup_future_usage']);
  assert.deepEqual(await param({ application_fee_amount: 501 }), [400, 'application_fee_amount']);
  assert.deepEqual(await param({ on_behalf_of: 'acct_x', setup_future_usage: 'off_session' }), [200, undefined]);
});

test('lists by customer and time, and all at once by control', async () => {
  const customer = (await stripe.post('/v1/customers', {})).json.id;
  await stripe.clock({ freeze: true });
  const old = await make({ customer, metadata: { member: 'a' } });
  await stripe.clock({ advance: 100 });
  const fresh = await make({ customer, metadata: { member: 'b' } });
  await make();
  const ids = async (params) => (await stripe.get(intents, params)).json.data.map((one) => one.id);
  assert.deepEqual(await ids({ customer }), [fresh.id, old.id]);
  assert.deepEqual(await ids({ customer, created: { gte: old.created, lte: old.created } }), [old.id]);
  assert.deepEqual(await ids({ customer, created: { gte: old.created + 1 } }), [fresh.id]);
  assert.deepEqual(await ids({ customer, limit: 1, starting_after: fresh.id }), [old.id]);
  const one = await stripe.control('GET', 'payment_intents?metadata[member]=a&status=requires_*');
  assert.deepEqual(one.payment_intents.map((intent) => intent.id), [old.id]);
});

test('a browser has a publishable key and a client secret, and may read and confirm', async () => {
  const browser = { apiKey: 'pk_test_simulator' };
  const intent = await make({ metadata: { member: 'a' } });
  const path = `${intents}/${intent.id}`;
  const { client_secret } = intent;
  const code = ({ status, json }) => [status, json.error.code];
  assert.deepEqual(code(await stripe.get(path, {}, browser)), [400, 'parameter_missing']);
  assert.deepEqual(code(await stripe.get(path, { client_secret: 'pi_no' }, browser)),
    [400, 'payment_intent_invalid_parameter']);
  assert.deepEqual(code(await stripe.post(`${path}/cancel`, {}, browser)), [401, 'secret_key_required']);
  const seen = (await stripe.get(path, { client_secret }, browser)).json;
  assert.deepEqual([seen.status, seen.metadata], ['requires_payment_method', undefined]);
  const declined = await stripe.post(`${path}/confirm`,
    { client_secret, payment_method: 'pm_card_chargeCustomerFail' }, browser);
  assert.deepEqual([declined.status, declined.json.error.payment_intent.metadata], [402, undefined]);
  const paid = await stripe.post(`${path}/confirm`, { client_secret, payment_method: 'pm_card_visa' }, browser);
  assert.equal(paid.json.status, 'succeeded');
  const late = await stripe.post(`${path}/confirm`, { client_secret, payment_method: 'pm_card_visa' }, browser);
  assert.deepEqual(code(late), [400, 'payment_intent_unexpected_state']);
});
