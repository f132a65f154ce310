import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, before, beforeEach, test } from 'node:test';
import { Simulator, until } from './simulator.mjs';

let stripe;
before(async () => { stripe = await Simulator.start(); });
after(() => stripe.stop());
beforeEach(() => stripe.reset());

const head = 'Host: x\r\nAuthorization: Bearer sk_test_simulator\r\n';
const create = (name, more = '') => {
  const body = `name=${name}`;
  return `POST /v1/customers HTTP/1.1\r\n${head}${more}Content-Length: ${body.length}\r\n\r\n${body}`;
};
const count = (text, what) => text.split(what).length - 1;

test('pipelined requests are answered in order', async () => {
  const requests = ['a', 'b', 'c'].map((name) => create(name)).join('');
  const text = await stripe.raw(requests, (got) => count(got, '"test_clock": null') === 3);
  assert.ok(text.indexOf('"name": "a"') < text.indexOf('"name": "b"'));
  assert.ok(text.indexOf('"name": "b"') < text.indexOf('"name": "c"'));
});

test('a hang holds the requests behind it on its connection, and no others', async () => {
  await stripe.fault({ fault: 'hang', match: { body: 'name=a' } });
  const text = stripe.raw(create('a') + create('b'),
    (got) => count(got, '"test_clock": null') === 2);
  await until(async () => (await stripe.requests('?state=hanging')).matching === 1);
  assert.equal((await stripe.post('/v1/customers', { name: 'c' })).status, 200);
  assert.equal((await stripe.ledger()).total, 1);
  await stripe.control('POST', 'release', {});
  assert.ok((await text).indexOf('"name": "a"') < (await text).indexOf('"name": "b"'));
});

test('chunked bodies, in pieces', async () => {
  const pieces = [`POST /v1/customers HTTP/1.1\r\n${head}Transfer-Enc`,
    'oding: chunked\r\n\r\n5\r\nname=\r\n3;x=y\r\nzo', 'e\r\n0\r\nTrailer: x\r\n\r\n'];
  const text = await stripe.raw(pieces, (got) => got.includes('"name": "zoe"'));
  assert.match(text, /^HTTP\/1.1 200 OK/);
});

test('Expect: 100-continue', async () => {
  const text = await stripe.raw([`POST /v1/customers HTTP/1.1\r\n${head}Expect: 100-continue\r\n` +
    'Content-Length: 6\r\n\r\n', 'name=x'], (got) => got.includes('"name": "x"'));
  assert.match(text, /^HTTP\/1.1 (100 Continue\r\n\r\nHTTP\/1.1 )?200 OK/);
});

test('Connection: close and HTTP/1.0 end the connection', async () => {
  assert.match(await stripe.raw(create('x', 'Connection: close\r\n')), /Connection: close/);
  const old = await stripe.raw(`GET /v1/account HTTP/1.0\r\n${head}\r\n`);
  assert.match(old, /"object": "account"/);
});

const garbage = {
  'no HTTP at all': ['\x16\x03\x01\x02\x00\x01\x00\r\n\r\n', 400],
  'no version': ['GET /v1/account\r\n\r\n', 400],
  'a bad length': [`POST /v1/customers HTTP/1.1\r\n${head}Content-Length: -5\r\n\r\n`, 400],
  'two framings': [`POST /v1/customers HTTP/1.1\r\n${head}Content-Length: 5\r\n` +
    'Transfer-Encoding: chunked\r\n\r\n', 400],
  'a bad chunk': [`POST /v1/customers HTTP/1.1\r\n${head}Transfer-Encoding: chunked\r\n\r\nzz\r\n`, 400],
  'a huge body': [`POST /v1/customers HTTP/1.1\r\n${head}Content-Length: 99999999\r\n\r\n`, 413],
  'a huge head': [`GET /v1/account HTTP/1.1\r\nX: ${'y'.repeat(70000)}\r\n`, 431],
};
for (const [name, [bytes, status]] of Object.entries(garbage)) {
  test(`garbage: ${name}`, async () => {
    const text = await stripe.raw(bytes);
    assert.equal(text.slice(9, 12), String(status));
    assert.equal((await stripe.get('/v1/account')).status, 200);
  });
}

test('form encoding', async () => {
  const answer = await stripe.post('/v1/customers', undefined,
    { body: 'name=T%20%C3%A9+x&metadata%5Bop%5D=a%2Fb%2Bc%26d%3De&email=%zz' });
  assert.equal(answer.json.name, 'T é x');
  assert.deepEqual(answer.json.metadata, { op: 'a/b+c&d=e' });
  assert.equal(answer.json.email, '%zz');
  assert.equal((await stripe.post('/v1/customers', undefined, { body: 'name=%ff' })).status, 400);
  const many = Array.from({ length: 3000 }, (_, i) => `metadata[${i}]=1`).join('&');
  assert.equal((await stripe.post('/v1/customers', undefined, { body: many })).status, 400);
});

test('expand: objects, lists, includable fields, refusals', async () => {
  await stripe.subscribe();
  const get = (expand) => stripe.get('/v1/subscriptions/sub_t', { expand });
  assert.equal((await get(['customer'])).json.customer.object, 'customer');
  assert.equal((await get(['items.data.price.product'])).json.items.data[0].price.product.object,
    'product');
  const refused = await get(['nonsense']);
  assert.deepEqual([refused.status, refused.json.error.param], [400, 'expand']);
  const list = await stripe.get('/v1/subscriptions', { expand: ['data.customer'] });
  assert.equal(list.json.data[0].customer.object, 'customer');
});

test('control is on the main port too; its errors are JSON', async () => {
  const answer = await stripe.get('/_control/counters', {}, { apiKey: null });
  assert.equal(answer.json.received, 0);
  const unknown = await stripe.get('/_control/nothing', {}, { apiKey: null });
  assert.equal(unknown.status, 404);
  const broken = await stripe.post('/_control/faults', undefined, { apiKey: null, body: '{' });
  assert.equal(broken.status, 400);
});

test('it ends with its parent, its time, or SIGTERM', async () => {
  const ended = (child) => new Promise((done) => child.on('exit', (code, signal) => done({ code, signal })));
  const start = (...options) => spawn(process.env.STRIPE_SIMULATOR, options,
    { stdio: ['pipe', 'pipe', 'inherit'] });
  const listening = (child) => new Promise((done) => child.stdout.once('data', done));
  const timed = start('--max-seconds', '1');
  const termed = start();
  await listening(termed);
  termed.kill('SIGTERM');
  assert.equal((await ended(termed)).code, 0);
  const parent = spawn('sleep', ['60'], { stdio: 'ignore' });
  const child = start('--parent-pid', String(parent.pid));
  await listening(child);
  parent.kill('SIGKILL');
  assert.equal((await ended(child)).code, 0);
  assert.equal((await ended(timed)).code, 0);
  const bad = spawn(process.env.STRIPE_SIMULATOR, ['--nonsense', '1'], { stdio: 'ignore' });
  assert.equal((await ended(bad)).code, 1);
});

test('a request of almost a megabyte is read to its end', async () => {
  await stripe.fault({ fault: 'answer', body: { object: 'large', text: 'x'.repeat(950 * 1024) } });
  assert.equal((await stripe.get('/v1/account')).json.text.length, 950 * 1024);
});
