import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { Simulator } from './simulator.mjs';

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
const change = (quantity, more = {}, options) => stripe.post(sub, {
  items: [{ id: 'si_price_a', quantity }], proration_behavior: 'always_invoice', ...more }, options);
const get = async (expand = []) => (await stripe.get(sub, { expand })).json;
const quantity = async () => (await get()).items.data[0].quantity;
const types = async () => (await stripe.get('/v1/events', { limit: 100 })).json.data
  .map((event) => event.type);
const half = () => stripe.clock({ advance: month / 2 });

test('the whole way by the API: product, price, customer, subscription', async () => {
  const product = (await stripe.post('/v1/products', { name: 'Seats' })).json;
  const price = (await stripe.post('/v1/prices', { currency: 'usd', unit_amount: 1500,
    recurring: { interval: 'month' }, product: product.id })).json;
  assert.equal(price.unit_amount_decimal, '1500');
  const customer = (await stripe.post('/v1/customers', { payment_method: 'pm_card_visa',
    invoice_settings: { default_payment_method: 'pm_card_visa' } })).json;
  assert.match(customer.invoice_settings.default_payment_method, /^pm_/);
  const made = await stripe.post('/v1/subscriptions', { customer: customer.id,
    items: [{ price: price.id, quantity: 3 }], metadata: { team: 't' },
    expand: ['latest_invoice.payments'] });
  assert.equal(made.status, 200);
  assert.equal(made.json.status, 'active');
  const invoice = made.json.latest_invoice;
  assert.deepEqual([invoice.status, invoice.total, invoice.billing_reason],
    ['paid', 4500, 'subscription_create']);
  assert.equal(invoice.parent.subscription_details.subscription, made.json.id);
  assert.equal(invoice.payments.data[0].status, 'paid');
  assert.equal(made.json.items.data[0].current_period_end, start + month);
  assert.equal(made.json.current_period_end, undefined);
  const old = await stripe.get(`/v1/subscriptions/${made.json.id}`, {}, { version: '2024-06-20' });
  assert.equal(old.json.current_period_end, start + month);
  assert.equal(old.json.items.data[0].current_period_end, undefined);
});

test('proration to the second', async () => {
  await stripe.subscribe();
  await half();
  const answer = await change(8, { expand: ['latest_invoice'] }, { key: 'p' });
  const invoice = answer.json.latest_invoice;
  assert.deepEqual(invoice.lines.data.map((line) => line.amount), [-2500, 4000]);
  assert.deepEqual([invoice.total, invoice.amount_due, invoice.status], [1500, 1500, 'paid']);
  assert.equal(invoice.lines.data[0].parent.subscription_item_details.proration, true);
  const [row] = (await stripe.ledger('?key=p')).executed;
  assert.deepEqual(row.money, { amount: 1500, currency: 'usd' });
  assert.deepEqual(row.quantities, { before: { si_price_a: 5 }, after: { si_price_a: 8 } });
  await stripe.clock({ advance: 1 });
  const next = await change(9, { expand: ['latest_invoice'] });
  const left = (month / 2 - 1) / month;
  assert.deepEqual(next.json.latest_invoice.lines.data.map((line) => line.amount),
    [-Math.round(8000 * left), Math.round(9000 * left)]);
});

test('proration_date rules, and only within the period', async () => {
  await stripe.subscribe();
  await half();
  const date = start + month / 4;
  const answer = await change(6, { proration_date: date, expand: ['latest_invoice'] });
  assert.equal(answer.json.latest_invoice.total, 750);
  const late = await change(7, { proration_date: start + month + 1 });
  assert.equal(late.status, 400);
  assert.equal(late.json.error.param, 'proration_date');
  assert.match(late.json.error.message, /outside of current subscription period/);
});

test('create_preview costs what the change costs, and changes nothing', async () => {
  await stripe.subscribe();
  await half();
  const preview = await stripe.post('/v1/invoices/create_preview', { customer: 'cus_t',
    subscription: 'sub_t', subscription_details: { proration_behavior: 'always_invoice',
      proration_date: start + month / 2, items: [{ id: 'si_price_a', quantity: 8 }] } });
  assert.equal(preview.json.total, 1500);
  assert.equal(await quantity(), 5);
  assert.equal((await stripe.ledger()).total, 0);
  const paid = await change(8, { proration_date: start + month / 2, expand: ['latest_invoice'] });
  assert.equal(paid.json.latest_invoice.total, 1500);
});

test('a decrease is credited to the balance, and the credit is used', async () => {
  await stripe.subscribe();
  await half();
  const down = await change(3, { expand: ['latest_invoice'] });
  assert.deepEqual([down.json.latest_invoice.total, down.json.latest_invoice.amount_due,
    down.json.latest_invoice.status], [-1000, 0, 'paid']);
  assert.equal((await stripe.get('/v1/customers/cus_t')).json.balance, -1000);
  const up = await change(7, { expand: ['latest_invoice'] });
  assert.deepEqual([up.json.latest_invoice.total, up.json.latest_invoice.amount_due], [2000, 1000]);
  assert.equal((await stripe.get('/v1/customers/cus_t')).json.balance, 0);
});

test('create_prorations wait for the next invoice; none costs nothing', async () => {
  await stripe.subscribe();
  await half();
  await change(7, { proration_behavior: 'create_prorations' });
  assert.equal((await get()).latest_invoice, null);
  await change(9, { proration_behavior: 'none' });
  await half();
  const renewed = (await get(['latest_invoice'])).latest_invoice;
  assert.equal(renewed.billing_reason, 'subscription_cycle');
  assert.equal(renewed.total, 1000 + 9000);
  assert.equal((await get()).items.data[0].current_period_start, start + month);
});

const behaviours = {
  allow_incomplete: [200, 8, 'past_due', 'open'],
  default_incomplete: [200, 8, 'past_due', 'open'],
  error_if_incomplete: [402, 5, 'active', undefined],
  pending_if_incomplete: [200, 5, 'active', 'open'],
};
for (const card of ['declined', 'requires_action']) {
  for (const [behaviour, [status, seats, state, invoice]] of Object.entries(behaviours)) {
    test(`${behaviour} with a card that is ${card}`, async () => {
      await stripe.subscribe(undefined, { card });
      const answer = await change(8, { payment_behavior: behaviour });
      assert.equal(answer.status, status);
      const now = await get(['latest_invoice']);
      assert.equal(now.items.data[0].quantity, seats);
      assert.equal(now.status, state);
      assert.equal(now.latest_invoice?.status, invoice);
      assert.equal(now.pending_update !== null, behaviour === 'pending_if_incomplete');
      if (status === 402) {
        assert.equal(answer.json.error.type, 'card_error');
        assert.equal(answer.json.error.code, card === 'declined' ? 'card_declined'
          : 'subscription_payment_intent_requires_action');
        assert.deepEqual(await types(), [], 'all is rolled back');
      }
    });
  }
}
for (const behaviour of Object.keys(behaviours)) {
  test(`${behaviour} with a card that pays`, async () => {
    await stripe.subscribe();
    const answer = await change(8, { payment_behavior: behaviour, expand: ['latest_invoice'] });
    assert.equal(answer.json.items.data[0].quantity, 8);
    const waits = behaviour === 'default_incomplete';
    assert.equal(answer.json.latest_invoice.status, waits ? 'open' : 'paid');
    assert.equal(answer.json.status, waits ? 'past_due' : 'active');
  });
}

const pend = (seats, more = {}) => change(seats,
  { payment_behavior: 'pending_if_incomplete', metadata: { marker: `m${seats}` }, ...more });

test('a pending update is applied when its invoice is paid', async () => {
  await stripe.subscribe(undefined, { card: 'declined' });
  const pending = (await pend(8)).json;
  assert.equal(pending.pending_update.expires_at, start + 23 * 3600);
  assert.equal(pending.pending_update.subscription_items[0].quantity, 8);
  assert.deepEqual(pending.pending_update.metadata, { marker: 'm8' });
  assert.deepEqual(pending.metadata, {});
  assert.equal((await stripe.ledger()).executed[0].outcome, 'pending');
  const refused = await stripe.post(`/v1/invoices/${pending.latest_invoice}/pay`, {});
  assert.equal(refused.status, 402);
  assert.equal((await get()).pending_update.expires_at, start + 23 * 3600);
  await stripe.card('ok');
  const paid = await stripe.post(`/v1/invoices/${pending.latest_invoice}/pay`, {});
  assert.equal(paid.json.status, 'paid');
  const now = await get();
  assert.deepEqual([now.pending_update, now.items.data[0].quantity, now.metadata.marker],
    [null, 8, 'm8']);
  assert.ok((await types()).includes('customer.subscription.pending_update_applied'));
});

test('a pending update is applied when its PaymentIntent is confirmed', async () => {
  await stripe.subscribe(undefined, { card: 'requires_action' });
  const pending = (await pend(8, { expand: ['latest_invoice.payments'] })).json;
  const intent = pending.latest_invoice.payments.data[0].payment.payment_intent;
  assert.equal((await stripe.get(`/v1/payment_intents/${intent}`)).json.status, 'requires_action');
  await stripe.control('POST', `payment_intents/${intent}`, { action: 'succeed' });
  assert.equal(await quantity(), 8);
});

test('a pending update is replaced by the next, whose invoice takes over', async () => {
  await stripe.subscribe(undefined, { card: 'declined' });
  const first = (await pend(8)).json;
  const second = (await pend(9)).json;
  assert.notEqual(first.latest_invoice, second.latest_invoice);
  assert.equal((await stripe.get(`/v1/invoices/${first.latest_invoice}`)).json.status, 'void');
  assert.equal(second.pending_update.subscription_items[0].quantity, 9);
});

test('a replaced pending update gives back what it took from the balance', async () => {
  await stripe.subscribe(undefined, { card: 'declined' });
  await stripe.control('POST', 'customers/cus_t', { balance: -1000 });
  const due = async (seats) => (await pend(seats, { expand: ['latest_invoice'] }))
    .json.latest_invoice.amount_due;
  assert.equal(await due(8), 2000);
  assert.equal((await stripe.get('/v1/customers/cus_t')).json.balance, 0);
  assert.equal(await due(9), 3000);
  const { latest_invoice: id } = await get();
  await stripe.post(`/v1/invoices/${id}/void`, {});
  assert.equal((await stripe.get('/v1/customers/cus_t')).json.balance, -1000);
});

test('a pending update expires after 23 hours, or at the end of the period', async () => {
  await stripe.subscribe(undefined, { card: 'declined' });
  const pending = (await pend(8)).json;
  await stripe.clock({ advance: 23 * 3600 - 1 });
  assert.notEqual((await get()).pending_update, null);
  await stripe.clock({ advance: 1 });
  assert.equal((await get()).pending_update, null);
  assert.equal(await quantity(), 5);
  assert.equal((await stripe.get(`/v1/invoices/${pending.latest_invoice}`)).json.status, 'void');
  const [event] = (await stripe.get('/v1/events',
    { type: 'customer.subscription.pending_update_expired' })).json.data;
  assert.deepEqual(event.request, { id: null, idempotency_key: null });
  await stripe.clock({ set: start + month - 3600 });
  // Many seats: what little is left of the period must come to more than Stripe's minimum.
  assert.equal((await pend(900)).json.pending_update.expires_at, start + month);
});

test('voiding the invoice discards a pending update', async () => {
  await stripe.subscribe(undefined, { card: 'declined' });
  const pending = (await pend(8)).json;
  const voided = await stripe.post(`/v1/invoices/${pending.latest_invoice}/void`, {});
  assert.equal(voided.json.status, 'void');
  assert.equal((await get()).pending_update, null);
  assert.equal((await stripe.post(`/v1/invoices/${pending.latest_invoice}/pay`, {})).status, 400);
});

test('what pending_if_incomplete accepts goes by the version', async () => {
  await stripe.subscribe();
  const old = await change(6, { payment_behavior: 'pending_if_incomplete', metadata: { a: 'b' } },
    { version: '2026-03-25.dahlia' });
  assert.equal(old.status, 400);
  assert.match(old.json.error.message, /you can only pass supported params. `metadata` is not/);
  for (const more of [{ off_session: true }, { description: 'x' }]) {
    assert.equal((await pend(6, more)).status, 400);
  }
  assert.equal((await pend(6)).status, 200);
});

test('items: added, deleted, unknown, too many, price changed', async () => {
  await stripe.subscribe({ price_a: [1000, 5], price_b: [500, 2] });
  await stripe.post('/v1/products', { name: 'x', id: 'prod_x' });
  const price = (await stripe.post('/v1/prices', { currency: 'usd', unit_amount: 10,
    product: 'prod_x', recurring: { interval: 'month' } })).json.id;
  const added = await stripe.post(sub, { items: [{ price, quantity: 4 }] });
  assert.equal(added.json.items.data.length, 3);
  assert.equal(added.json.items.data[2].quantity, 4);
  const deleted = await stripe.post(sub, { items: [{ id: 'si_price_b', deleted: true }] });
  assert.deepEqual(deleted.json.items.data.map((item) => item.quantity), [5, 4]);
  const swapped = await stripe.post(sub, { items: [{ id: 'si_price_a', price }] });
  assert.equal(swapped.json.items.data[0].quantity, 1, 'a new price resets the quantity');
  const unknown = await stripe.post(sub, { items: [{ id: 'si_gone', quantity: 1 }] });
  assert.deepEqual([unknown.status, unknown.json.error.param], [404, 'subscription_item']);
  const no_price = await stripe.post(sub, { items: [{ price: 'price_gone' }] });
  assert.deepEqual([no_price.status, no_price.json.error.param, no_price.json.error.code],
    [400, 'items[0][price]', 'resource_missing']);
  const many = await stripe.post(sub, { items: Array.from({ length: 19 }, () => ({ price })) });
  assert.match(many.json.error.message, /at most 20 items/);
  const unheard = await stripe.post(sub, { items: [{ id: 'si_price_a', amount: 1 }] });
  assert.equal(unheard.json.error.param, 'items[0][amount]');
  const bad = await stripe.post(sub, { items: [{ id: 'si_price_a', quantity: 'two' }] });
  assert.equal(bad.json.error.code, 'parameter_invalid_integer');
});

test('more than ten items are paged', async () => {
  const prices = {};
  for (let i = 10; i < 25; ++i) prices[`price_${i}`] = [100, i];
  await stripe.subscribe(prices);
  const now = await get();
  assert.deepEqual([now.items.data.length, now.items.has_more, now.items.total_count],
    [10, true, 15]);
  const seen = [];
  let cursor;
  for (;;) {
    const page = (await stripe.get('/v1/subscription_items',
      { subscription: 'sub_t', limit: 4, starting_after: cursor })).json;
    seen.push(...page.data.map((item) => item.quantity));
    if (!page.has_more) break;
    cursor = page.data.at(-1).id;
  }
  assert.deepEqual(seen, Array.from({ length: 15 }, (_, i) => i + 10));
});

test('metadata is merged, deleted, bounded', async () => {
  await stripe.subscribe();
  await stripe.post(sub, { metadata: { a: '1', b: '2' } });
  assert.deepEqual((await stripe.post(sub, { metadata: { a: '', c: '3' } })).json.metadata,
    { b: '2', c: '3' });
  assert.deepEqual((await stripe.post(sub, { metadata: '' })).json.metadata, {});
  assert.equal((await stripe.post(sub, { metadata: { ['k'.repeat(41)]: 'x' } })).status, 400);
  assert.equal((await stripe.post(sub, { metadata: { k: 'x'.repeat(501) } })).status, 400);
});

test('a cancelled subscription is found, but not updated', async () => {
  await stripe.subscribe();
  const gone = await stripe.delete(sub);
  assert.equal(gone.json.status, 'canceled');
  assert.equal((await get()).status, 'canceled');
  const update = await change(6);
  assert.deepEqual([update.status, update.json.error.code], [404, 'resource_missing']);
  assert.equal((await stripe.get('/v1/subscriptions')).json.data.length, 0);
  assert.equal((await stripe.get('/v1/subscriptions', { status: 'all' })).json.data.length, 1);
  assert.ok((await types()).includes('customer.subscription.deleted'));
});

test('cancel_at_period_end and renewal with a card that fails', async () => {
  await stripe.subscribe(undefined, { card: 'declined' });
  await stripe.clock({ advance: month });
  assert.equal((await get()).status, 'past_due');
  await stripe.card('ok');
  await stripe.post(`/v1/invoices/${(await get()).latest_invoice}/pay`, {});
  assert.equal((await get()).status, 'active');
  await stripe.post(sub, { cancel_at_period_end: true });
  await stripe.clock({ advance: 31 * 86400 });
  assert.equal((await get()).status, 'canceled');
});

test('a missing payment method is a stored 400 without param', async () => {
  await stripe.subscribe();
  await stripe.card('none');
  const answer = await change(6, {}, { key: 'nopm' });
  assert.equal(answer.status, 400);
  assert.equal(answer.json.error.param, undefined);
  assert.equal(answer.headers['stripe-should-retry'], 'false');
  await stripe.card('ok');
  assert.equal((await change(6, {}, { key: 'nopm' })).headers['idempotent-replayed'], 'true');
});

test('insufficient_over: small ones pay, large ones do not', async () => {
  await stripe.subscribe(undefined, { card: 'insufficient_over:2000' });
  const large = await change(9, { payment_behavior: 'error_if_incomplete' });
  assert.equal(large.json.error.decline_code, 'insufficient_funds');
  assert.equal((await change(7, { payment_behavior: 'error_if_incomplete' })).status, 200);
});

test('limits per subscription: 10 invoices a minute, 20 a day, 200 quantities an hour', async () => {
  await stripe.subscribe();
  let seats = 5;
  for (let i = 0; i < 10; ++i) assert.equal((await change(++seats)).status, 200);
  const limited = await change(++seats, {}, { key: 'l' });
  assert.equal(limited.status, 429);
  assert.equal(limited.headers['stripe-rate-limited-reason'], 'resource-specific');
  assert.equal(limited.headers['stripe-should-retry'], undefined);
  await stripe.clock({ advance: 60 });
  for (let i = 0; i < 10; ++i) assert.equal((await change(++seats)).status, 200);
  await stripe.clock({ advance: 60 });
  assert.equal((await change(++seats)).status, 429);
  await stripe.control('POST', 'limits', { subscriptions: false });
  assert.equal((await change(++seats)).status, 200);
  await stripe.control('POST', 'limits', { subscriptions: true, quantity_updates_per_hour: 22 });
  assert.equal((await change(seats + 1, { proration_behavior: 'none' })).status, 200);
  assert.equal((await change(seats + 2, { proration_behavior: 'none' })).status, 429);
});

test('PaymentIntents: unconfirmed, confirmed, declined, acted upon, cancelled, refunded', async () => {
  const intents = '/v1/payment_intents';
  const base = { amount: 2000, currency: 'usd', metadata: { op: '1' },
    automatic_payment_methods: { enabled: true } };
  const made = (await stripe.post(intents, base)).json;
  assert.equal(made.status, 'requires_payment_method');
  assert.ok(made.client_secret.startsWith(`${made.id}_secret_`));
  const refused = await stripe.post(`${intents}/${made.id}/confirm`,
    { payment_method: 'pm_card_visa_chargeDeclinedInsufficientFunds' });
  assert.equal(refused.status, 402);
  assert.equal(refused.json.error.payment_intent.status, 'requires_payment_method');
  const paid = await stripe.post(`${intents}/${made.id}/confirm`, { payment_method: 'pm_card_visa' });
  assert.equal(paid.json.status, 'succeeded');
  const late = await stripe.post(`${intents}/${made.id}/cancel`, {});
  assert.equal(late.json.error.code, 'payment_intent_unexpected_state');
  const refund = await stripe.post('/v1/refunds', { payment_intent: made.id, amount: 500 });
  assert.deepEqual([refund.json.amount, refund.json.status], [500, 'succeeded']);
  const action = await stripe.post(intents,
    { ...base, confirm: true, payment_method: 'pm_card_authenticationRequired' });
  assert.deepEqual([action.status, action.json.status], [200, 'requires_action']);
  const off = await stripe.post(intents, { ...base, confirm: true, off_session: true,
    payment_method: 'pm_card_authenticationRequired' });
  assert.deepEqual([off.status, off.json.error.code], [402, 'authentication_required']);
  const cancelled = await stripe.post(`${intents}/${action.json.id}/cancel`, {});
  assert.equal(cancelled.json.status, 'canceled');
  await stripe.control('POST', `payment_intents/${made.id}`, { action: 'dispute' });
  const seen = await types();
  for (const type of ['payment_intent.created', 'payment_intent.payment_failed',
    'payment_intent.succeeded', 'payment_intent.requires_action', 'payment_intent.canceled',
    'charge.refunded', 'charge.dispute.created']) {
    assert.ok(seen.includes(type), type);
  }
  const small = await stripe.post(intents, { amount: 20, currency: 'usd' });
  assert.deepEqual([small.json.error.code, small.json.error.param],
    ['parameter_invalid_integer', 'amount']);
  const hold = (await stripe.post(intents, { ...base, confirm: true, capture_method: 'manual',
    payment_method: 'pm_card_visa' })).json;
  assert.equal(hold.status, 'requires_capture');
  assert.equal((await stripe.post(`${intents}/${hold.id}/capture`, {})).json.status, 'succeeded');
  const listed = await stripe.get(intents, { created: { gte: start }, limit: 2 });
  assert.deepEqual([listed.json.data.length, listed.json.has_more], [2, true]);
});

test('test tokens: declined when attached, or only later', async () => {
  const customer = (await stripe.post('/v1/customers', {})).json.id;
  const attach = (token) => stripe.post(`/v1/payment_methods/${token}/attach`, { customer });
  assert.equal((await attach('pm_card_visa_chargeDeclined')).json.error.code, 'card_declined');
  assert.equal((await attach('pm_card_chargeDeclinedExpiredCard')).json.error.code, 'expired_card');
  assert.equal((await attach('pm_card_chargeCustomerFail')).status, 200);
  assert.equal((await attach('pm_nothing')).status, 404);
  const methods = await stripe.get('/v1/payment_methods', { customer });
  assert.equal(methods.json.data.length, 1);
});

test('lists: newest first, pages both ways, limits', async () => {
  const ids = [];
  for (let i = 0; i < 7; ++i) ids.unshift((await stripe.post('/v1/customers', {})).json.id);
  const page = (params) => stripe.get('/v1/customers', params);
  const first = (await page({ limit: 3 })).json;
  assert.deepEqual([first.data.map((one) => one.id), first.has_more], [ids.slice(0, 3), true]);
  const next = (await page({ limit: 10, starting_after: first.data[2].id })).json;
  assert.deepEqual([next.data.map((one) => one.id), next.has_more], [ids.slice(3), false]);
  const back = (await page({ limit: 2, ending_before: ids[4] })).json;
  assert.deepEqual([back.data.map((one) => one.id), back.has_more], [ids.slice(2, 4), true]);
  assert.equal((await page({ limit: 101 })).json.error.param, 'limit');
  assert.equal((await page({ starting_after: 'cus_no' })).status, 400);
});
