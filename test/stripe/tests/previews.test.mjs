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

const items = [{ id: 'si_price_a', quantity: 8 }];
const preview = (details, more = {}) => stripe.post('/v1/invoices/create_preview', {
  customer: 'cus_t', subscription: 'sub_t', subscription_details: { items, ...details }, ...more });
const half = () => stripe.clock({ advance: month / 2 });
const change = (more) => stripe.post('/v1/subscriptions/sub_t',
  { items, expand: ['latest_invoice'], ...more });
const amounts = (answer) => [answer.json.total, answer.json.amount_due, answer.json.billing_reason];

test('next is what is charged at once, or the next regular invoice; recurring a period', async () => {
  await stripe.subscribe();
  await half();
  const proration_date = start + month / 2;
  assert.deepEqual(amounts(await preview({ proration_behavior: 'always_invoice', proration_date },
    { preview_mode: 'next' })), [1500, 1500, 'upcoming']);
  assert.deepEqual(amounts(await preview({ proration_behavior: 'create_prorations', proration_date })),
    [9500, 9500, 'upcoming']);
  assert.deepEqual(amounts(await preview({ proration_behavior: 'none' })), [8000, 8000, 'upcoming']);
  const period = await preview({}, { preview_mode: 'recurring' });
  assert.deepEqual(amounts(period), [8000, 8000, 'upcoming']);
  assert.deepEqual(period.json.lines.data.map((line) => [line.quantity, line.period,
    line.parent.subscription_item_details.proration]),
  [[8, { start, end: start + month }, false]]);
  assert.equal((await preview({}, { preview_mode: 'sometime' })).json.error.param, 'preview_mode');
});

test('what waits for the next invoice is on it, and on no recurring one', async () => {
  await stripe.subscribe();
  await half();
  await change({ items: [{ id: 'si_price_a', quantity: 7 }], proration_behavior: 'create_prorations' });
  assert.equal((await preview({ proration_behavior: 'none' })).json.total, 1000 + 8000);
  assert.equal((await preview({ proration_behavior: 'always_invoice' })).json.total, 1000 + 500);
  assert.equal((await preview({}, { preview_mode: 'recurring' })).json.total, 8000);
});

test('a proration_date needs prorations, and items', async () => {
  await stripe.subscribe();
  for (const details of [{ proration_behavior: 'none', proration_date: start },
    { items: undefined, proration_date: start }]) {
    const answer = await preview(details);
    assert.deepEqual([answer.status, answer.json.error.param],
      [400, 'subscription_details[proration_date]']);
  }
});

test('the balance lowers what is due, and what is left of it is not known before', async () => {
  await stripe.subscribe();
  await half();
  await stripe.control('POST', 'customers/cus_t', { balance: -1000 });
  const part = await preview({ proration_behavior: 'always_invoice' });
  assert.deepEqual([...amounts(part), part.json.starting_balance, part.json.ending_balance],
    [1500, 500, 'upcoming', -1000, null]);
  await stripe.control('POST', 'customers/cus_t', { balance: -4000 });
  assert.deepEqual(amounts(await preview({ proration_behavior: 'always_invoice' })),
    [1500, 0, 'upcoming']);
  await stripe.control('POST', 'customers/cus_t', { balance: 700 });
  assert.deepEqual(amounts(await preview({ proration_behavior: 'always_invoice' })),
    [1500, 2200, 'upcoming']);
  const done = await change({ proration_behavior: 'always_invoice' });
  assert.deepEqual([done.json.latest_invoice.amount_due, done.json.latest_invoice.ending_balance],
    [2200, 0]);
  assert.equal((await stripe.get('/v1/customers/cus_t')).json.balance, 0);
});

test('a credit is nothing to pay', async () => {
  await stripe.subscribe();
  await half();
  assert.deepEqual(amounts(await preview({ items: [{ id: 'si_price_a', quantity: 3 }],
    proration_behavior: 'always_invoice' })), [-1000, 0, 'upcoming']);
});

test('taxes are in the total, and told', async () => {
  await stripe.subscribe(undefined, { tax_percent: 19 });
  await half();
  const { json } = await preview({ proration_behavior: 'always_invoice' });
  assert.deepEqual([json.subtotal, json.total_excluding_tax, json.total, json.amount_due],
    [1500, 1500, 1785, 1785]);
  assert.deepEqual(json.total_taxes.map((tax) => [tax.amount, tax.taxable_amount, tax.tax_behavior]),
    [[285, 1500, 'exclusive']]);
  assert.deepEqual([json.automatic_tax.enabled, json.automatic_tax.status], [false, null]);
  const done = await change({ proration_behavior: 'always_invoice' });
  assert.deepEqual([done.json.latest_invoice.total, done.json.latest_invoice.amount_paid], [1785, 1785]);
  await half();
  const renewed = (await stripe.get('/v1/subscriptions/sub_t', { expand: ['latest_invoice'] })).json;
  assert.equal(renewed.latest_invoice.total, 9520);
  await stripe.reset();
  await stripe.subscribe();
  assert.deepEqual((await preview({}, { preview_mode: 'recurring' })).json.total_taxes, []);
});

test('a trial costs nothing, and what comes after it does', async () => {
  await stripe.subscribe(undefined, { trial_days: 14 });
  assert.deepEqual(amounts(await preview({ proration_behavior: 'always_invoice' })),
    [0, 0, 'upcoming']);
  assert.equal((await preview({}, { preview_mode: 'recurring' })).json.total, 8000);
  await change({ proration_behavior: 'always_invoice' });
  assert.equal((await stripe.get('/v1/subscriptions/sub_t')).json.status, 'trialing');
  await stripe.clock({ advance: 14 * 86400 });
  const now = (await stripe.get('/v1/subscriptions/sub_t', { expand: ['latest_invoice'] })).json;
  assert.deepEqual([now.status, now.latest_invoice.total, now.items.data[0].current_period_start],
    ['active', 8000, start + 14 * 86400]);
});

test('where invoices are sent, one is shown with its due date', async () => {
  await stripe.subscribe(undefined, { collection_method: 'send_invoice', days_until_due: 7 });
  await half();
  const { json } = await preview({ proration_behavior: 'always_invoice' });
  assert.deepEqual([json.amount_due, json.collection_method, json.due_date],
    [1500, 'send_invoice', start + month / 2 + 7 * 86400]);
});

test('a subscription that ends has an invoice only if something is to be invoiced', async () => {
  await stripe.subscribe();
  await half();
  await stripe.control('POST', 'subscriptions/sub_t', { cancel_at_period_end: true });
  for (const answer of [await preview({ proration_behavior: 'none' }),
    await preview({}, { preview_mode: 'recurring' })]) {
    assert.deepEqual([answer.status, answer.json.error.code], [404, 'invoice_upcoming_none']);
  }
  assert.equal((await preview({ proration_behavior: 'create_prorations' })).json.total, 1500);
  assert.equal((await preview({ proration_behavior: 'always_invoice' })).json.total, 1500);
});
