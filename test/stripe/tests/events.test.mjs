import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, beforeEach, test } from 'node:test';
import { Simulator, receiver, sleep, until } from './simulator.mjs';

let stripe;
let hook;
const secret = 'whsec_test_secret_0123456789abcdef';
before(async () => {
  stripe = await Simulator.start();
  hook = await receiver();
});
after(async () => {
  await stripe.stop();
  await hook.close();
});
beforeEach(async () => {
  await stripe.reset();
  hook.received.length = 0;
  hook.status = 200;
});

const listen = (more = {}) => stripe.control('POST', 'webhooks', { url: hook.url, secret, ...more });
const arrived = (count) => until(() => hook.received.length >= count, `${count} deliveries`);
function verify({ headers, body }, key = secret) {
  const parts = headers['stripe-signature'].split(',').map((part) => part.split('='));
  const t = parts.find(([name]) => name === 't')[1];
  const wanted = createHmac('sha256', key).update(`${t}.`).update(body).digest('hex');
  assert.ok(parts.some(([name, value]) => name === 'v1' && value === wanted), 'signature');
  return Number(t);
}

test('the vectors of the signature', async () => {
  // The receiver's check against known results; then the simulator's against the receiver's.
  const vectors = [
    ['{"id":"evt_1","object":"event"}',
      'f81891d9c5115555d9b4ca09689b89904fff5e78642936b988072bdd96c49bb0'],
    ['{\n  "id": "evt_2",\n  "object": "event",\n  "name": "Zoë – 日本"\n}',
      'bac0e64ee5dcc35a41c7d251e277868c4487ee5df51792feac0724e552dba85c'],
  ];
  await stripe.clock({ freeze: true, set: 1700000000 });
  await listen({ timestamp: 'simulated' });
  for (const [index, [body, v1]] of vectors.entries()) {
    await stripe.control('POST', 'webhooks/send', { body });
    await arrived(index + 1);
    assert.equal(hook.received[index].body.toString(), body);
    assert.equal(hook.received[index].headers['stripe-signature'], `t=1700000000,v1=${v1}`);
  }
});

test('events tell their request, their key and what changed', async () => {
  await listen({ events: ['customer.subscription.*', 'invoice.paid'] });
  await stripe.subscribe();
  await stripe.post('/v1/subscriptions/sub_t', { items: [{ id: 'si_price_a', quantity: 7 }],
    proration_behavior: 'always_invoice', metadata: { a: 'b' } }, { key: 'mine' });
  await arrived(2);
  const events = hook.events();
  assert.deepEqual(events.map((event) => event.type).sort(),
    ['customer.subscription.updated', 'invoice.paid']);
  const updated = events.find((event) => event.type === 'customer.subscription.updated');
  assert.equal(updated.request.idempotency_key, 'mine');
  assert.equal(updated.data.object.items.data[0].quantity, 7);
  const before = updated.data.previous_attributes;
  assert.equal(before.items.data[0].quantity, 5);
  assert.deepEqual(before.metadata, { a: null });
  assert.equal(before.latest_invoice, null);
  assert.equal(updated.api_version, '2026-05-27.dahlia');
  for (const delivery of hook.received) {
    assert.ok(Math.abs(verify(delivery) - Date.now() / 1000) < 5);
  }
});

test('an endpoint has its own version and may have two secrets', async () => {
  await listen({ api_version: '2024-06-20', secret: [secret, 'whsec_new'],
    events: ['customer.subscription.updated'] });
  await stripe.subscribe();
  await stripe.post('/v1/subscriptions/sub_t', { metadata: { a: 'b' } });
  await arrived(1);
  verify(hook.received[0]);
  verify(hook.received[0], 'whsec_new');
  const [event] = hook.events();
  assert.equal(event.api_version, '2024-06-20');
  assert.ok(event.data.object.current_period_end > 0);
});

test('failed deliveries are tried again, with a new signature', async () => {
  let answers = 0;
  hook.status = () => (++answers < 3 ? 500 : 200);
  await listen({ retry_ms: [20, 20, 20] });
  await stripe.post('/v1/customers', {});
  await arrived(3);
  await until(async () => (await stripe.control('GET', 'webhooks?state=delivered'))
    .deliveries.length === 1);
  assert.equal(new Set(hook.events().map((event) => event.id)).size, 1);
  hook.status = 400;
  await listen({ id: 'we_1', retry_ms: [10] });
  await stripe.post('/v1/customers', {});
  await until(async () => (await stripe.control('GET', 'webhooks?state=failed'))
    .deliveries.length === 1);
});

test('twice, late, backwards, held back, once more', async () => {
  await listen({ id: 'we', duplicate: true });
  await stripe.post('/v1/customers', { name: 'a' });
  await arrived(2);
  const [one, two] = hook.events();
  assert.equal(one.id, two.id);
  hook.received.length = 0;
  await listen({ id: 'we', delay_ms: 200 });
  await stripe.post('/v1/customers', { name: 'b' });
  await sleep(50);
  assert.equal(hook.received.length, 0);
  await arrived(1);
  hook.received.length = 0;
  await listen({ id: 'we', reorder: 3 });
  for (const name of ['1', '2', '3']) await stripe.post('/v1/customers', { name });
  await arrived(3);
  assert.deepEqual(hook.events().map((event) => event.data.object.name), ['3', '2', '1']);
  hook.received.length = 0;
  await listen({ id: 'we', hold: true });
  await stripe.post('/v1/customers', { name: 'held' });
  await sleep(50);
  assert.equal(hook.received.length, 0);
  await stripe.control('POST', 'webhooks/release', {});
  await arrived(1);
  const id = hook.events()[0].id;
  await listen({ id: 'we' });
  await stripe.control('POST', 'webhooks/send', { event: id });
  await arrived(2);
  assert.equal(hook.events()[1].id, id);
});

test('events are listed by type and time, in pages', async () => {
  await stripe.clock({ freeze: true, set: 1800000000 });
  for (let i = 0; i < 5; ++i) {
    await stripe.post('/v1/customers', { name: `${i}` }, { key: `k${i}` });
    await stripe.clock({ advance: 10 });
  }
  await stripe.post('/v1/products', { name: 'p' });
  const list = async (params) => (await stripe.get('/v1/events', params)).json;
  const all = await list({ types: ['customer.created', 'customer.updated'], limit: 3 });
  assert.deepEqual([all.data.map((event) => event.data.object.name), all.has_more],
    [['4', '3', '2'], true]);
  const rest = await list({ type: 'customer.*', starting_after: all.data[2].id });
  assert.deepEqual(rest.data.map((event) => event.request.idempotency_key), ['k1', 'k0']);
  const since = await list({ created: { gte: 1800000030 } });
  assert.equal(since.data.length, 3);
  const newer = await list({ ending_before: all.data[0].id });
  assert.deepEqual(newer.data.map((event) => event.type), ['product.created']);
  const single = await stripe.get(`/v1/events/${rest.data[0].id}`);
  assert.equal(single.json.id, rest.data[0].id);
  await stripe.clock({ advance: 31 * 86400 });
  assert.equal((await list({})).data.length, 0);
});

test("somebody else's change has no request", async () => {
  await listen({ events: ['customer.subscription.updated'] });
  await stripe.subscribe();
  await stripe.control('POST', 'subscriptions/sub_t', { quantities: { price_a: 11 } });
  await arrived(1);
  const [event] = hook.events();
  assert.equal(event.request.idempotency_key, null);
  assert.equal(event.data.object.items.data[0].quantity, 11);
});
