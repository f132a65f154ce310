// Starts simulators for the tests and talks to them; nothing but node is needed.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

export async function until(check, what = 'condition', ms = 8000) {
  const end = Date.now() + ms;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > end) throw new Error(`timed out waiting for ${what}`);
    await sleep(15);
  }
}

function flatten(value, name, out) {
  if (value === undefined) return;
  if (value !== null && typeof value === 'object') {
    for (const [key, inner] of Object.entries(value)) {
      flatten(inner, name === '' ? key : `${name}[${key}]`, out);
    }
  } else {
    out.push(`${encodeURIComponent(name)}=${encodeURIComponent(value === null ? '' : value)}`);
  }
}
export function form(params) {
  const out = [];
  flatten(params ?? {}, '', out);
  return out.join('&');
}

export class Simulator {
  static async start(...options) {
    const binary = process.env.STRIPE_SIMULATOR;
    if (!binary) throw new Error('STRIPE_SIMULATOR must name the binary');
    const self = new Simulator();
    self.directory = mkdtempSync(join(tmpdir(), 'stripe-simulator-'));
    const portFile = join(self.directory, 'port');
    const controlFile = join(self.directory, 'control');
    self.process = spawn(binary, ['--port', '0', '--port-file', portFile, '--control-port-file',
      controlFile, '--watch-stdin', '--max-seconds', '240', ...options],
      { stdio: ['pipe', 'ignore', 'inherit'] });
    self.ended = new Promise((done) => self.process.on('exit', done));
    const read = (file) => { try { return Number(readFileSync(file, 'utf8')); } catch { return 0; } };
    self.port = await until(() => read(portFile), 'the port file');
    self.controlPort = await until(() => read(controlFile), 'the control port file');
    self.agent = new http.Agent({ keepAlive: true });
    self.apiKey = 'sk_test_simulator';
    return self;
  }

  async stop() {
    this.agent.destroy();
    this.process.stdin.end();
    await this.ended;
    rmSync(this.directory, { recursive: true, force: true });
  }

  // Answers {status, headers, json, text}; rejects when the connection breaks.
  call(method, path, params, { key, version, apiKey = this.apiKey, headers = {}, port = this.port,
    body, timeout } = {}) {
    const encoded = body ?? form(params);
    const inQuery = method !== 'POST' && encoded !== '';
    const sent = { ...headers };
    if (apiKey) sent.Authorization = `Bearer ${apiKey}`;
    if (key) sent['Idempotency-Key'] = key;
    if (version) sent['Stripe-Version'] = version;
    if (method === 'POST') {
      sent['Content-Type'] = 'application/x-www-form-urlencoded';
      sent['Content-Length'] = Buffer.byteLength(encoded);
    }
    return new Promise((resolve, reject) => {
      const request = http.request({ host: '127.0.0.1', port, method, agent: this.agent,
        path: inQuery ? `${path}?${encoded}` : path, headers: sent, timeout }, (response) => {
        const parts = [];
        response.on('data', (part) => parts.push(part));
        response.on('error', reject);
        response.on('end', () => {
          if (!response.complete) return reject(new Error('incomplete'));
          const text = Buffer.concat(parts).toString();
          let json;
          try { json = JSON.parse(text); } catch { /* not JSON: the test looks at the text */ }
          resolve({ status: response.statusCode, headers: response.headers, json, text });
        });
      });
      request.on('timeout', () => request.destroy(new Error('timed out')));
      request.on('error', reject);
      request.end(method === 'POST' ? encoded : undefined);
    });
  }
  post(path, params, options) { return this.call('POST', path, params, options); }
  get(path, params, options) { return this.call('GET', path, params, options); }
  delete(path, params, options) { return this.call('DELETE', path, params, options); }

  async control(method, path, body) {
    const answer = await this.call(method, `/_control/${path}`, undefined, { apiKey: null,
      port: this.controlPort, body: body === undefined ? '' : JSON.stringify(body) });
    if (answer.status !== 200) throw new Error(`control ${path}: ${answer.text}`);
    return answer.json;
  }
  fault(rule) { return this.control('POST', 'faults', rule); }
  ledger(query = '') { return this.control('GET', `ledger${query}`); }
  requests(query = '') { return this.control('GET', `requests${query}`); }
  clock(body) { return this.control('POST', 'clock', body); }
  reset() { return this.control('POST', 'reset', {}); }

  // A subscription that is ready: sub_t with the items given as {price: [unit_amount, quantity]}.
  async subscribe(prices = { price_a: [1000, 5] }, more = {}) {
    const items = Object.entries(prices).map(([price, [unit_amount, quantity]]) =>
      ({ id: `si_${price}`, price, unit_amount, quantity }));
    await this.control('POST', 'subscriptions', { id: 'sub_t', customer: 'cus_t', items, ...more });
    return 'sub_t';
  }
  card(card) { return this.control('POST', 'customers/cus_t', { card }); }

  // Bytes in, bytes out, until the connection ends or `enough` is satisfied.
  raw(bytes, enough = () => false) {
    return new Promise((resolve, reject) => {
      const socket = net.connect(this.port, '127.0.0.1');
      let got = '';
      socket.setTimeout(10000, () =>
        socket.destroy(new Error(`nothing came for ten seconds; so far: ${got.slice(-200)}`)));
      socket.on('data', (part) => {
        got += part.toString('latin1');
        if (enough(got)) { socket.destroy(); resolve(got); }
      });
      socket.on('close', () => resolve(got));
      socket.on('error', (error) =>
        (got && !error.message.startsWith('nothing came') ? resolve(got) : reject(error)));
      for (const piece of Array.isArray(bytes) ? bytes : [bytes]) socket.write(piece);
    });
  }
}

// A receiver of webhooks: {url, received: [{headers, body}], status}.
export async function receiver() {
  const self = { received: [], status: 200 };
  self.server = http.createServer((request, response) => {
    const parts = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', () => {
      self.received.push({ headers: request.headers, body: Buffer.concat(parts) });
      const status = typeof self.status === 'function' ? self.status() : self.status;
      response.writeHead(status).end();
    });
  });
  await new Promise((done) => self.server.listen(0, '127.0.0.1', done));
  self.url = `http://127.0.0.1:${self.server.address().port}/hook`;
  self.events = () => self.received.map((one) => JSON.parse(one.body));
  self.close = () => new Promise((done) => { self.server.close(done); self.server.closeAllConnections(); });
  return self;
}
