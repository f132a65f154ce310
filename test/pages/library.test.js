// examples/team-dashboard/lib/pg-seats.js, as another application would use it, and the endpoint that the example has of it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, describe as about, test } from 'node:test';
import Fastify from 'fastify';
import pg from 'pg';
import {
    describe,
    journal,
    largestWebhook,
    webhooks,
    withTransaction,
} from '../../examples/team-dashboard/lib/pg-seats.js';
import webhookRoute from '../../examples/team-dashboard/routes/webhooks.js';
import { freePort, until, world } from './lib/world.js';

const root = new URL('../../', import.meta.url);
const { sql, control, newTeam, startDashboard } = await world();
const url = `postgresql:///${process.env.PGDATABASE}?host=${encodeURIComponent(process.env.PGHOST ?? '')}&user=dashboard`;
const unique = (/** @type {string} */ word) => `${word}-${randomBytes(4).toString('hex')}`;

/** @type {pg.Pool} */
let pool;
before(async () => {
    pool = new pg.Pool({ connectionString: url, max: 5 });
    pool.on('error', () => {});
    await sql('CREATE TABLE IF NOT EXISTS public.library_done (consumer text, number bigint, team text)');
    await sql('GRANT SELECT, INSERT ON public.library_done TO dashboard');
});
after(async () => {
    await pool.end();
    const admin = new pg.Client({ user: 'postgres' });
    await admin.connect();
    await admin.query('DROP TABLE public.library_done');
    await admin.end();
});

/** What a query has thrown. @param {Promise<unknown>} promise @returns {Promise<any>} */
const thrown = (promise) =>
    promise.then(
        () => assert.fail('no error came'),
        (error) => error,
    );

/** A consumer that begins with what happens from now on. @param {string} word */
async function newConsumer(word) {
    const consumer = unique(word);
    const [{ number }] = (await pool.query('SELECT number FROM seats.teams_changed()')).rows;
    await pool.query('SELECT count(*) FROM seats.read_journal($1, 1)', [consumer]);
    await pool.query('SELECT seats.acknowledge_journal($1, $2)', [consumer, number]);
    return consumer;
}

/** Many entries of a team. @param {string} team @param {number} count */
async function makeNews(team, count) {
    const added = async () => {
        const text = `SELECT count(*)::int AS n FROM seats.journal WHERE kind = 'member.added' AND detail ->> 'team' = $1`;
        return (await sql(text, [team]))[0].n;
    };
    const before = await added();
    for (let n = 0; n < count; n++) await sql('SELECT seats.add_member($1, $2)', [team, unique('somebody')]);
    await until(async () => (await added()) >= before + count);
}

/** @param {string} consumer */
const done = async (consumer) =>
    (await sql('SELECT number, team FROM public.library_done WHERE consumer = $1 ORDER BY number', [consumer])).map(
        ({ number }) => number,
    );

/** @param {string} consumer */
const behind = async (consumer) =>
    (await sql('SELECT behind::int FROM seats.journal_consumers WHERE consumer = $1', [consumer]))[0].behind;

about('the journal', () => {
    test('what the loop does by its client is done exactly once, though the program is killed in every round', async () => {
        const { team } = await newTeam('killed');
        const consumer = await newConsumer('killed');
        await makeNews(team, 20);
        // Dies in its second round, when that has written and not committed.
        const program = `
            import pg from 'pg';
            import { journal } from ${JSON.stringify(new URL('../../examples/team-dashboard/lib/pg-seats.js', import.meta.url).href)};
            const pool = new pg.Pool({ connectionString: process.env.URL });
            let rounds = 0;
            for await (const { entries, client } of journal(pool, process.env.CONSUMER, { most: 3 })) {
                for (const { number, team } of entries) {
                    await client.query('INSERT INTO public.library_done VALUES ($1, $2, $3)', [process.env.CONSUMER, number, team]);
                }
                if (++rounds === 2) process.kill(process.pid, 'SIGKILL');
            }`;
        let killed = 0;
        for (; (await behind(consumer)) > 6; killed++) {
            const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
                cwd: new URL('.', import.meta.url),
                env: { ...process.env, URL: url, CONSUMER: consumer },
                stdio: ['ignore', 'inherit', 'inherit'],
            });
            const signal = await new Promise((resolve) => child.once('exit', (_code, by) => resolve(by)));
            assert.equal(signal, 'SIGKILL');
        }
        assert.ok(killed >= 4, `killed ${killed} times only`);
        await follow(consumer, async () => (await behind(consumer)) === 0);
        const numbers = await done(consumer);
        const entries = await sql(
            `SELECT number FROM seats.journal WHERE kind = 'member.added' AND detail ->> 'team' = $1 AND number >= $2 ORDER BY number`,
            [team, numbers[0]],
        );
        assert.equal(new Set(numbers).size, numbers.length, 'an entry was done twice');
        for (const { number } of entries) assert.ok(numbers.includes(number), `entry ${number} was lost`);
    });

    test('an error in the loop ends it, and its entries come again', async () => {
        const { team } = await newTeam('failing');
        const consumer = await newConsumer('failing');
        await makeNews(team, 2);
        /** @type {string[]} */
        let seen = [];
        const error = await thrown(
            (async () => {
                for await (const { entries, client } of journal(pool, consumer, { pollEvery: 50 })) {
                    seen = entries.map((entry) => entry.number);
                    await write(client, consumer, entries);
                    throw new Error('the mail server is away');
                }
            })(),
        );
        assert.equal(error.message, 'the mail server is away');
        assert.deepEqual(await done(consumer), []);
        for await (const { entries, client } of journal(pool, consumer)) {
            assert.equal(entries[0].number, seen[0]);
            assert.ok(
                entries[0].at instanceof Date && entries[0].kind.includes('.') && typeof entries[0].detail === 'object',
            );
            await write(client, consumer, entries);
            break;
        }
        assert.deepEqual(await done(consumer), [], 'break takes the round back, as an error does');
        assert.equal(pool.idleCount, pool.totalCount, 'each connection was given back');
    });

    test(
        'a notification wakes it, a signal ends it, and the round that is under way then is still committed',
        { timeout: 30_000 },
        async () => {
            const { team, owner } = await newTeam('woken');
            const consumer = await newConsumer('woken');
            const stop = new AbortController();
            const rounds = (async () => {
                for await (const { entries, client } of journal(pool, consumer, {
                    listenUrl: url,
                    signal: stop.signal,
                    pollEvery: 600_000,
                })) {
                    await write(client, consumer, entries);
                    if (entries.some((entry) => entry.team === team && entry.kind === 'member.removed')) stop.abort();
                }
            })();
            await until(async () => (await listeners()) > 0);
            await sql('SELECT seats.remove_member($1, $2, last_owner => true)', [team, owner]);
            await rounds;
            const [{ number }] = await sql(
                `SELECT number FROM seats.journal WHERE kind = 'member.removed' AND detail ->> 'team' = $1`,
                [team],
            );
            assert.ok((await done(consumer)).includes(number));
            await until(async () => (await listeners()) === 0, { what: 'nobody listens any more' });

            const idle = new AbortController();
            const waiting = (async () => {
                for await (const round of journal(pool, unique('ended'), {
                    signal: idle.signal,
                    most: 10_000,
                    pollEvery: 600_000,
                }))
                    void round;
            })();
            await until(async () => pool.idleCount === pool.totalCount);
            idle.abort();
            await waiting;
        },
    );

    test('connections that are lost, its own and that which listens, are waited out', async () => {
        const { team } = await newTeam('cut');
        const consumer = await newConsumer('cut');
        const stop = new AbortController();
        /** @type {unknown[]} */
        const told = [];
        let cut = false;
        const rounds = (async () => {
            const options = {
                listenUrl: url,
                signal: stop.signal,
                pollEvery: 600_000,
                log: (/** @type {unknown} */ e) => told.push(e),
            };
            for await (const { entries, client } of journal(pool, consumer, options)) {
                await write(client, consumer, entries);
                if (!cut && entries.some((entry) => entry.team === team)) {
                    cut = true;
                    // While the round is open: what it has written is lost, and done again.
                    await sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'dashboard'`);
                }
            }
        })();
        await until(async () => (await listeners()) > 0);
        for (const what of ['it is read again', 'it listens again']) {
            await makeNews(team, 3);
            const [{ last }] = await sql(`SELECT max(number) AS last FROM seats.journal WHERE detail ->> 'team' = $1`, [
                team,
            ]);
            await until(async () => (await done(consumer)).includes(last), { what });
            await until(async () => (await listeners()) > 0);
        }
        assert.ok(cut);
        stop.abort();
        await rounds;
        const numbers = await done(consumer);
        assert.equal(new Set(numbers).size, numbers.length);
        assert.ok(told.length > 0 && told.every((error) => describe(error).code === '08006'), String(told));
    });

    test('what would only fail again is thrown', async () => {
        const error = await thrown(journal(pool, 'no such\nname').next());
        assert.equal(error.code, 'PS545');
        assert.equal(pool.idleCount, pool.totalCount);
    });

    /** @param {pg.PoolClient} client @param {string} consumer @param {import('../../examples/team-dashboard/lib/pg-seats.js').Entry[]} entries */
    async function write(client, consumer, entries) {
        for (const { number, team } of entries)
            await client.query('INSERT INTO public.library_done VALUES ($1, $2, $3)', [consumer, number, team]);
    }

    /** @param {string} consumer @param {() => Promise<boolean>} enough */
    async function follow(consumer, enough) {
        const stop = new AbortController();
        const ended = until(enough).finally(() => stop.abort());
        for await (const { entries, client } of journal(pool, consumer, { signal: stop.signal, pollEvery: 50 }))
            await write(client, consumer, entries);
        await ended;
    }

    const listeners = async () =>
        (
            await sql(`SELECT count(*)::int AS n FROM pg_stat_activity
                        WHERE usename = 'dashboard' AND query = 'LISTEN pg_seats_journal'`)
        )[0].n;
});

about('transactions', () => {
    test('what meets somebody else is done again from its start', async () => {
        await sql('CREATE TABLE public.library_counter AS SELECT 0 AS n');
        await sql('GRANT ALL ON public.library_counter TO dashboard');
        try {
            let runs = 0;
            const begin = 'BEGIN ISOLATION LEVEL REPEATABLE READ';
            const result = await withTransaction(
                pool,
                async (client) => {
                    const [{ n }] = (await client.query('SELECT n FROM public.library_counter')).rows;
                    if (++runs === 1) await sql('UPDATE public.library_counter SET n = 10');
                    await client.query('UPDATE public.library_counter SET n = $1', [n + 1]);
                    return n + 1;
                },
                { begin },
            );
            assert.deepEqual([result, runs], [11, 2]);
            assert.equal((await sql('SELECT n FROM public.library_counter'))[0].n, 11);
        } finally {
            await sql('DROP TABLE public.library_counter');
        }
    });

    test('an error takes it back, and one that was swallowed is no success', async () => {
        const consumer = unique('swallowed');
        const insert = (/** @type {pg.PoolClient} */ client) =>
            client.query('INSERT INTO public.library_done VALUES ($1, 1)', [consumer]);
        const first = await thrown(
            withTransaction(pool, async (client) => {
                await insert(client);
                await client.query(`SELECT * FROM seats.add_seats('no-team', 'team', 1, 'ada')`);
            }),
        );
        assert.equal(describe(first).code, 'PS501');
        const second = await thrown(
            withTransaction(pool, async (client) => {
                await insert(client);
                await client.query('SELECT 1/0').catch(() => {});
            }),
        );
        assert.match(second.message, /rolled back/);
        assert.deepEqual(await done(consumer), []);
        assert.equal(pool.idleCount, pool.totalCount);
    });
});

about('errors', () => {
    test('have words, facts and a status, whichever driver they came through', async () => {
        const { team, owner } = await newTeam('errors');
        const error = await thrown(pool.query(`SELECT seats.add_seats($1, 'team', 51, $2)`, [team, owner]));
        const expected = {
            code: 'PS506',
            message: 'At most 50 seats can be changed at once.',
            facts: { seat_type: 'team', largest_change: '50', requested: '51' },
            status: 422,
            retry: false,
        };
        assert.deepEqual(describe(error), expected, 'pg, and Knex, which throws the same');
        // As docs/drivers.md has them: those of Drizzle 0.45 and Prisma 7 were looked at.
        assert.deepEqual(describe(Object.assign(new Error('Failed query: …'), { cause: error })), expected, 'Drizzle');
        const cause = {
            originalCode: error.code,
            originalMessage: error.message,
            detail: error.detail,
            kind: 'postgres',
        };
        const prisma = Object.assign(new Error('Raw query failed'), {
            code: 'P2010',
            meta: { driverAdapterError: { cause } },
        });
        assert.deepEqual(describe(prisma), expected, 'Prisma');

        const cut = { cause: { originalCode: '57P01', kind: 'postgres', severity: 'FATAL' } };
        assert.equal(describe({ code: 'P2010', meta: { driverAdapterError: cut } }).code, '08006');
        const away = { cause: { kind: 'DatabaseNotReachable', host: '127.0.0.1', port: 1 } };
        const message = "Can't reach database server at 127.0.0.1:1";
        assert.equal(describe({ code: 'P2010', message, meta: { driverAdapterError: away } }).code, '08006');

        const stranger = describe(await thrown(pool.query(`SELECT seats.add_seats($1, 'team', 1, 'eve')`, [team])));
        assert.deepEqual([stranger.code, stranger.status], ['PS509', 403]);
        const fewer = describe(
            await thrown(pool.query(`SELECT seats.remove_seats($1, 'owner', 1, $2)`, [team, owner])),
        );
        assert.deepEqual(
            [fewer.status, fewer.message],
            [409, '1 of 1 seats are in use, and invites may keep others: free some first.'],
        );
        const stale = describe(
            await thrown(
                pool.query(`SELECT seats.add_seats($1, 'team', 1, $2, expected_quantity => 4)`, [team, owner]),
            ),
        );
        assert.deepEqual([stale.code, stale.status, stale.facts.quantity], ['PS510', 409, '5']);
    });

    test('are known that functions for applications raise, and no others', () => {
        const words = JSON.parse(readFileSync(new URL('examples/team-dashboard/lib/errors.json', root), 'utf8'));
        const page = readFileSync(new URL('docs/errors.md', root), 'utf8');
        const listed = (/** @type {string} */ text) => [...text.matchAll(/^\| (PS\d{3}) /gm)].map(([, code]) => code);
        const known = Object.keys(words).filter((code) => code.startsWith('PS'));
        assert.deepEqual(
            known.filter((code) => !listed(page).includes(code)),
            [],
        );
        // Of seats, members and invites all, but for those that only a mistake in a program or an operator's verb has.
        const ours = page.split('\n## ').filter((part) => /^(Seats|Invites)/.test(part));
        assert.equal(ours.length, 2);
        assert.deepEqual(
            listed(ours.join('\n')).filter((code) => !known.includes(code)),
            ['PS502', 'PS521', 'PS522', 'PS537'],
        );
    });

    test('of a lost connection may be tried again, and the unknown is ours', async () => {
        const port = await freePort();
        const nowhere = new pg.Pool({ host: '127.0.0.1', port });
        const away = describe(await thrown(nowhere.query('SELECT 1')));
        assert.deepEqual([away.code, away.status, away.retry], ['08006', 503, true]);
        await nowhere.end();

        const cut = await thrown(pool.query('SELECT pg_terminate_backend(pg_backend_pid())'));
        assert.equal(describe(cut).code, '08006', cut.message);

        const small = new pg.Pool({ connectionString: url, max: 1, connectionTimeoutMillis: 2000 });
        const only = await small.connect();
        assert.equal(describe(await thrown(small.query('SELECT 1'))).code, '08006');
        const slow = /** @type {pg.QueryConfig} */ ({ text: 'SELECT pg_sleep(2)', query_timeout: 100 });
        assert.equal(describe(await thrown(only.query(slow))).code, '08006');
        only.release(true);
        await small.end();

        // A name that somebody has given does not become a lost connection.
        const named = await thrown(pool.query(`SELECT seats.add_seats('connection error', 'team', 1, 'ada')`));
        assert.equal(describe(named).code, 'PS501');

        const division = describe(await thrown(pool.query('SELECT 1/0')));
        assert.deepEqual([division.code, division.status, division.retry], ['22012', 500, false]);
        for (const odd of [new TypeError('x is not a function'), 'text', null, undefined, { code: 7 }]) {
            assert.deepEqual([describe(odd).code, describe(odd).status], [null, 500]);
        }
    });
});

about('webhooks', () => {
    /** @param {string} subscription */
    const event = (subscription, id = unique('evt').replace('-', '_')) =>
        Buffer.from(
            JSON.stringify({
                id,
                object: 'event',
                type: 'customer.subscription.updated',
                livemode: false,
                created: Math.floor(Date.now() / 1000),
                api_version: '2026-05-27.dahlia',
                request: { id: null, idempotency_key: null },
                data: { object: { id: subscription, object: 'subscription', status: 'active' } },
            }),
        );
    const signed = (/** @type {Buffer} */ body, secret = 'whsec_demo') => {
        const at = Math.floor(Date.now() / 1000);
        return `t=${at},v1=${createHmac('sha256', secret).update(`${at}.`).update(body).digest('hex')}`;
    };
    /** @param {string} origin @param {Buffer} body @param {string} [signature] */
    const post = async (origin, body, signature) => {
        const headers = {
            'content-type': 'application/json; charset=utf-8',
            ...(signature && { 'stripe-signature': signature }),
        };
        const response = await fetch(`${origin}/webhooks/stripe`, {
            method: 'POST',
            body: new Uint8Array(body),
            headers,
        });
        return [response.status, await response.text()];
    };

    test('are taken as the bytes that came, once, and only from Stripe', async () => {
        const { subscription } = await newTeam('told');
        const { origin } = await startDashboard();
        const body = event(subscription);
        const [status, outcome] = await post(origin, body, signed(body));
        assert.equal(status, 200);
        assert.ok(['processed', 'stored'].includes(String(outcome)), String(outcome));
        const { id } = JSON.parse(body.toString());
        assert.equal(
            (await sql('SELECT FROM seats.webhook_events WHERE event_id = $1', [id])).length,
            1,
            'it is committed',
        );
        await until(async () => (await post(origin, body, signed(body)))[1] === 'duplicate');
        assert.deepEqual(await post(origin, body, signed(body, 'whsec_other')), [400, 'signature_mismatch']);
        assert.deepEqual(await post(origin, Buffer.concat([body, Buffer.from(' ')]), signed(body)), [
            400,
            'signature_mismatch',
        ]);
        assert.deepEqual(await post(origin, body), [400, 'signature_malformed']);
        assert.deepEqual(await post(origin, Buffer.alloc(0), signed(Buffer.alloc(0))), [400, 'not_an_event']);
    });

    test('that are too large are not read to their end', async () => {
        const { origin } = await startDashboard();
        const body = Buffer.alloc(largestWebhook + 1, ' ');
        assert.equal((await post(origin, body, signed(body)))[0], 413);
        const most = Buffer.alloc(largestWebhook, ' ');
        assert.deepEqual(await post(origin, most, signed(most)), [400, 'not_an_event']);
        assert.deepEqual(await webhooks(pool, 'main')(body, signed(body)), { status: 413, outcome: 'too_large' });
    });

    test('come in while pages hold every connection of theirs', async () => {
        const { subscription } = await newTeam('busy');
        const dashboard = await startDashboard();
        const held = await Promise.all(Array.from({ length: 10 }, () => dashboard.pool.connect()));
        const body = event(subscription);
        assert.equal((await post(dashboard.origin, body, signed(body)))[0], 200);
        for (const client of held) client.release();
    });

    test('are answered 500 while the database is away, so that Stripe sends them again', async () => {
        const nowhere = new pg.Pool({ host: '127.0.0.1', port: await freePort() });
        const app = Fastify({ logger: false });
        await app.register(webhookRoute, /** @type {any} */ ({ pool: nowhere }));
        const origin = await app.listen({ port: 0, host: '127.0.0.1' });
        const body = event('sub_any');
        assert.deepEqual(await post(origin, body, signed(body)), [500, 'not_received']);
        await app.close();
        await nowhere.end();

        /** @type {any[]} */
        const told = [];
        const wrong = webhooks(pool, 'no such endpoint', (error) => told.push(error));
        assert.deepEqual(await wrong(body, signed(body)), { status: 500, outcome: 'not_received' });
        assert.equal(told[0].code, 'PS601');
    });

    test("of the simulator's bring what somebody does in Stripe's Dashboard", async () => {
        const { team, subscription, items } = await newTeam('dashboard');
        const { origin } = await startDashboard();
        const id = unique('we').replace('-', '_');
        await control('webhooks', {
            id,
            url: `${origin}/webhooks/stripe`,
            secret: 'whsec_demo',
            events: ['customer.subscription.*'],
        });
        try {
            await control(`subscriptions/${subscription}`, { quantities: { [items.team]: 7 } });
            await until(async () => {
                const rows = await sql(`SELECT confirmed FROM seats.teams WHERE team = $1 AND seat_type = 'team'`, [
                    team,
                ]);
                return rows[0].confirmed === 7;
            });
        } finally {
            await control(`webhooks/${id}`, undefined, 'DELETE');
        }
    });
});
