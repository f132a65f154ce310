// Where the simulator was once more lenient than Stripe: each of these would hide a mistake of whoever
// is tested with it.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { Simulator, receiver } from './simulator.mjs';

let stripe;
before(async () => { stripe = await Simulator.start(); });
after(() => stripe.stop());
beforeEach(() => stripe.reset());

const refuses = (answer, status, param) =>
  assert.deepEqual([answer.status, answer.json.error.param], [status, param], answer.text);

test('answers and webhooks are written over many lines, as Stripe writes them', async () => {
  const made = await stripe.post('/v1/customers', { name: 'A "b", {c}: [d]' });
  assert.equal(made.text, JSON.stringify(made.json, null, 2));
  assert.match(made.text, /^\{\n {2}"id": "cus_/);
  const failed = await stripe.get('/v1/customers/cus_none');
  assert.equal(failed.text, JSON.stringify(failed.json, null, 2));
  const hook = await receiver();
  await stripe.control('POST', 'webhooks', { url: hook.url, secret: 'whsec_x' });
  await stripe.post('/v1/customers', { name: 'b' });
  while (hook.received.length === 0) await new Promise((next) => setTimeout(next, 5));
  const body = hook.received[0].body.toString();
  assert.equal(body, JSON.stringify(JSON.parse(body), null, 2));
  await hook.close();
});

test('what a test has written as an answer goes out as it is', async () => {
  await stripe.fault({ fault: 'answer', body: '{"object":"thing"}' });
  assert.equal((await stripe.get('/v1/account')).text, '{"object":"thing"}');
});

test('a replay is the same text', async () => {
  const first = await stripe.post('/v1/customers', { name: 'a' }, { key: 'k' });
  const again = await stripe.post('/v1/customers', { name: 'a' }, { key: 'k' });
  assert.equal(again.text, first.text);
});

test('a key on another endpoint says that it is one', async () => {
  const id = (await stripe.post('/v1/customers', { name: 'a' }, { key: 'k' })).json.id;
  const other = await stripe.post(`/v1/customers/${id}`, { name: 'a' }, { key: 'k' });
  assert.deepEqual([other.status, other.json.error.type], [400, 'idempotency_error']);
  assert.ok(other.json.error.message.startsWith('Keys for idempotent requests can only be used for ' +
    `the same endpoint they were first used for ('/v1/customers' vs '/v1/customers/${id}')`));
  const changed = await stripe.post('/v1/customers', { name: 'b' }, { key: 'k' });
  assert.ok(changed.json.error.message.startsWith(
    'Keys for idempotent requests can only be used with the same parameters'));
});

test('a trailing slash is another path, and searching is no id', async () => {
  const id = (await stripe.post('/v1/customers', { name: 'a' })).json.id;
  for (const path of [`/v1/customers/${id}/`, '/v1/customers/', `/v1//customers/${id}`,
    '/v1/customers/search', '/v1/subscriptions/search']) {
    const answer = await stripe.get(path);
    assert.equal(answer.status, 404, path);
    assert.match(answer.json.error.message, /^Unrecognized request URL/, path);
  }
  assert.equal((await stripe.post('/v1/customers/search', { name: 'x' })).status, 404);
});

test('what is wrong with a quantity is named as it was sent', async () => {
  await stripe.subscribe();
  refuses(await stripe.post('/v1/subscriptions/sub_t',
    { items: [{ id: 'si_price_a', quantity: 'abc' }] }), 400, 'items[0][quantity]');
  refuses(await stripe.post('/v1/subscription_items/si_price_a', { quantity: 'abc' }), 400, 'quantity');
  refuses(await stripe.post('/v1/subscription_items',
    { subscription: 'sub_t', price: 'price_none' }), 400, 'price');
});

test('a refused change of a customer changes nothing', async () => {
  const made = (await stripe.post('/v1/customers', { name: 'a', payment_method: 'pm_card_visa',
    invoice_settings: { default_payment_method: 'pm_card_visa' } })).json;
  const path = `/v1/customers/${made.id}`;
  refuses(await stripe.post(path, { name: 'b', email: 'b@example.com', balance: 'much' }), 400, 'balance');
  refuses(await stripe.post(path, { name: 'b', metadata: { k: 'x'.repeat(501) } }), 400, 'metadata[k]');
  refuses(await stripe.post(path, { name: 'b', metadata: { a: '1' },
    invoice_settings: { default_payment_method: 'pm_none' } }), 400,
  'invoice_settings[default_payment_method]');
  refuses(await stripe.post(path, { invoice_settings: { default_payment_method: 'pm_card_mastercard' },
    balance: 'much' }), 400, 'balance');
  assert.deepEqual((await stripe.get(path)).json, made);
  assert.equal((await stripe.get(`${path}/payment_methods`)).json.data.length, 1);
});

test('a refused change of a PaymentIntent changes nothing', async () => {
  const made = (await stripe.post('/v1/payment_intents', { amount: 2000, currency: 'usd' })).json;
  const path = `/v1/payment_intents/${made.id}`;
  refuses(await stripe.post(path, { amount: 3000, payment_method: 'pm_none' }), 400, 'payment_method');
  refuses(await stripe.post(path, { amount: 3000, customer: 'cus_none' }), 400, 'customer');
  refuses(await stripe.post(`${path}/confirm`,
    { payment_method: 'pm_card_visa', off_session: 'perhaps' }), 400, 'off_session');
  assert.deepEqual((await stripe.get(path)).json, made);
});

test('a PaymentIntent that cannot be confirmed is not made', async () => {
  const refused = await stripe.post('/v1/payment_intents', { amount: 2000, currency: 'usd', confirm: true });
  assert.equal(refused.json.error.code, 'payment_intent_unexpected_state');
  assert.equal((await stripe.get('/v1/payment_intents')).json.data.length, 0);
});

test('billing_cycle_anchor is an object from 2026-09-30 on, and text before', async () => {
  await stripe.subscribe();
  const path = '/v1/subscriptions/sub_t';
  const later = { version: '2026-09-30.endive' };
  refuses(await stripe.post(path, { billing_cycle_anchor: 'unchanged' }, later), 400, 'billing_cycle_anchor');
  refuses(await stripe.post(path, { billing_cycle_anchor: { type: 'unchanged' } }), 400,
    'billing_cycle_anchor[type]');
  refuses(await stripe.post(path, { billing_cycle_anchor: 'now' }), 400, 'billing_cycle_anchor');
  assert.equal((await stripe.post(path, { billing_cycle_anchor: 'unchanged' })).status, 200);
  assert.equal((await stripe.post(path, { billing_cycle_anchor: { type: 'unchanged' } }, later)).status, 200);
});

test('an outage has begun, or is over, when it is answered', async () => {
  for (let round = 0; round < 20; round += 1) {
    await stripe.control('POST', 'outage', { mode: 'refuse' });
    await assert.rejects(stripe.get('/v1/account'), /ECONNREFUSED|ECONNRESET|socket hang up/);
    await stripe.control('POST', 'outage', { mode: 'none' });
    assert.equal((await stripe.get('/v1/account')).status, 200);
  }
});
