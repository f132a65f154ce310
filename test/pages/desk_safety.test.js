// The desk is attacked: by other pages of the same browser, by names that are made to mean this machine, by forged headers and
// tokens, by guessed passwords; and it is started in ways that would let strangers in.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, stat, writeFile } from 'node:fs/promises';
import { createServer, request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createDatabase, openPool } from '../../console/lib/database.js';
import { byHeader } from '../../console/lib/safety.js';
import { addUser } from '../../console/lib/users.js';
import { byUsers } from '../../console/pages/sign_in.js';
import { freePort, world } from './lib/world.js';

const { newTeam, openPage, sql, startDesk, until } = await world();
const cli = fileURLToPath(new URL('../../console/cli.js', import.meta.url));
const directory = await mkdtemp('/tmp/pages-');

/**
 * As it is sent, with whatever Host and Origin.
 * @param {string | {socketPath: string}} where
 * @param {{path?: string, method?: string, headers?: Record<string, string | string[]>, body?: Record<string, string>}} [sent]
 * @returns {Promise<{status: number, headers: import('node:http').IncomingHttpHeaders, text: string}>}
 */
function ask(where, { path = '/', method = 'GET', headers = {}, body } = {}) {
    const address = typeof where === 'string' ? { host: '127.0.0.1', port: new URL(where).port } : where;
    const form = body && { 'content-type': 'application/x-www-form-urlencoded' };
    return new Promise((resolve, reject) => {
        const request = httpRequest({ ...address, path, method, headers: { ...form, ...headers } }, (response) => {
            let text = '';
            response.setEncoding('utf8').on('data', (chunk) => (text += chunk));
            response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
        });
        request.on('error', reject).end(body && String(new URLSearchParams(body)));
    });
}

/** @param {string} text of a page */
const tokenOf = (text) => /name="token" value="([^"]+)"/.exec(text)?.[1] ?? '';

/** A form that pauses a lane of a team of its own: what an attacker would send. @param {string} origin */
async function formOf(origin) {
    const { team, subscription } = await newTeam('attacked');
    const lane = `/v1/subscriptions/${subscription}`;
    const path = `/act/pause?destination=stripe&lane=${lane}`;
    const token = tokenOf((await ask(origin, { path })).text);
    assert.match(token, /^[\w-]{43}$/);
    const isPaused = async () =>
        (await sql(`SELECT FROM seats.journal WHERE kind = 'lane.paused' AND reason = $1`, [team])).length > 0;
    const body = { destination: 'stripe', lane, reason: team, key: team, token };
    return { path, body, isPaused };
}

test('a form is taken from a page of the desk only, and with its token', async () => {
    const { origin } = await startDesk();
    const { body, isPaused } = await formOf(origin);
    const post = (/** @type {Record<string, string>} */ headers, more = {}) =>
        ask(origin, { path: '/act/pause', method: 'POST', headers, body: { ...body, ...more } });
    /** @type {[string, Record<string, string>, object?][]} */
    const attacks = [
        ['no origin at all', {}],
        ['another site', { origin: 'https://evil.example' }],
        ['another port of this machine', { origin: 'http://127.0.0.1:1' }],
        ['a name that only begins so', { origin: `${origin}.evil.example` }],
        ['a page that hides its origin', { origin: 'null' }],
        [
            'a browser that says where it comes from',
            { origin, 'sec-fetch-site': 'same-site', 'sec-fetch-dest': 'document' },
        ],
        ['another page, by its address', { referer: 'http://evil.example/127.0.0.1' }],
        ['no token', { origin }, { token: '' }],
        ['another token', { origin }, { token: 'A'.repeat(43) }],
        ['a token that is too long', { origin }, { token: `${body.token}A` }],
        ['a token that is none', { origin }, { token: 'ü'.repeat(43) }],
    ];
    for (const [what, headers, more] of attacks) {
        assert.equal((await post(headers, more)).status, 403, what);
        assert.equal(await isPaused(), false, what);
    }
    const asJson = await ask(origin, {
        path: '/act/pause',
        method: 'POST',
        headers: { origin, 'content-type': 'text/plain' },
    });
    assert.ok(asJson.status >= 400, 'another kind of body');
    assert.equal((await post({ origin, 'sec-fetch-site': 'same-origin' })).status, 303);
    assert.equal(await isPaused(), true);
});

test('a token is good for the desk that has made it', async () => {
    const { body, isPaused } = await formOf((await startDesk()).origin);
    const { origin } = await startDesk();
    const answer = await ask(origin, { path: '/act/pause', method: 'POST', headers: { origin }, body });
    assert.equal(answer.status, 403);
    assert.match(answer.text, /started anew/);
    assert.equal(await isPaused(), false);
});

test('another page of the same browser can neither send a form, nor frame the desk, nor read it', async () => {
    const { origin } = await startDesk();
    const { body, isPaused } = await formOf(origin);
    const inputs = Object.entries(body).map(([name, value]) => `<input name="${name}" value="${value}">`);
    const port = await freePort();
    const evil = createServer((_request, response) =>
        response.setHeader('content-type', 'text/html').end(`<!doctype html><title>evil</title>
            <form method="post" action="${origin}/act/pause">${inputs.join('')}<button>Win</button></form>
            <iframe src="${origin}/"></iframe>`),
    );
    await new Promise((resolve) => evil.listen(port, '127.0.0.1', () => resolve(undefined)));
    try {
        const page = await openPage(`http://127.0.0.1:${port}`);
        assert.equal(
            await page.evaluate(
                (url) =>
                    fetch(url).then(
                        () => 'read',
                        () => 'refused',
                    ),
                origin,
            ),
            'refused',
        );
        await until(() => page.frames().length === 2 && page.frames()[1].url().startsWith('chrome-error:'));
        const answer = page.waitForResponse(`${origin}/act/pause`);
        await page.getByRole('button', { name: 'Win' }).click();
        assert.equal((await answer).status(), 403);
        assert.equal(await isPaused(), false);
    } finally {
        evil.close();
    }
});

test('another page leads here by a link, and cannot have its images ask the database', async () => {
    const { origin } = await startDesk();
    const from = (/** @type {string} */ site, /** @type {string} */ dest) =>
        ask(origin, { path: '/journal', headers: { 'sec-fetch-site': site, 'sec-fetch-dest': dest } });
    for (const site of ['cross-site', 'same-site']) {
        for (const dest of ['image', 'iframe', 'empty']) assert.equal((await from(site, dest)).status, 403, dest);
        assert.equal((await from(site, 'document')).status, 200);
    }
    assert.equal((await from('same-origin', 'empty')).status, 200, 'its own script');
});

test('the desk answers to its own name only, so that no other one can be made to mean it', async () => {
    const { origin } = await startDesk({ hosts: ['127.0.0.1', 'desk.example.com'] });
    for (const host of ['evil.example', '127.0.0.1.evil.example', 'evil.example:80', 'localhost', '[::1]']) {
        const { status, text } = await ask(origin, { headers: { host } });
        assert.equal(status, 421, host);
        assert.doesNotMatch(text, /<html/);
    }
    assert.equal((await ask(origin, { headers: { host: 'DESK.example.com' } })).status, 200);
    const open = await ask(origin, { path: '/desk.css', headers: { host: 'evil.example' } });
    assert.equal(open.status, 421, 'nothing else either');
});

test('whom a proxy brings is nobody, where everybody is the one who sits at this machine', async () => {
    const { origin } = await startDesk();
    for (const name of ['x-forwarded-for', 'forwarded', 'via', 'x-forwarded-proto', 'x-real-ip']) {
        assert.equal((await ask(origin, { path: '/webhooks', headers: { [name]: '192.0.2.7' } })).status, 401, name);
    }
    // nginx, where nothing else is said, asks as this machine, and says of nobody that it brings him.
    const lines = connect(Number(new URL(origin).port), '127.0.0.1').setEncoding('utf8');
    lines.write('GET /webhooks HTTP/1.0\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n');
    assert.match((await lines.toArray()).join(''), /^HTTP\/1.1 401 /);
});

test('every answer forbids frames, foreign scripts and being kept', async () => {
    const { origin } = await startDesk();
    for (const path of [
        '/',
        '/webhooks',
        '/reviews/999',
        '/nothing',
        '/act/nothing',
        '/act/pause?destination=stripe',
    ]) {
        const { headers } = await ask(origin, { path });
        const policy = String(headers['content-security-policy']);
        assert.match(policy, /default-src 'none'/);
        assert.match(policy, /frame-ancestors 'none'/);
        assert.doesNotMatch(policy, /unsafe/);
        const { 'x-frame-options': frame, 'cache-control': cache, 'x-content-type-options': sniff } = headers;
        assert.deepEqual([frame, cache, sniff], ['DENY', 'no-store', 'nosniff'], path);
        assert.equal(headers['referrer-policy'], 'same-origin');
        assert.equal(headers['access-control-allow-origin'], undefined);
    }
});

test('GET and HEAD change nothing, whatever they ask for', async () => {
    const { origin } = await startDesk();
    const { path, body, isPaused } = await formOf(origin);
    // (Of the desk's role: what the worker has still to do for other tests goes on meanwhile.)
    const state = async () =>
        JSON.stringify(
            await sql(`SELECT (SELECT count(*) FROM seats.journal WHERE role = 'desk') AS entries,
        (SELECT count(*) FROM seats.outbox WHERE enqueued_by = 'desk') AS calls,
        (SELECT count(*) FROM seats.destinations WHERE paused_at IS NULL) AS sends`),
        );
    const before = await state();
    const query = new URLSearchParams(body);
    const events = encodeURIComponent('{}');
    const verbs = ['pause', 'resume', 'retry_all', 'replay_webhooks_all', 'reconcile', 'list_events', 'acknowledge'];
    const paths = [
        path,
        '/',
        '/outbox',
        '/reviews',
        '/webhooks',
        '/teams',
        '/journal',
        `/act/retry_all?filter=${events}`,
    ];
    for (const each of [...paths, ...verbs.map((verb) => `/act/${verb}?${query}&team=acme&alert=1&filter=${events}`)]) {
        for (const method of ['GET', 'HEAD']) {
            const { status } = await ask(origin, { path: each, method });
            assert.ok(status < 500, `${method} ${each}: ${status}`);
        }
    }
    for (const method of ['PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
        const { status } = await ask(origin, { path: `/act/pause?${query}`, method, headers: { origin } });
        assert.ok(status >= 400, method);
    }
    assert.equal(await isPaused(), false);
    assert.equal(await state(), before);
    await ask(origin, { path: '/act/pause', method: 'POST', headers: { origin }, body });
    assert.notEqual(await state(), before, 'what a POST changes is seen');
});

test('markup in what people and Stripe have written is text', async () => {
    const { origin } = await startDesk({ person: '<b>Carol</b>' });
    const bad = encodeURIComponent('"><script>document.title="won"</script>');
    for (const path of [
        `/act/pause?destination=${bad}`,
        `/webhooks?endpoint=${bad}`,
        `/reviews?notice=${bad}`,
        `/teams/${bad}`,
    ]) {
        const page = await openPage(origin, { path });
        assert.notEqual(await page.title(), 'won');
        assert.equal(await page.locator('main script, b:text("Carol")').count(), 0, path);
    }
});

test('people sign in with names and passwords of a file that only its owner can read', async (context) => {
    context.mock.method(console, 'log', () => {});
    const file = `${directory}/users`;
    await addUser(file, 'ada', 'a long password');
    await addUser(file, 'bob', 'another password');
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    assert.doesNotMatch(await readFile(file, 'utf8'), /password/);
    await assert.rejects(addUser(file, 'eve', 'short'), /12 characters/);
    await assert.rejects(addUser(file, 'e:ve', 'a long password'), /colon/);
    const users = byUsers(file, '');
    const { origin } = await startDesk({ authentication: users, hosts: ['127.0.0.1', 'desk.example.com'] });
    const signIn = (/** @type {Record<string, string>} */ body, headers = {}) =>
        ask(origin, { path: '/sign-in', method: 'POST', headers: { origin, ...headers }, body });

    assert.equal(
        (await ask(origin, { path: '/reviews/7?x=1' })).headers.location,
        '/sign-in?to=%2Freviews%2F7%3Fx%3D1',
    );
    assert.equal(
        (await ask(origin, { path: '/act/pause', method: 'POST', headers: { origin }, body: {} })).status,
        401,
    );
    for (const body of [
        { name: 'ada', password: 'another password' },
        { name: 'eve', password: 'a long password' },
    ]) {
        const { status, headers } = await signIn(body);
        assert.deepEqual([status, headers['set-cookie']], [403, undefined]);
    }
    for (const to of ['//evil.example', 'https://evil.example', '/\\evil.example', '\t//evil.example', 'evil']) {
        assert.equal((await signIn({ name: 'ada', password: 'a long password', to })).headers.location, '/', to);
    }
    const ada = await signIn({ name: 'ada', password: 'a long password', to: '/webhooks' });
    assert.deepEqual([ada.status, ada.headers.location], [303, '/webhooks']);
    const [sent] = ada.headers['set-cookie'] ?? [];
    assert.match(sent, /^desk=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax$/);
    const cookie = sent.split(';')[0];
    const page = await ask(origin, { path: '/webhooks', headers: { cookie } });
    assert.match(page.text, /ada/);
    assert.equal((await ask(origin, { headers: { cookie: 'desk=AAAA' } })).status, 303);

    // A token is good for this person's session only.
    const bob = await signIn({ name: 'bob', password: 'another password' });
    const bobs = (bob.headers['set-cookie'] ?? [''])[0].split(';')[0];
    const body = { token: tokenOf(page.text) };
    const signOut = (/** @type {string} */ whose) =>
        ask(origin, { path: '/sign-out', method: 'POST', headers: { origin, cookie: whose }, body });
    assert.equal((await signOut(bobs)).status, 403);
    assert.equal((await signOut(cookie)).status, 303);
    assert.equal((await ask(origin, { headers: { cookie } })).status, 303, 'the session is over');

    // Whose password is another one now, or who is gone, is out at once.
    await addUser(file, 'bob', 'a new password of his');
    assert.equal((await ask(origin, { headers: { cookie: bobs } })).status, 303);

    // Beyond this machine a password goes over https, and so does the cookie.
    const host = 'desk.example.com';
    const password = { name: 'ada', password: 'a long password' };
    const plain = await signIn(password, { host, origin: `http://${host}` });
    assert.deepEqual([plain.status, plain.headers['set-cookie']], [403, undefined]);
    const secure = await signIn(password, { host, origin: `https://${host}` });
    assert.match(String(secure.headers['set-cookie']), /^__Host-desk=[\w-]+; Path=\/; HttpOnly; SameSite=Lax; Secure$/);

    let last = 0;
    for (let tries = 0; tries < 20 && last !== 429; tries++)
        last = (await signIn({ name: 'ada', password: 'x' })).status;
    assert.equal(last, 429, 'passwords cannot be guessed by the thousand');
});

test('a session ends after twelve hours', async (context) => {
    context.mock.method(console, 'log', () => {});
    const file = `${directory}/hours`;
    await addUser(file, 'ada', 'a long password');
    const { origin } = await startDesk({ authentication: byUsers(file, '') });
    const body = { name: 'ada', password: 'a long password' };
    const answer = await ask(origin, { path: '/sign-in', method: 'POST', headers: { origin }, body });
    const cookie = (answer.headers['set-cookie'] ?? [''])[0].split(';')[0];
    const now = Date.now();
    context.mock.method(Date, 'now', () => now + 11.9 * 3600_000);
    assert.equal((await ask(origin, { path: '/webhooks', headers: { cookie } })).status, 200);
    context.mock.method(Date, 'now', () => now + 12.1 * 3600_000);
    assert.equal((await ask(origin, { path: '/webhooks', headers: { cookie } })).status, 303);
});

test('a header says who comes, if the proxy has written it', async () => {
    const trusted = await startDesk({ authentication: byHeader('X-Person', '127.0.0.1') });
    const other = await startDesk({ authentication: byHeader('X-Person', '192.0.2.1') });
    const socket = await startDesk({ authentication: byHeader('X-Person', null) });
    const who = async (
        /** @type {{origin: string}} */ { origin },
        /** @type {Record<string, string | string[]>} */ headers,
    ) => {
        const { status, text } = await ask(origin, { path: '/webhooks', headers });
        return status === 200 ? /class="who"[^>]*>([^<\n]*)/.exec(text)?.[1] : status;
    };
    const latin = (/** @type {string} */ text) => Buffer.from(text).toString('latin1');
    assert.equal(await who(trusted, { 'x-person': latin('Carol Kühn') }), 'Carol Kühn');
    assert.equal(await who(trusted, {}), 401);
    assert.equal(await who(trusted, { 'x-person': '' }), 401);
    assert.equal(await who(trusted, { 'x-person': 'x'.repeat(101) }), 401);
    assert.equal(await who(trusted, { 'x-person': ['eve', 'carol'] }), 401, 'a forged one before the own');
    assert.equal(
        await who(other, { 'x-person': 'eve', 'x-forwarded-for': '192.0.2.1', forwarded: 'for=192.0.2.1' }),
        401,
    );
    assert.equal(await who(socket, { 'x-person': 'eve' }), 401, 'over TCP to a desk that believes a socket');
});

/**
 * Runs the program as it is started by hand.
 * @param {string[]} words
 * @param {{input?: string, env?: Record<string, string>}} [given]
 */
function start(words, { input = '', env = {} } = {}) {
    const child = spawn(process.execPath, [cli, ...words], { env: { ...process.env, PGUSER: 'watcher', ...env } });
    let said = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += chunk));
    child.stdin.on('error', () => {}).end(input);
    const ended = new Promise((resolve) => child.on('close', (code) => resolve(code)));
    return { child, ended, said: () => said };
}

test('it does not start where strangers would get in, or be believed', async () => {
    /** @type {[string, RegExp][]} */
    const unsafe = [
        ['--listen 0.0.0.0:0', /--users/],
        ['--listen [::]:0 --host desk.example.com', /--users/],
        ['--listen desk.example.com:0 --host desk.example.com --person ada', /--users/],
        ['--listen unix:/tmp/x.sock --host desk.example.com', /--users/],
        ['--host desk.example.com', /--users/],
        ['--host desk.example.com --person ada', /--users/],
        [`--listen 0.0.0.0:0 --users ${directory}/users`, /--host/],
        [`--users ${directory}/users --host https://desk.example.com`, /without https/],
        [`--users ${directory}/users --host desk.example.com:8443`, /without a port/],
        ['--trusted-header x-person', /anybody can write a header/],
        ['--listen 0.0.0.0:0 --host desk.example.com --trusted-header x-person', /anybody can write a header/],
        ['--listen 127.0.0.1:0 --trusted-proxy 10.0.0.1', /--trusted-header/],
        ['--listen unix:/tmp/x.sock --host a --trusted-header x --trusted-proxy 10.0.0.1', /over TCP/],
        ['--trusted-header x-person --trusted-proxy proxy.example.com', /no IP address/],
        [`--users ${directory}/users --person ada`, /one of them/],
        ['--listen 8080', /no address/],
        ['--listen 127.0.0.1:99999', /no address/],
        ['--prefix desk', /no path/],
        ['--prefix //evil', /no path/],
        ['--person ', /1 to 100 characters/],
        ['--nonsense', /--help/],
        ['nonsense', /--help/],
        ['--add-user file', /whose password/],
    ];
    const runs = unsafe.map(([line]) => start(line.split(' ')));
    for (const [index, [line, words]] of unsafe.entries()) {
        assert.equal(await runs[index].ended, 2, line);
        assert.match(runs[index].said(), words, line);
        assert.doesNotMatch(runs[index].said(), /\n\s+at /, line);
    }
});

test('what is wrong with the database or the file of people is said in a sentence', async () => {
    await writeFile(`${directory}/open`, '', { mode: 0o644 });
    await writeFile(`${directory}/garbled`, 'ada\n', { mode: 0o600 });
    /** @type {[ReturnType<typeof start>, RegExp][]} */
    const wrong = [
        [start(['--listen', '127.0.0.1:0'], { env: { PGHOST: directory } }), /cannot be reached/],
        [start(['--listen', '127.0.0.1:0', '--database', 'postgres:///postgres']), /no pg_seats in this database/],
        [start(['--listen', '127.0.0.1:0', '--users', `${directory}/open`]), /chmod 600/],
        [start(['--listen', '127.0.0.1:0', '--users', `${directory}/garbled`]), /line 1/],
        [start(['--listen', '127.0.0.1:0', '--users', `${directory}/none`]), /none/],
    ];
    for (const [{ ended, said }, words] of wrong) {
        assert.equal(await ended, 1);
        assert.match(said(), words);
        assert.doesNotMatch(said(), /\n\s+at /);
    }
});

test('a connection that breaks under a page ends that page, and not the desk', async () => {
    const pool = openPool({ user: 'watcher' });
    const { origin, close } = await startDesk({ pool });
    const { read } = createDatabase(pool);
    for (const text of ['SELECT pg_sleep(30)', 'SELECT 1']) {
        const broken = read(async (client) => {
            const [{ pid }] = (await client.query('SELECT pg_backend_pid() AS pid')).rows;
            const asked = client.query(text).catch(({ code }) => code);
            if (text === 'SELECT 1') await asked; // and then nothing is asked by whoever has the connection
            const ended = new Promise((resolve) => client.once('end', resolve));
            await sql('SELECT pg_terminate_backend($1)', [pid]);
            await ended;
            throw Object.assign(new Error(), { code: await asked });
        });
        await assert.rejects(broken);
        assert.equal((await ask(origin)).status, 200);
    }
    await close();
    await pool.end();
});

test('--add-user asks twice, and writes no password that was typed wrongly', async () => {
    const file = `${directory}/asked`;
    const wrong = start(['--add-user', file, 'ada'], { input: 'a long password\na long passwort\n' });
    assert.equal(await wrong.ended, 2);
    await assert.rejects(stat(file));
    const right = start(['--add-user', file, 'ada'], { input: 'a long password\na long password\n' });
    assert.equal(await right.ended, 0, right.said());
    assert.doesNotMatch(right.said(), /long password/);
    assert.match(await readFile(file, 'utf8'), /^ada:/);
});

test('it stands on the loopback, or a socket, below a prefix, and ends when it is told to', async (context) => {
    const socketPath = `${directory}/desk.sock`;
    const loopback = start(['--listen', '127.0.0.1:0', '--prefix', '/ops/desk', '--person', 'Carol']);
    const socket = start([
        '--listen',
        `unix:${socketPath}`,
        '--host',
        'desk.example.com',
        '--trusted-header',
        'X-Person',
    ]);
    // (What has not ended as it should would keep this process, too.)
    context.after(() => [loopback, socket].forEach(({ child }) => child.kill('SIGKILL')));
    await until(() => loopback.said().includes('/ops/desk/'), { what: 'it listens' });
    const origin = /http:\/\/127.0.0.1:\d+/.exec(loopback.said())?.[0] ?? '';
    assert.match((await ask(origin, { path: '/ops/desk/webhooks' })).text, /href="\/ops\/desk\/reviews"/);
    assert.equal((await ask(origin, { path: '/' })).status, 404);

    await until(() => socket.said().includes(socketPath), { what: 'it listens on its socket' });
    await until(async () => ((await stat(socketPath)).mode & 0o777) === 0o660);
    const headers = { host: 'desk.example.com', 'x-person': 'carol' };
    const page = await ask({ socketPath }, { path: '/webhooks', headers });
    assert.equal(page.status, 200);
    assert.match(page.text, /carol/);
    assert.equal((await ask({ socketPath }, { path: '/webhooks', headers: { host: 'desk.example.com' } })).status, 401);

    const before = Date.now();
    for (const { child } of [loopback, socket]) child.kill('SIGTERM');
    assert.deepEqual([await loopback.ended, await socket.ended], [0, 0]);
    assert.ok(Date.now() - before < 3000, 'at once');
    await assert.rejects(stat(socketPath), 'its socket is gone');
});
