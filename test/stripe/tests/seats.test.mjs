// What a change of seats meets: items, pending updates, other people's changes, requests in between.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { Simulator, until } from './simulator.mjs';

let stripe;
const month = 30 * 86400; // April 2026
const start = Date.UTC(2026, 3, 1) / 1000;
before(async () => { stripe = await Simulator.start(); });
after(() => stripe.stop());
beforeEach(async () => {
  await stripe.reset();
  await stripe.clock({ freeze: true, set: start });
});

const sub = '/v1/subscriptions/sub_t';
const get = async (expand = []) => (await stripe.get(sub, { expand })).json;
const change = (items, more = {}, options) => stripe.post(sub,
  { items, proration_behavior: 'always_invoice', ...more }, options);
const seats = (quantity, more = {}, options) => change([{ id: 'si_price_a', quantity }], more, options);
const pend = async (quantity, more = {}) => (await seats(quantity, { metadata: { pg_seats: 'op' },
  payment_behavior: 'pending_if_incomplete', ...more })).json;
const edit = (body) => stripe.control('POST', 'subscriptions/sub_t', body);
const events = async (params = {}) => (await stripe.get('/v1/events', { limit: 100, ...params }))
  .json.data.reverse();
const types = async () => (await events()).map((event) => event.type);
const updated = () => events({ types: ['customer.subscription.updated'] });
const quantities = (list) => Object.fromEntries(list.map((item) => [item.id, item.quantity]));
const sixteen = Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`price_${i + 10}`, [100, 1]]));
async function price(unit_amount) {
  const product = (await stripe.post('/v1/products', { name: 'x' })).json.id;
  return (await stripe.post('/v1/prices', { currency: 'usd', unit_amount, product,
    recurring: { interval: 'month' } })).json.id;
}

test('one change of several items answers with its invoice', async () => {
  await stripe.subscribe({ price_a: [1000, 5], price_b: [500, 2], price_c: [200, 3] });
  await stripe.clock({ advance: month / 2 });
  const added = await price(400);
  const answer = await change([{ id: 'si_price_a', quantity: 8 }, { id: 'si_price_b', deleted: true },
    { id: 'si_price_c', quantity: 0 }, { price: added, quantity: 10 }],
  { expand: ['latest_invoice'], metadata: { pg_seats: 'op-1' }, proration_date: start + month / 2,
    payment_behavior: 'error_if_incomplete' }, { key: 'one' });
  assert.equal(answer.status, 200);
  const invoice = answer.json.latest_invoice;
  assert.deepEqual([invoice.object, invoice.status, invoice.amount_due, invoice.currency],
    ['invoice', 'paid', 1500 - 500 - 300 + 2000, 'usd']);
  assert.match(invoice.id, /^in_/);
  assert.match(invoice.hosted_invoice_url, /^https:/);
  assert.equal(answer.json.metadata.pg_seats, 'op-1');
  const [a, c, fresh] = answer.json.items.data;
  assert.deepEqual([a.quantity, c.quantity, fresh.price.id, fresh.quantity], [8, 0, added, 10]);
  assert.equal(answer.json.items.data.length, 3);
  const [row] = (await stripe.ledger('?key=one')).executed;
  assert.deepEqual(row.quantities, { before: { si_price_a: 5, si_price_b: 2, si_price_c: 3 },
    after: { si_price_a: 8, si_price_c: 0, [fresh.id]: 10 } });
  assert.equal((await get(['latest_invoice'])).latest_invoice.id, invoice.id);
});

test('an item that is new is not charged for time before its period', async () => {
  await stripe.subscribe();
  await stripe.clock({ advance: month / 2 });
  const product = (await stripe.post('/v1/products', { name: 'x' })).json.id;
  const yearly = (await stripe.post('/v1/prices', { currency: 'usd', unit_amount: 12000, product,
    recurring: { interval: 'year' } })).json.id;
  const answer = await change([{ price: yearly }], { proration_date: start, expand: ['latest_invoice'] });
  assert.equal(answer.json.latest_invoice.total, 12000);
});

test('sixteen items: ten inline, the rest in pages', async () => {
  await stripe.subscribe(sixteen);
  const { items } = await get();
  assert.deepEqual([items.data.length, items.has_more], [10, true]);
  const rest = (await stripe.get('/v1/subscription_items',
    { subscription: 'sub_t', limit: 100, starting_after: items.data.at(-1).id })).json;
  assert.deepEqual([rest.data.length, rest.has_more], [6, false]);
  assert.deepEqual([...items.data, ...rest.data].map((item) => item.id),
    Object.keys(sixteen).map((id) => `si_${id}`));
  const all = (await stripe.get('/v1/subscription_items', { subscription: 'sub_t', limit: 100 })).json;
  assert.deepEqual([all.data.length, all.has_more], [16, false]);
});

test('an event tells the old items and the request that caused it', async () => {
  await stripe.subscribe({ price_a: [1000, 5], price_b: [500, 2] });
  const made = await seats(7, {}, { key: 'mine' });
  const [event] = await updated();
  assert.deepEqual(event.request,
    { id: made.headers['request-id'], idempotency_key: 'mine' });
  assert.deepEqual(quantities(event.data.previous_attributes.items.data),
    { si_price_a: 5, si_price_b: 2 });
  assert.deepEqual(Object.keys(event.data.previous_attributes.items), ['data'],
    'of the list only what differs, as Stripe does');
  await stripe.post(sub, { metadata: { a: 'b' } });
  assert.equal((await updated())[1].data.previous_attributes.items, undefined);
});

test('a change of the twelfth item makes an event, too', async () => {
  await stripe.subscribe(sixteen);
  await edit({ quantities: { si_price_21: 9 } });
  await change([{ id: 'si_price_22', quantity: 4 }], { proration_behavior: 'none' });
  const seen = await updated();
  assert.equal(seen.length, 2);
  for (const event of seen) {
    assert.equal(event.data.previous_attributes.items.data.length, 10);
  }
});

test('events since a time, forwards and backwards in pages', async () => {
  await stripe.subscribe();
  for (let i = 6; i < 12; ++i) {
    await stripe.clock({ advance: 100 });
    await seats(i, { proration_behavior: 'none' }, { key: `k${i}` });
  }
  const list = async (params) => (await stripe.get('/v1/events',
    { types: ['customer.subscription.updated', 'customer.subscription.deleted'], ...params })).json;
  const keys = (page) => page.data.map((event) => event.request.idempotency_key);
  const newest = await list({ created: { gte: start + 300 }, limit: 2 });
  assert.deepEqual([keys(newest), newest.has_more], [['k11', 'k10'], true]);
  const older = await list({ created: { gte: start + 300 }, limit: 2, starting_after: newest.data[1].id });
  assert.deepEqual([keys(older), older.has_more], [['k9', 'k8'], false]);
  const newer = await list({ ending_before: older.data[1].id, limit: 2 });
  assert.deepEqual([keys(newer), newer.has_more], [['k10', 'k9'], true]);
});

test('a pending update shows the items that it changes', async () => {
  await stripe.subscribe({ price_a: [1000, 5], price_b: [500, 2] }, { card: 'declined' });
  const pending = await pend(8, { expand: ['latest_invoice'] });
  assert.deepEqual(quantities(pending.pending_update.subscription_items), { si_price_a: 8 });
  assert.equal(pending.latest_invoice.status, 'open');
  assert.equal(pending.metadata.pg_seats, undefined);
  assert.equal((await stripe.ledger()).executed[0].outcome, 'pending');
});

test('an item whose deletion must be paid for stays until then', async () => {
  await stripe.subscribe({ price_a: [1000, 5], price_b: [500, 2] }, { card: 'declined' });
  await seats(8, { proration_behavior: 'create_prorations' });
  const gone = '/v1/subscription_items/si_price_b';
  await stripe.delete(gone, { payment_behavior: 'pending_if_incomplete',
    proration_behavior: 'always_invoice' });
  assert.deepEqual(quantities((await get()).items.data), { si_price_a: 8, si_price_b: 2 });
  await stripe.card('ok');
  await stripe.post(`/v1/invoices/${(await get()).latest_invoice}/pay`, {});
  assert.deepEqual(quantities((await get()).items.data), { si_price_a: 8 });
  assert.equal((await stripe.get(gone)).status, 404);
});

test('voiding discards a pending update, which is no expiry', async () => {
  await stripe.subscribe(undefined, { card: 'declined' });
  const { latest_invoice: id } = await pend(8);
  const voided = await stripe.post(`/v1/invoices/${id}/void`, {}, { key: 'void' });
  assert.deepEqual([voided.status, voided.json.status], [200, 'void']);
  const now = await get();
  assert.deepEqual([now.pending_update, now.items.data[0].quantity, now.metadata], [null, 5, {}]);
  const event = (await updated()).at(-1);
  assert.equal(event.request.idempotency_key, 'void');
  assert.equal(event.data.previous_attributes.pending_update.subscription_items[0].quantity, 8);
  assert.ok(!(await types()).includes('customer.subscription.pending_update_expired'));
  assert.equal((await stripe.post(`/v1/invoices/${id}/void`, {})).status, 400);
  assert.equal((await stripe.post(`/v1/invoices/${id}/pay`, {})).status, 400);
});

test('paying applies a pending update; what is paid is neither paid nor voided again', async () => {
  await stripe.subscribe(undefined, { card: 'declined' });
  const { latest_invoice: id } = await pend(8);
  await stripe.card('ok');
  assert.equal((await stripe.post(`/v1/invoices/${id}/pay`, {}, { key: 'pay' })).json.status, 'paid');
  const now = await get();
  assert.deepEqual([now.pending_update, now.items.data[0].quantity, now.metadata],
    [null, 8, { pg_seats: 'op' }]);
  const event = (await updated()).at(-1);
  assert.equal(event.request.idempotency_key, 'pay');
  assert.equal(event.data.previous_attributes.items.data[0].quantity, 5);
  const [row] = (await stripe.ledger('?key=pay')).executed;
  assert.deepEqual(row.quantities, { before: { si_price_a: 5 }, after: { si_price_a: 8 } });
  const again = await stripe.post(`/v1/invoices/${id}/pay`, {});
  assert.deepEqual([again.status, again.json.error.code], [400, 'invoice_already_paid']);
  const late = await stripe.post(`/v1/invoices/${id}/void`, {});
  assert.deepEqual([late.status, late.json.error.type], [400, 'invalid_request_error']);
});

test('an expiry has both events, of nobody', async () => {
  await stripe.subscribe(undefined, { card: 'declined' });
  await pend(8);
  await stripe.clock({ advance: 23 * 3600 });
  const seen = (await events()).slice(-2);
  assert.deepEqual(seen.map((event) => event.type),
    ['customer.subscription.updated', 'customer.subscription.pending_update_expired']);
  for (const event of seen) assert.deepEqual(event.request, { id: null, idempotency_key: null });
});

test('the Dashboard: quantities, items added and removed', async () => {
  await stripe.subscribe({ price_a: [1000, 5], price_b: [500, 2] });
  const now = await edit({ quantities: { price_a: 6 }, remove: ['si_price_b'],
    add: [{ price: 'price_new', unit_amount: 1000, quantity: 2 }, { id: 'si_own', price: 'price_a' }] });
  assert.deepEqual(now.items.data.map((item) => [item.price.id, item.quantity]),
    [['price_a', 6], ['price_new', 2], ['price_a', 1]]);
  assert.equal(now.items.data[2].id, 'si_own');
  assert.equal(now.items.data[1].current_period_end, start + month);
  assert.equal(now.items.data[1].price.unit_amount, 1000);
  const [event] = await updated();
  assert.deepEqual(event.request, { id: null, idempotency_key: null });
  assert.deepEqual(quantities(event.data.previous_attributes.items.data),
    { si_price_a: 5, si_price_b: 2 });
  assert.equal((await stripe.ledger()).total, 0);
  assert.equal((await seats(7)).status, 200);
  assert.equal((await stripe.get('/v1/subscription_items/si_own')).json.quantity, 1);
  assert.equal((await stripe.get('/v1/subscription_items/si_price_b')).status, 404);
  for (const bad of [{ quantity: 1 }, { quantities: { no: 1 } }, { quantities: { price_a: 'x' } },
    { remove: ['no'] }, { add: [{}] }, { add: [{ id: 'si_own', price: 'price_a' }] },
    { remove: ['price_a', 'price_new'] }, { proration_behavior: 'always_invoice' }]) {
    await assert.rejects(edit(bad), /400|error/, JSON.stringify(bad));
  }
});

test('the Dashboard may have a request of its own, and prorate', async () => {
  await stripe.subscribe();
  await stripe.clock({ advance: month / 2 });
  await edit({ quantities: { price_a: 7 }, proration_behavior: 'create_prorations', request: true });
  const [event] = await updated();
  assert.match(event.request.id, /^req_/);
  assert.match(event.request.idempotency_key, /^dashboard-/);
  await edit({ metadata: { a: 'b' } });
  assert.equal((await updated())[1].request.id, null);
  const invoice = (await seats(8, { expand: ['latest_invoice'] })).json.latest_invoice;
  assert.equal(invoice.total, 1000 + 500);
});

test('the Dashboard discards a pending update by changing items, and by nothing less', async () => {
  await stripe.subscribe(undefined, { card: 'declined' });
  const { latest_invoice: id } = await pend(8);
  await edit({ metadata: { a: 'b' } });
  await edit({ quantities: { price_a: 5 } });
  assert.notEqual((await get()).pending_update, null);
  await edit({ quantities: { price_a: 6 } });
  const now = await get();
  assert.deepEqual([now.pending_update, now.items.data[0].quantity], [null, 6]);
  assert.equal((await stripe.get(`/v1/invoices/${id}`)).json.status, 'void');
});

test('the Dashboard cancels, pauses, resumes', async () => {
  await stripe.subscribe(undefined, { card: 'declined' });
  await pend(8);
  const before = (await types()).length;
  await edit({ cancel_at_period_end: true });
  assert.deepEqual([(await get()).cancel_at_period_end, (await get()).cancel_at],
    [true, start + month]);
  await edit({ cancel_at_period_end: false });
  for (const status of ['past_due', 'unpaid', 'paused', 'active']) {
    await edit({ status });
    assert.equal((await get()).status, status);
  }
  await edit({ cancel: true });
  const now = await get();
  assert.deepEqual([now.status, now.ended_at, now.pending_update], ['canceled', start, null]);
  assert.deepEqual((await types()).slice(before).filter((type) => /subscription/.test(type))
    .map((type) => type.replace('customer.subscription.', '')),
  ['updated', 'updated', 'updated', 'updated', 'updated', 'paused', 'updated', 'resumed',
    'updated', 'deleted']);
  await assert.rejects(edit({ status: 'active' }), /over/);
  assert.equal((await seats(9)).status, 404);
});

test('create_preview of items added, deleted and changed costs what the change costs', async () => {
  await stripe.subscribe({ price_a: [1000, 5], price_b: [500, 4] });
  await stripe.clock({ advance: month / 2 });
  const added = await price(2000);
  const items = [{ id: 'si_price_a', quantity: 8 }, { id: 'si_price_b', deleted: true },
    { price: added, quantity: 3 }];
  const proration_date = start + month / 2;
  const preview = await stripe.post('/v1/invoices/create_preview', { customer: 'cus_t',
    subscription: 'sub_t',
    subscription_details: { items, proration_date, proration_behavior: 'always_invoice' } });
  assert.equal(preview.status, 200);
  assert.deepEqual([preview.json.total, preview.json.currency], [1500 - 1000 + 3000, 'usd']);
  assert.ok(preview.json.lines.data.every((line) =>
    line.parent.subscription_item_details.proration));
  assert.equal((await get()).items.data.length, 2);
  const done = await change(items, { proration_date, expand: ['latest_invoice'] });
  assert.equal(done.json.latest_invoice.total, preview.json.total);
  const late = await stripe.post('/v1/invoices/create_preview', { subscription: 'sub_t',
    subscription_details: { items: [{ id: 'si_price_a', quantity: 1 }],
      proration_date: start + month + 1 } });
  assert.deepEqual([late.status, late.json.error.param],
    [400, 'subscription_details[proration_date]']);
});

const hanging = (query) => until(async () =>
  (await stripe.requests(`?state=hanging&${query}`)).matching === 1, query);

test('between the read and the write: a GET whose answer is held is an old answer', async () => {
  await stripe.subscribe();
  await stripe.fault({ match: { method: 'GET', path: sub, nth: 2 }, fault: 'hang', when: 'after' });
  assert.equal((await get()).items.data[0].quantity, 5);
  const reading = get();
  await hanging('method=GET&phase=after');
  await edit({ quantities: { price_a: 9 } });
  assert.equal((await get()).items.data[0].quantity, 9, 'others are not held');
  assert.equal((await stripe.control('POST', 'release', { method: 'POST', path: sub })).released, 0);
  assert.equal((await stripe.control('POST', 'release', { method: 'GET', path: sub })).released, 1);
  assert.equal((await reading).items.data[0].quantity, 5);
});

test('between the read and the write: a GET that is held before it reads, by its query', async () => {
  await stripe.subscribe();
  const items = '/v1/subscription_items';
  await stripe.fault({ match: { method: 'GET', path: items, query: '*starting_after=*' }, fault: 'hang' });
  await stripe.get(items, { subscription: 'sub_t' });
  const reading = stripe.get(items, { subscription: 'sub_t', starting_after: 'si_price_a' });
  await hanging('method=GET&phase=before');
  await edit({ add: [{ price: 'price_b' }] });
  await stripe.control('POST', 'release', { fault: 'hang' });
  assert.equal((await reading).json.data[0].price.id, 'price_b');
});

test('between the read and the write: a POST that is held before it is executed', async () => {
  await stripe.subscribe();
  await stripe.fault({ match: { method: 'POST', path: sub, key: 'mine' }, fault: 'hang' });
  const writing = seats(7, {}, { key: 'mine' });
  await hanging('method=POST&phase=before');
  await edit({ quantities: { price_a: 9 }, add: [{ id: 'si_b', price: 'price_b', quantity: 2 }] });
  assert.equal((await stripe.ledger()).total, 0);
  await stripe.control('POST', 'release', { method: 'POST', path: sub });
  assert.equal((await writing).json.items.data[0].quantity, 7);
  const [row] = (await stripe.ledger()).executed;
  assert.deepEqual(row.quantities,
    { before: { si_price_a: 9, si_b: 2 }, after: { si_price_a: 7, si_b: 2 } });
  const order = await updated();
  assert.deepEqual(order.map((event) => event.request.idempotency_key), [null, 'mine']);
});

test('a 402 counts for both limits, and a limit is resource-specific', async () => {
  await stripe.subscribe(undefined, { card: 'declined' });
  const strict = { payment_behavior: 'error_if_incomplete' };
  await stripe.control('POST', 'limits', { quantity_updates_per_hour: 3 });
  for (let i = 0; i < 3; ++i) assert.equal((await seats(6 + i, strict)).status, 402);
  const limited = async (answer) => {
    assert.deepEqual([answer.status, answer.json.error.code,
      answer.headers['stripe-rate-limited-reason'], answer.headers['idempotent-replayed']],
    [429, 'rate_limit', 'resource-specific', undefined]);
  };
  await limited(await seats(6, { proration_behavior: 'none' }, { key: 'l' }));
  await stripe.clock({ advance: 3600 });
  assert.equal((await seats(6, { proration_behavior: 'none' }, { key: 'l' })).status, 200,
    'the window has passed, and a 429 is not stored');
  await stripe.control('POST', 'limits', { quantity_updates_per_hour: 200 });
  for (let i = 0; i < 10; ++i) assert.equal((await seats(7 + i, strict)).status, 402);
  await limited(await seats(7, strict));
  await stripe.clock({ advance: 60 });
  for (let i = 0; i < 7; ++i) assert.equal((await seats(7 + i, strict)).status, 402);
  await limited(await seats(7, strict));
  await stripe.clock({ advance: 86400 - 60 - 3600 });
  assert.equal((await seats(7, strict)).status, 402, 'the first three are a day old');
});

const cards = { declined: 'generic_decline', 'insufficient_over:100': 'insufficient_funds',
  insufficient_funds: 'insufficient_funds', lost_card: 'lost_card' };
for (const [card, decline_code] of Object.entries(cards)) {
  test(`a card that is ${card} declines as ${decline_code}`, async () => {
    await stripe.subscribe(undefined, { card });
    const refused = await seats(8, { payment_behavior: 'error_if_incomplete' });
    const { latest_invoice: id } = await pend(8);
    for (const { status, json } of [refused, await stripe.post(`/v1/invoices/${id}/pay`, {})]) {
      assert.deepEqual([status, json.error.type, json.error.code, json.error.decline_code],
        [402, 'card_error', 'card_declined', decline_code]);
    }
    await stripe.card('ok');
    assert.equal((await stripe.post(`/v1/invoices/${id}/pay`, {})).status, 200);
  });
}

test('the totals of the ledger follow it, filtered or not', async () => {
  const totals = async (query) => {
    const { total, matching, distinct_keys, without_key, executed, executed_twice } =
      await stripe.ledger(query);
    assert.deepEqual(executed_twice, []);
    return [total, matching, distinct_keys, without_key, executed?.length];
  };
  for (const key of ['a1', 'a2', 'b1', undefined]) await stripe.post('/v1/customers', {}, { key });
  assert.deepEqual(await totals('?summary=true'), [4, 4, 3, 1, undefined]);
  await stripe.post('/v1/customers', {}, { key: 'a3' });
  assert.deepEqual(await totals('?summary=true'), [5, 5, 4, 1, undefined]);
  assert.deepEqual(await totals('?key=a*'), [5, 3, 3, 0, 3]);
  assert.deepEqual(await totals('?after=3&limit=1'), [5, 5, 4, 1, 1]);
  await stripe.reset();
  assert.deepEqual(await totals('?summary=true'), [0, 0, 0, 0, undefined]);
});

test('a new item must have the currency of the subscription, and in classic mode its interval', async () => {
  const seed = (id, item, more = {}) => stripe.control('POST', 'subscriptions',
    { id, items: [{ id: `si_${id}`, unit_amount: 100, quantity: 1, ...item }], ...more });
  await seed('sub_year', { price: 'price_year', interval: 'year' });
  await seed('sub_two', { price: 'price_two', interval_count: 2 });
  await seed('sub_eur', { price: 'price_eur' }, { currency: 'eur' });
  await seed('sub_both', { price: 'price_both', currencies: ['eur'] });
  await seed('sub_gone', { price: 'price_gone', archived: true });
  await seed('sub_classic', { price: 'price_month' }, { billing_mode: 'classic' });
  const add = async (to, price) => (await stripe.post(`/v1/subscriptions/${to}`, { items: [{ price }] })).status;
  assert.equal(await add('sub_classic', 'price_year'), 400);
  assert.equal(await add('sub_classic', 'price_two'), 400);
  assert.equal(await add('sub_classic', 'price_eur'), 400);
  assert.equal(await add('sub_classic', 'price_gone'), 400);
  assert.equal(await add('sub_classic', 'price_both'), 200);
  assert.equal(await add('sub_eur', 'price_both'), 200);
  assert.equal(await add('sub_eur', 'price_month'), 400);
  assert.equal(await add('sub_both', 'price_year'), 200); // flexible: intervals mix
  const plain = (await stripe.get('/v1/prices/price_both')).json;
  assert.equal(plain.currency_options, undefined);
  assert.deepEqual([plain.recurring.interval, plain.recurring.interval_count, plain.active], ['month', 1, true]);
  const whole = (await stripe.get('/v1/prices/price_both', { expand: ['currency_options'] })).json;
  assert.deepEqual(Object.keys(whole.currency_options), ['eur', 'usd']);
});
