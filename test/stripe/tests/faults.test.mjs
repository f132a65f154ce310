import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { Simulator, sleep, until } from './simulator.mjs';

let stripe;
before(async () => { stripe = await Simulator.start('--seed', '7'); });
after(() => stripe.stop());
beforeEach(() => stripe.reset());

const customers = '/v1/customers';
const create = (key, options) => stripe.post(customers, { name: 'x' }, { key, ...options });
const executions = async () => (await stripe.ledger()).total;
const broken = (promise) => assert.rejects(promise, /hang up|ECONNRESET|incomplete|aborted|EPIPE/);

test('close_before: nothing is executed', async () => {
  await stripe.fault({ match: { path: customers }, fault: 'close_before' });
  await broken(create('a'));
  assert.equal(await executions(), 0);
  assert.equal((await create('a')).status, 200);
  const [request] = (await stripe.requests('?fault=close_before')).requests;
  assert.equal(request.state, 'dropped');
  assert.equal(request.delivered, false);
});

for (const reset of [false, true]) {
  test(`execute_and_drop (reset ${reset}): executed once, the retry is a replay`, async () => {
    await stripe.fault({ match: { key: 'a*' }, fault: 'execute_and_drop', reset });
    await broken(create('a1'));
    assert.equal(await executions(), 1);
    const again = await create('a1');
    assert.equal(again.status, 200);
    assert.equal(again.headers['idempotent-replayed'], 'true');
    assert.equal(await executions(), 1);
    const [first] = (await stripe.requests('?fault=execute_and_drop')).requests;
    assert.equal(first.executed, true);
    assert.equal(first.delivered, false);
  });
}

test('hang before: the client leaves, nothing was executed, the key is free', async () => {
  await stripe.fault({ fault: 'hang' });
  await assert.rejects(create('a', { timeout: 100 }), /timed out/);
  await until(async () => (await stripe.requests('?state=gone')).matching === 1);
  assert.equal(await executions(), 0);
  const again = await create('a');
  assert.equal(again.headers['idempotent-replayed'], undefined);
  assert.equal(await executions(), 1);
});

test('hang before, on_gone execute: executed although nobody waits', async () => {
  await stripe.fault({ fault: 'hang', on_gone: 'execute' });
  await assert.rejects(create('a', { timeout: 100 }), /timed out/);
  await until(async () => (await executions()) === 1);
  assert.equal((await stripe.ledger()).executed[0].delayed, true);
  assert.equal((await create('a')).headers['idempotent-replayed'], 'true');
});

test('hang after: executed, 409 meanwhile, a replay when the client has left', async () => {
  await stripe.fault({ fault: 'hang', when: 'after' });
  await assert.rejects(create('a', { timeout: 400 }).then(() => {}, async (error) => { throw error; }),
    /timed out/);
  await until(async () => (await stripe.requests('?state=gone')).matching === 1);
  assert.equal(await executions(), 1);
  assert.equal((await create('a')).headers['idempotent-replayed'], 'true');
  await stripe.fault({ fault: 'hang_after', match: { key: 'b' } });
  const waiting = create('b');
  await until(async () => (await stripe.requests('?state=hanging&phase=after')).matching === 1);
  assert.equal((await create('b')).status, 409);
  await stripe.control('POST', 'release', { key: 'b' });
  assert.equal((await waiting).status, 200);
});

test('a release may drop', async () => {
  await stripe.fault({ fault: 'hang' });
  const waiting = create('a');
  await until(async () => (await stripe.requests('?state=hanging')).matching === 1);
  await Promise.all([broken(waiting), stripe.control('POST', 'release', { action: 'drop' })]);
  assert.equal(await executions(), 0);
});

test('execute_later: minutes after the socket closed, at a clock advance', async () => {
  await stripe.fault({ fault: 'execute_later' });
  await broken(create('a'));
  assert.equal((await stripe.requests('?state=later')).matching, 1);
  assert.equal((await create('a')).status, 409);
  assert.equal(await executions(), 0);
  await stripe.clock({ advance: 600 });
  assert.equal(await executions(), 1);
  assert.equal((await stripe.ledger()).executed[0].delayed, true);
  assert.equal((await create('a')).headers['idempotent-replayed'], 'true');
});

test('execute_later by wall time and by release', async () => {
  await stripe.fault({ fault: 'execute_later', seconds: 0.2, match: { key: 'w' } });
  await broken(create('w'));
  await until(async () => (await executions()) === 1);
  await stripe.fault({ fault: 'execute_later', until: 'release', match: { key: 'r' } });
  await broken(create('r'));
  await stripe.clock({ advance: 600 });
  assert.equal(await executions(), 1);
  await stripe.control('POST', 'release', { path: customers });
  assert.equal(await executions(), 2);
});

test('execute_later without the key: the retry overtakes it', async () => {
  await stripe.fault({ fault: 'execute_later', holds_key: false, until: 'release' });
  await broken(create('a'));
  const retry = await create('a');
  assert.equal(retry.status, 200);
  await stripe.control('POST', 'release', {});
  assert.equal(await executions(), 1, 'the late one is a replay that nobody takes');
});

test('execute_and_500: stored and replayed', async () => {
  await stripe.fault({ fault: 'execute_and_500' });
  const first = await create('a');
  assert.equal(first.status, 500);
  assert.equal(first.json.error.type, 'api_error');
  assert.equal(first.headers['stripe-should-retry'], 'false');
  const again = await create('a');
  assert.equal(again.status, 500);
  assert.equal(again.headers['idempotent-replayed'], 'true');
  assert.equal(await executions(), 1);
  const events = await stripe.get('/v1/events', { type: 'customer.created' });
  assert.equal(events.json.data[0].request.idempotency_key, 'a');
});

test('error_500: neither executed nor stored, unless told to', async () => {
  await stripe.fault({ fault: 'error_500' });
  assert.equal((await create('a')).status, 500);
  assert.equal((await create('a')).status, 200);
  await stripe.fault({ fault: 'error_500', store: true });
  assert.equal((await create('b')).status, 500);
  const again = await create('b');
  assert.equal(again.status, 500);
  assert.equal(again.headers['idempotent-replayed'], 'true');
  assert.equal(await executions(), 1);
});

const answers = {
  conflict_409: [409, 'idempotency_key_in_use'],
  rate_limit_429: [429, 'rate_limit'],
  lock_timeout: [429, 'lock_timeout'],
  unauthorized_401: [401, undefined],
  forbidden_403: [403, undefined],
  error_424: [424, undefined],
  unknown_parameter: [400, 'parameter_unknown'],
  should_retry_true: [500, undefined],
};
for (const [fault, [status, code]] of Object.entries(answers)) {
  test(`${fault}: answered, not executed, not stored`, async () => {
    await stripe.fault({ fault });
    const answer = await create('a');
    assert.equal(answer.status, status);
    assert.equal(answer.json.error.code, code);
    assert.equal(answer.headers['request-id'] === undefined, status === 401);
    assert.equal(answer.headers['stripe-should-retry'],
      fault === 'should_retry_true' ? 'true' : undefined);
    assert.equal(await executions(), 0);
    assert.equal((await create('a')).status, 200);
  });
}

test('429 with and without its headers', async () => {
  await stripe.fault({ fault: 'rate_limit_429', reason: 'global-rate', retry_after: 3 });
  const full = await create('a');
  assert.equal(full.headers['stripe-rate-limited-reason'], 'global-rate');
  assert.equal(full.headers['retry-after'], '3');
  await stripe.fault({ fault: 'rate_limit_429' });
  const bare = await create('a');
  assert.equal(bare.headers['stripe-rate-limited-reason'], undefined);
  assert.equal(bare.headers['retry-after'], undefined);
});

test('declined_402 is stored', async () => {
  await stripe.fault({ fault: 'declined_402', decline_code: 'insufficient_funds' });
  assert.equal((await create('a')).json.error.decline_code, 'insufficient_funds');
  assert.equal((await create('a')).headers['idempotent-replayed'], 'true');
});

test('redirect, html_200, html_502', async () => {
  await stripe.fault({ fault: 'redirect', location: 'http://127.0.0.1:1/' });
  const redirect = await create('a');
  assert.deepEqual([redirect.status, redirect.headers.location], [302, 'http://127.0.0.1:1/']);
  for (const [fault, status] of [['html_200', 200], ['html_502', 502]]) {
    await stripe.fault({ fault });
    const answer = await create('a');
    assert.equal(answer.status, status);
    assert.match(answer.text, /<html>/);
    assert.match(answer.headers['content-type'], /text\/html/);
  }
  assert.equal(await executions(), 0);
});

test('answer: literal, executed or not', async () => {
  await stripe.fault({ fault: 'answer', status: 503, headers: { 'X-Odd': 'yes' }, body: 'later' });
  const literal = await create('a');
  assert.deepEqual([literal.status, literal.text, literal.headers['x-odd']], [503, 'later', 'yes']);
  assert.equal(await executions(), 0);
  await stripe.fault({ fault: 'answer', status: 200, body: { object: 'odd' }, execute: true });
  assert.equal((await create('a')).json.object, 'odd');
  assert.equal(await executions(), 1);
  assert.equal((await create('a')).json.object, 'customer');
});

const bytes = (key) => `POST /v1/customers HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ` +
  `sk_test_simulator\r\nIdempotency-Key: ${key}\r\nContent-Length: 6\r\n\r\nname=x`;

test('cut_head: after the status line, or where it is told', async () => {
  await stripe.fault({ fault: 'cut_head' });
  assert.equal(await stripe.raw(bytes('a')), 'HTTP/1.1 200 OK\r\n');
  await stripe.fault({ fault: 'cut_head', bytes: 5 });
  assert.equal(await stripe.raw(bytes('b')), 'HTTP/');
  assert.equal(await executions(), 2);
  assert.equal((await stripe.requests('?fault=cut_head')).requests[0].delivered, false);
});

test('cut_body: less than was announced', async () => {
  await stripe.fault({ fault: 'cut_body', bytes: 10 });
  const [head, body] = (await stripe.raw(bytes('a'))).split('\r\n\r\n');
  assert.ok(Number(/Content-Length: (\d+)/.exec(head)[1]) > 100);
  assert.equal(body.length, 10);
  assert.equal(await executions(), 1);
});

test('short_content_length: a part that looks whole', async () => {
  await stripe.fault({ fault: 'short_content_length', bytes: 20 });
  const answer = await create('a');
  assert.equal(answer.status, 200);
  assert.equal(answer.text.length, 20);
  assert.equal(answer.json, undefined);
  assert.equal((await create('a')).json.object, 'customer');
});

test('slow_body and delay take their time', async () => {
  await stripe.fault({ fault: 'slow_body', bytes: 100, interval_ms: 40 });
  let start = Date.now();
  assert.equal((await create('a')).json.object, 'customer');
  assert.ok(Date.now() - start >= 120);
  await stripe.fault({ fault: 'delay', ms: 150 });
  start = Date.now();
  assert.equal((await create('b')).status, 200);
  assert.ok(Date.now() - start >= 140);
});

test('a delayed request is executed although its client has left', async () => {
  await stripe.fault({ fault: 'delay', ms: 300 });
  await assert.rejects(create('a', { timeout: 50 }), /timed out/);
  await until(async () => (await executions()) === 1);
});

test('garbage is not HTTP', async () => {
  await stripe.fault({ fault: 'garbage' });
  await assert.rejects(create('a'), /Parse Error/);
  assert.equal(await executions(), 1);
});

test('rules: nth, times, skip, order, removal, reports, refusals', async () => {
  const { id } = await stripe.fault({ match: { method: 'POST', nth: [2, 4] }, fault: 'error_500' });
  const seen = [];
  for (let i = 0; i < 5; ++i) seen.push((await create(`n${i}`)).status);
  assert.deepEqual(seen, [200, 500, 200, 500, 200]);
  const report = await stripe.control('GET', `faults/${id}`);
  assert.deepEqual([report.applied, report.matched], [2, 4]);
  await stripe.control('DELETE', `faults/${id}`);
  await stripe.fault({ match: { path: '/v1/cust*', skip: 1 }, times: -1, fault: 'error_500' });
  const more = [];
  for (let i = 0; i < 3; ++i) more.push((await create(`m${i}`)).status);
  assert.deepEqual(more, [200, 500, 500]);
  assert.equal((await stripe.get('/v1/account')).status, 200);
  await stripe.control('DELETE', 'faults');
  assert.deepEqual((await stripe.control('GET', 'faults')).faults, []);
  await assert.rejects(stripe.fault({ fault: 'no_such_thing' }), /unknown fault/);
  await assert.rejects(stripe.fault({ fault: 'hang', match: { pth: 'x' } }), /unknown condition/);
});

test('chance goes by the seed', async () => {
  const run = async () => {
    await stripe.reset();
    await stripe.fault({ fault: 'error_500', times: -1, probability: 0.5, seed: 42 });
    let pattern = '';
    for (let i = 0; i < 30; ++i) pattern += (await create()).status === 500 ? 'x' : '.';
    return pattern;
  };
  const first = await run();
  assert.equal(await run(), first);
  assert.ok(first.includes('x') && first.includes('.'));
});

test('outage: refuse and hang, with the control port at hand', async () => {
  const waiting = [];
  await create('before');
  await stripe.control('POST', 'outage', { mode: 'refuse' });
  await assert.rejects(create('a'), /ECONNREFUSED|ECONNRESET|hang up/);
  await assert.rejects(create('a'), /ECONNREFUSED/);
  assert.equal((await stripe.control('GET', 'outage')).mode, 'refuse');
  await stripe.control('POST', 'outage', { mode: 'none' });
  assert.equal((await create('a')).status, 200);
  await stripe.control('POST', 'outage', { mode: 'hang' });
  waiting.push(create('b'));
  await assert.rejects(create('c', { timeout: 100 }), /timed out/);
  await sleep(50);
  assert.equal((await stripe.ledger('?key=b')).matching, 0);
  await stripe.control('POST', 'outage', { mode: 'none' });
  assert.equal((await waiting[0]).status, 200);
});

test('counters add up', async () => {
  await stripe.fault({ fault: 'execute_and_drop' });
  await broken(create('a'));
  await create('a');
  const counters = await stripe.control('GET', 'counters');
  assert.equal(counters.received, 2);
  assert.equal(counters.executed, 1);
  assert.equal(counters.replayed, 1);
  assert.equal(counters.undelivered, 1);
  assert.deepEqual(counters.by_fault, { execute_and_drop: 1 });
});
