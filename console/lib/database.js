// How the desk asks the database: with few connections, for a short time, and without being able to change anything, but for
// a verb. Whatever a page asks, the worker and the application do not notice it.
import pg from 'pg';

/** @import { Pool, PoolClient, PoolConfig } from 'pg' */
/** @template Result @typedef {(client: PoolClient) => Promise<Result>} Work */

// (Without jit: once rows are many, it compiles for ten seconds what takes milliseconds, as seats.metrics.)
const limits =
    "SET LOCAL statement_timeout = '5s'; SET LOCAL lock_timeout = '1s'; SET LOCAL jit = off; " +
    "SET LOCAL idle_in_transaction_session_timeout = '10s'; SET LOCAL max_parallel_workers_per_gather = 0";
// (A verb for many may have ten thousand calls to look after, and what the worker has in hand it lets go soon.)
const limitsOfVerbs = "SET LOCAL statement_timeout = '60s'; SET LOCAL lock_timeout = '5s'";

const application_name = 'pg_seats console';
// A connection that breaks (the server was restarted), lent or not, would end the process if nobody heard its error.
const ignore = () => {};

/**
 * Three connections. Who finds all of them busy is told so after two seconds, so that nobody queues behind slow pages;
 * and where no answer comes any more, not even that it took too long, a query ends by itself.
 * @param {PoolConfig} config  where the database is; PG* variables say what it leaves out
 */
export const openPool = (config) =>
    new pg.Pool({ query_timeout: 65_000, ...config, max: 3, connectionTimeoutMillis: 2000, application_name })
        .on('error', ignore)
        .on('connect', (client) => client.on('error', ignore));

/** @param {Pool} pool  of openPool */
export function createDatabase(pool) {
    /** @template Result @param {string} begin @param {Work<Result>} work */
    async function transaction(begin, work) {
        const client = await pool.connect();
        let broken = false;
        try {
            await client.query(`${begin}; ${limits}`);
            const result = await work(client);
            await client.query('COMMIT');
            return result;
        } catch (error) {
            await client.query('ROLLBACK').catch(() => (broken = true));
            throw error;
        } finally {
            client.release(broken);
        }
    }

    return {
        /** For pages: one snapshot, in which nothing can be written. @template Result @param {Work<Result>} work */
        read: (work) => transaction('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY', work),

        /** What a verb writes into the journal names the person. @template Result @param {string} person @param {Work<Result>} work */
        act: (person, work) =>
            transaction('BEGIN', async (client) => {
                await client.query(limitsOfVerbs);
                await client.query("SELECT set_config('pg_seats.person', $1, true)", [person]);
                return work(client);
            }),
    };
}

/** @typedef {ReturnType<typeof createDatabase>} Database */
