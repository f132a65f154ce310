import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { Simulator, until } from './simulator.mjs';

let stripe;
before(async () => {
  stripe = await Simulator.start('--api-key', 'sk_test_one=acct_one', '--api-key',
    'sk_test_two=acct_two', '--api-key', 'sk_live_one=acct_one');
  stripe.apiKey = 'sk_test_one';
});
after(() => stripe.stop());
beforeEach(() => stripe.reset());

test('a keyed success is stored and replayed byte by byte', async () => {
  const first = await stripe.post('/v1/customers', { email: 'a@example.com' }, { key: 'k1' });
  assert.equal(first.status, 200);
  assert.equal(first.headers['idempotency-key'], 'k1');
  assert.equal(first.headers['original-request'], first.headers['request-id']);
  assert.equal(first.headers['stripe-should-retry'], 'false');
  assert.equal(first.headers['idempotent-replayed'], undefined);
  await stripe.post(`/v1/customers/${first.json.id}`, { email: 'b@example.com' });
  const again = await stripe.post('/v1/customers', { email: 'a@example.com' }, { key: 'k1' });
  assert.equal(again.text, first.text, 'a replay tells what was, not what is');
  assert.equal(again.headers['idempotent-replayed'], 'true');
  assert.equal(again.headers['original-request'], first.headers['request-id']);
  assert.notEqual(again.headers['request-id'], first.headers['request-id']);
  assert.equal((await stripe.ledger('?key=k1')).matching, 1);
});

test('the order of parameters does not matter, their values do', async () => {
  await stripe.post('/v1/customers', undefined, { key: 'k', body: 'email=a%40x&name=b' });
  const same = await stripe.post('/v1/customers', undefined, { key: 'k', body: 'name=b&email=a@x' });
  assert.equal(same.headers['idempotent-replayed'], 'true');
  const other = await stripe.post('/v1/customers', { name: 'c', email: 'a@x' }, { key: 'k' });
  assert.equal(other.status, 400);
  assert.equal(other.json.error.type, 'idempotency_error');
  assert.match(other.json.error.message, /can only be used with the same parameters/);
  const endpoint = await stripe.post('/v1/products', { name: 'b' }, { key: 'k' });
  assert.equal(endpoint.json.error.type, 'idempotency_error');
});

test('keys belong to an account and a mode', async () => {
  for (const apiKey of ['sk_test_one', 'sk_test_two', 'sk_live_one']) {
    const answer = await stripe.post('/v1/customers', {}, { key: 'same', apiKey });
    assert.equal(answer.headers['idempotent-replayed'], undefined);
    assert.equal(answer.json.livemode, apiKey.startsWith('sk_live'));
  }
  assert.equal((await stripe.ledger('?key=same')).matching, 3);
});

test('a validation refusal is not stored and leaves the key free', async () => {
  const refused = await stripe.post('/v1/customers', { emial: 'a' }, { key: 'v' });
  assert.equal(refused.status, 400);
  assert.equal(refused.json.error.code, 'parameter_unknown');
  assert.equal(refused.json.error.param, 'emial');
  assert.equal(refused.headers['idempotency-key'], 'v');
  assert.ok(refused.headers['request-id']);
  assert.equal(refused.headers['stripe-should-retry'], undefined);
  const fine = await stripe.post('/v1/customers', { email: 'a' }, { key: 'v' });
  assert.equal(fine.status, 200);
});

test('a 402 is stored, also after the card has been mended', async () => {
  await stripe.subscribe({ price_a: [1000, 5] }, { account: 'acct_one', card: 'declined' });
  const change = { items: [{ id: 'si_price_a', quantity: 9 }],
    proration_behavior: 'always_invoice', payment_behavior: 'error_if_incomplete' };
  const refused = await stripe.post('/v1/subscriptions/sub_t', change, { key: 'p' });
  assert.equal(refused.status, 402);
  assert.equal(refused.headers['stripe-should-retry'], 'false');
  await stripe.card('ok');
  const again = await stripe.post('/v1/subscriptions/sub_t', change, { key: 'p' });
  assert.equal(again.status, 402);
  assert.equal(again.headers['idempotent-replayed'], 'true');
  assert.equal((await stripe.post('/v1/subscriptions/sub_t', change, { key: 'q' })).status, 200);
});

test('409 while the first hangs, a replay afterwards', async () => {
  await stripe.fault({ match: { key: 'h' }, fault: 'hang' });
  const first = stripe.post('/v1/customers', {}, { key: 'h' });
  await until(async () => (await stripe.requests('?state=hanging')).matching === 1);
  const second = await stripe.post('/v1/customers', {}, { key: 'h' });
  assert.equal(second.status, 409);
  assert.equal(second.json.error.code, 'idempotency_key_in_use');
  assert.equal((await stripe.ledger()).total, 0);
  assert.deepEqual(await stripe.control('POST', 'release', {}), { released: 1 });
  assert.equal((await first).status, 200);
  const third = await stripe.post('/v1/customers', {}, { key: 'h' });
  assert.equal(third.headers['idempotent-replayed'], 'true');
});

test('keys are pruned after 24 hours of the settable clock', async () => {
  await stripe.clock({ freeze: true });
  const first = await stripe.post('/v1/customers', {}, { key: 'old' });
  await stripe.clock({ advance: 24 * 3600 - 1 });
  const replay = await stripe.post('/v1/customers', {}, { key: 'old' });
  assert.equal(replay.json.id, first.json.id);
  await stripe.clock({ advance: 1 });
  const fresh = await stripe.post('/v1/customers', {}, { key: 'old' });
  assert.notEqual(fresh.json.id, first.json.id);
  const ledger = await stripe.ledger('?summary=true');
  assert.deepEqual(ledger.executed_twice, ['old']);
});

test('single keys can be forgotten', async () => {
  const make = key => stripe.post('/v1/customers', { name: 'x' }, { key });
  const [first, other] = [await make('one-1'), await make('two-1')];
  assert.equal((await stripe.control('POST', 'idempotency_keys', { forget: 'one-*' })).forgotten, 1);
  assert.notEqual((await make('one-1')).json.id, first.json.id);
  assert.equal((await make('two-1')).json.id, other.json.id);
});

test('keys: length, GET, DELETE', async () => {
  assert.equal((await stripe.post('/v1/customers', {}, { key: 'x'.repeat(255) })).status, 200);
  assert.equal((await stripe.post('/v1/customers', {}, { key: 'x'.repeat(256) })).status, 400);
  const read = await stripe.get('/v1/account', {}, { key: 'g' });
  assert.equal(read.headers['idempotency-key'], 'g');
  const again = await stripe.get('/v1/account', {}, { key: 'g' });
  assert.equal(again.headers['idempotent-replayed'], undefined);
});

test('401 says neither Request-Id nor Stripe-Version', async () => {
  for (const apiKey of [null, 'sk_test_wrong_key_1234']) {
    const answer = await stripe.post('/v1/customers', {}, { key: 'u', apiKey });
    assert.equal(answer.status, 401);
    assert.equal(answer.headers['request-id'], undefined);
    assert.equal(answer.headers['stripe-version'], undefined);
    assert.equal(answer.headers['idempotency-key'], undefined);
    assert.equal(answer.json.error.type, 'invalid_request_error');
  }
});

test('versions, keys, accounts and unknown URLs', async () => {
  const bad = await stripe.get('/v1/account', {}, { version: '2026-05-27.clover' });
  assert.equal(bad.status, 400);
  assert.match(bad.json.error.message, /Invalid Stripe API version/);
  const good = await stripe.get('/v1/account', {}, { version: '2025-09-30.clover' });
  assert.equal(good.headers['stripe-version'], '2025-09-30.clover');
  assert.equal(good.json.id, 'acct_one');
  assert.equal((await stripe.get('/v1/nothing')).status, 404);
  const other = await stripe.get('/v1/account', {}, { headers: { 'Stripe-Account': 'acct_x' } });
  assert.equal(other.status, 403);
  await stripe.control('POST', 'keys', { key: 'sk_test_new', account: 'acct_one' });
  assert.equal((await stripe.get('/v1/account', {}, { apiKey: 'sk_test_new' })).status, 200);
  await stripe.control('POST', 'keys', { key: 'sk_test_new', revoke: true });
  assert.equal((await stripe.get('/v1/account', {}, { apiKey: 'sk_test_new' })).status, 401);
  await stripe.control('POST', 'keys', { key: 'sk_test_new', state: 'expired' });
  const expired = await stripe.get('/v1/account', {}, { apiKey: 'sk_test_new' });
  assert.equal(expired.json.error.code, 'api_key_expired');
});

test('an object of the other mode is named as such', async () => {
  const live = await stripe.post('/v1/customers', {}, { apiKey: 'sk_live_one' });
  const answer = await stripe.get(`/v1/customers/${live.json.id}`);
  assert.equal(answer.status, 404);
  assert.match(answer.json.error.message,
    /a similar object exists in live mode, but a test mode key was used/);
});
