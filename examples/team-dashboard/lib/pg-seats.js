/**
 * What a program needs beside the SQL of pg_seats: what its errors mean, transactions that are tried again, the journal as
 * a loop, and the endpoint of Stripe's webhooks. It knows nothing of the example around it: copy it, with errors.json, into
 * your own application. It needs `pg`, and describes the errors of Drizzle, Knex and Prisma as well.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';

/**
 * @typedef {object} Described
 * @property {string | null} code the SQLSTATE; null: the error is none of the database's
 * @property {string} message for who sits before the page; the error's own message is for your log
 * @property {Facts} facts
 * @property {number} status of an HTTP answer
 * @property {boolean} retry whether the same may come to something else if it is simply tried again
 */
/** @typedef {Record<string, string | undefined>} Facts what DETAIL tells programs: docs/drivers.md, "Errors" */

// [status, message, retry] by SQLSTATE; {name} is a fact.
/** @type {Record<string, [status: number, message: string, retry?: boolean]>} */
const meanings = JSON.parse(readFileSync(new URL('errors.json', import.meta.url), 'utf8'));

// What the network, Node, pg, its pool and Prisma's connection say when there is no connection, or none any more. (Where it
// broke while a commit was under way nobody knows what became of it: hence a request_key, and what errors.json says of 08006.)
const lost = new RegExp(
    '^(E[A-Z]+|P1001|P1002|P1008|P1017|P2024)$|^(08|57P0|53300)|Connection terminated|connection error|not queryable|' +
        "timeout exceeded when trying|Query read timeout|Can't reach database",
);

/**
 * What the database has said, out of what a driver throws: pg and Knex as it is, Drizzle as `cause`, Prisma (7, with its
 * adapter for pg) in `meta`.
 * @param {any} error
 * @returns {{code: string | null, detail?: string}}
 */
function saidByDatabase(error) {
    for (let at = error, depth = 0; at && depth < 5; at = at.cause, depth++) {
        const prisma = at.meta?.driverAdapterError?.cause;
        const [code, detail] = prisma?.originalCode ? [prisma.originalCode, prisma.detail] : [at.code, at.detail];
        const bySql = Boolean(prisma?.originalCode || at.severity); // then the message may hold anybody's words
        if (lost.test(code) || (!bySql && lost.test(at.message))) return { code: '08006' };
        if (bySql) return { code, detail };
    }
    return { code: null };
}

/**
 * What an error means. Unknown ones are 500: log the error itself then.
 * @param {unknown} error what a query has thrown, whichever driver it came through
 * @returns {Described}
 */
export function describe(error) {
    const { code, detail } = saidByDatabase(error);
    const pairs = [...(detail ?? '').matchAll(/(\w+)=([^\s)]*)/g)].map(([, name, value]) => [name, value]);
    const facts = Object.fromEntries(pairs);
    const [status, text, retry = false] = meanings[code ?? ''] ?? meanings.unknown;
    return { code, message: text.replace(/\{(\w+)\}/g, (_, name) => facts[name] ?? '?'), facts, status, retry };
}

/**
 * Runs `work` in a transaction, and again from its start when PostgreSQL says that somebody was in the way (40001, 40P01):
 * so let it do nothing that cannot be done twice, except by this client.
 * @template T
 * @param {pg.Pool} pool
 * @param {(client: pg.PoolClient) => Promise<T>} work
 * @param {{begin?: string, attempts?: number}} [options] `begin`: 'BEGIN ISOLATION LEVEL SERIALIZABLE', say
 * @returns {Promise<T>}
 */
export async function withTransaction(pool, work, { begin = 'BEGIN', attempts = 5 } = {}) {
    for (let attempt = 1; ; attempt++) {
        const client = await borrow(pool);
        let open = true;
        try {
            await client.query(begin);
            const result = await work(client);
            await commit(client);
            open = false;
            return result;
        } catch (error) {
            const { code } = saidByDatabase(error);
            if (attempt >= attempts || (code !== '40001' && code !== '40P01')) throw error;
        } finally {
            await giveBack(client, open);
        }
        await sleep(Math.random() * 20 * 2 ** attempt);
    }
}

// A connection that breaks while it is lent and no query runs would end the process: nobody hears its error.
const ignore = () => {};

/** @type {(pool: pg.Pool) => Promise<pg.PoolClient>} */
const borrow = async (pool) => (await pool.connect()).on('error', ignore);

/** @param {pg.PoolClient} client */
async function commit(client) {
    // Where an error within was caught and swallowed, COMMIT rolls back and is no error.
    const { command } = await client.query('COMMIT');
    if (command !== 'COMMIT') throw new Error('the transaction was rolled back: an error within it was not passed on');
}

/** @type {(client: pg.PoolClient, open: boolean) => Promise<void>} what cannot even roll back is given up */
const giveBack = async (client, open) => {
    const failure = open ? await client.query('ROLLBACK').then(ignore, (error) => error) : undefined;
    client.off('error', ignore).release(failure);
};

/**
 * @typedef {{number: string, at: Date, kind: string, role: string, actor: string | null, call: string | null,
 *   lane: string | null, team: string | null, individual: string | null, reason: string | null, detail: any}} Entry identified by number
 */

/**
 * Follows the journal, for ever or until `signal`:
 *
 *     for await (const { entries, client } of journal(pool, 'mailer', { listenUrl, signal })) {
 *       for (const entry of entries) await client.query('INSERT INTO mails …', [entry.number, entry.team]);
 *     }
 *
 * Each round is a transaction, begun before and committed after the loop's body, which also acknowledges its entries. What
 * the body does by `client` is done exactly once, whenever the program dies; what it does elsewhere at least once: let it be
 * harmless the second time. An error in the body ends the loop, and so does `break`: nothing of that round is done then, and
 * its entries come again to whoever begins anew. Lost connections and 40001 are waited out (0.1 to 30 s), and `log` is told;
 * all else is thrown, as PS542: it was away for too long. Of several processes with the same name one works and the others
 * wait, each with a connection of its pool; so keep the body short.
 *
 * @param {pg.Pool} pool
 * @param {string} consumer one name for each part of your program that reads on its own
 * @param {{listenUrl?: string, signal?: AbortSignal, most?: number, pollEvery?: number, log?: (error: unknown) => void}} [options]
 *   `listenUrl`: of the server, not of a pooler: entries then come at once, else every `pollEvery` ms; `most`: in a round
 * @returns {AsyncGenerator<{entries: Entry[], client: pg.PoolClient}, void, void>}
 */
export async function* journal(pool, consumer, options = {}) {
    const { listenUrl, signal, most = 100, pollEvery = 30_000, log = ignore } = options;
    const bell = createBell(listenUrl, signal, log);
    try {
        for (let failures = 0; !signal?.aborted;) {
            bell.silence(); // before reading: what is notified from now on is read in the next round
            let client = /** @type {pg.PoolClient | undefined} */ (undefined);
            let [open, found] = [true, 0];
            try {
                client = await borrow(pool);
                await client.query('BEGIN');
                const { rows } = await client.query('SELECT * FROM seats.read_journal($1, $2)', [consumer, most]);
                found = rows.length;
                if (found > 0) {
                    yield { entries: rows, client };
                    const { number } = rows[found - 1];
                    await client.query('SELECT seats.acknowledge_journal($1, $2)', [consumer, number]);
                }
                await commit(client);
                [open, failures] = [false, 0];
            } catch (error) {
                if (!describe(error).retry) throw error;
                log(error);
                failures++;
            } finally {
                // Also when the body has ended the loop: nothing of the round is left then.
                if (client) await giveBack(client, open);
            }
            if (failures > 0) await pause(Math.min(50 * 2 ** failures, 30_000) * (0.5 + Math.random() / 2), signal);
            else if (found === 0 && !signal?.aborted) await bell.wait(pollEvery);
        }
    } finally {
        bell.close();
    }
}

/** @type {(milliseconds: number, signal?: AbortSignal) => Promise<unknown>} `signal` ends it early */
const pause = (milliseconds, signal) => sleep(milliseconds, undefined, { signal }).catch(ignore);

/**
 * Rings when there may be news. A notification is never more than that: one may be lost.
 * @param {string | undefined} url
 * @param {AbortSignal | undefined} signal
 * @param {(error: unknown) => void} log
 */
function createBell(url, signal, log) {
    let rung = new AbortController();
    let listener = /** @type {pg.Client | undefined} */ (undefined);
    const ring = () => rung.abort();
    signal?.addEventListener('abort', ring);
    const listen = async () => {
        const client = new pg.Client({ connectionString: url, keepAlive: true, connectionTimeoutMillis: 5000 });
        try {
            await client.on('error', log).on('notification', ring).connect();
            await client.query('LISTEN pg_seats_journal');
            listener = client.on('end', () => {
                listener = undefined;
                ring();
            });
            ring(); // for what came while nobody listened
        } catch (error) {
            log(error);
            await client.end().catch(ignore);
        }
    };
    return {
        silence: () => void (rung = new AbortController()),
        /** @param {number} milliseconds */
        async wait(milliseconds) {
            if (url && !listener) await listen();
            await pause(milliseconds, rung.signal);
        },
        close() {
            signal?.removeEventListener('abort', ring);
            listener?.end().catch(ignore);
        },
    };
}

/**
 * The endpoint of Stripe's webhooks, whatever the framework:
 *
 *     const receive = webhooks(pool, 'main');
 *     const { status, outcome } = await receive(rawBody, request.headers['stripe-signature']);
 *
 * Answer with `status` once it has come: never 200 before the commit, as what was answered so does not come again; 500 when
 * the database cannot be reached, and Stripe sends it again. Give it a pool of its own, so that events come in while
 * pages hold every connection, and have your framework pass the bytes that came and take no more than `largestWebhook`.
 *
 * @param {pg.Pool} pool
 * @param {string} endpoint as in `seats.define_webhook_endpoint`
 * @param {(error: unknown) => void} [log]
 * @returns {(body: Buffer, signature: string | string[] | undefined) => Promise<{status: number, outcome: string}>}
 */
export function webhooks(pool, endpoint, log = ignore) {
    return async (body, signature) => {
        if (body.length > largestWebhook) return { status: 413, outcome: 'too_large' };
        try {
            // One statement is a transaction, and pg resolves only when that has ended.
            const text = 'SELECT http_status AS status, outcome FROM seats.receive_webhook($1, $2, $3)';
            return (await pool.query(text, [body, String(signature ?? ''), endpoint])).rows[0];
        } catch (error) {
            log(error);
            return { status: 500, outcome: 'not_received' };
        }
    };
}

/** In bytes; Stripe's are far smaller. */
export const largestWebhook = 1 << 20;
