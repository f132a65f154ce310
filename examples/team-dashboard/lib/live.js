// One hub a process: it hears that there may be news, asks once for all teams whose pages are open, and has those pages
// told that show something older.
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';

/** @typedef {{version: number, stripe: string, open_changes_total: number}} Page of what team_page gives */
/** @typedef {(actor: string) => Promise<any>} Load */
/** @typedef {(load: Load) => Promise<Page | null>} Tell shows what it has loaded, and gives it back; null: nobody is there */
/** @typedef {{team: string, tell: Tell, shows: Page | null, queued: boolean, failed: boolean}} Watcher */

const MOST_TEAMS = 1000; // that team_versions takes at once
const MOST_PUSHES = 4; // at once: what people ask for needs connections of the pool, too
const SELF_TEST = 'team_dashboard_self_test';
const MILLISECONDS = { debounce: 150, open: 1000, idle: 15_000, echo: 2000, proof: 60_000, again: 1000, query: 5000 };

/** @param {{pool: pg.Pool, listenUrl: string, log: import('fastify').FastifyBaseLogger, times?: typeof MILLISECONDS}} settings */
export function createHub({ pool, listenUrl, log, times = MILLISECONDS }) {
    const watchers = /** @type {Set<Watcher>} */ (new Set());
    const queue = /** @type {(() => Promise<void>)[]} */ ([]);
    const stop = new AbortController();
    let [deaf, failing, looking, pushing, due] = [true, false, false, 0, Infinity];
    let timer = /** @type {NodeJS.Timeout | undefined} */ (undefined);
    let echo = /** @type {(nonce: string) => void} */ (() => {});

    /** Unnamed, as a pooler may be between. @param {string} text @param {unknown[]} values @returns {Promise<any[]>} */
    const ask = async (text, ...values) =>
        (await pool.query(/** @type {pg.QueryConfig} */ ({ text, values, query_timeout: times.query }))).rows;
    /** @param {number} milliseconds @returns {Promise<void>} */
    const wait = (milliseconds) => pause(milliseconds, undefined, { signal: stop.signal }).catch(() => {});
    /** @param {Watcher} watcher */
    const isOpen = ({ shows }) => !!shows && (shows.open_changes_total > 0 || shows.stripe !== 'up');

    /** However often it is called until then, it is one look. @param {number} milliseconds */
    function lookWithin(milliseconds) {
        const at = performance.now() + milliseconds;
        if (stop.signal.aborted || watchers.size === 0 || at >= due) return;
        due = at;
        clearTimeout(timer);
        if (!looking) timer = setTimeout(look, milliseconds);
    }

    async function look() {
        [looking, due] = [true, Infinity];
        const load = loader();
        try {
            const teams = [...new Set([...watchers].map(({ team }) => team))];
            const news = /** @type {Map<string, {version: string, stripe: string}>} */ (new Map());
            for (let first = 0; first < teams.length; first += MOST_TEAMS) {
                const asked = teams.slice(first, first + MOST_TEAMS);
                const rows = await ask('SELECT team, version, stripe FROM seats.team_versions($1)', asked);
                for (const row of rows) news.set(row.team, row);
            }
            for (const watcher of watchers) {
                // No row: the team is not there any more, and the page finds out. A bigint is text here, in the page a number.
                const [row, { shows, queued }] = [news.get(watcher.team), watcher];
                const same = row && Number(row.version) === shows?.version && row.stripe === shows.stripe;
                if (!same && !queued) push(watcher, load);
            }
            failing = false;
        } catch (error) {
            if (!failing) log.error({ err: error }, 'the database does not answer: open pages show what was');
            failing = true;
        }
        const pace = deaf || failing || [...watchers].some(isOpen) ? times.open : times.idle;
        const wanted = due - performance.now();
        [looking, due] = [false, Infinity];
        lookWithin(Math.max(0, Math.min(pace, wanted)));
    }

    /** One query for each team and actor, however many pages he has open. */
    function loader() {
        const pages = /** @type {Map<string, Promise<any>>} */ (new Map());
        return (/** @type {string} */ team, /** @type {string} */ actor) => {
            const key = JSON.stringify([team, actor]);
            const page = pages.get(key) ?? ask('SELECT seats.team_page($1, $2) AS page', team, actor);
            pages.set(key, page);
            return page.then(([row]) => row.page);
        };
    }

    /** @param {Watcher} watcher @param {ReturnType<typeof loader>} load */
    async function push(watcher, load) {
        watcher.queued = true;
        queue.push(async () => {
            try {
                if (watchers.has(watcher)) watcher.shows = await watcher.tell((actor) => load(watcher.team, actor));
                watcher.failed = false;
            } catch (error) {
                if (!watcher.failed)
                    log.warn({ err: error, team: watcher.team }, 'an open page could not be told news');
                [watcher.shows, watcher.failed] = [null, true]; // the next look tries it again
            }
            watcher.queued = false;
            lookWithin(deaf || watcher.failed || isOpen(watcher) ? times.open : times.idle);
        });
        if (pushing >= MOST_PUSHES) return;
        pushing++;
        for (let next; (next = queue.shift());) await next();
        pushing--;
    }

    /** Keeps a connection of its own that hears what the pool says: behind a pooler, LISTEN succeeds and hears nothing. */
    async function listen() {
        for (let delay = times.again; !stop.signal.aborted; delay = Math.min(delay * 2, times.proof)) {
            const connection = { connectionString: listenUrl, keepAlive: true, connectionTimeoutMillis: times.query };
            const client = new pg.Client(connection);
            const lost = new Promise((resolve) =>
                client.on('end', () => resolve(false)).on('error', () => resolve(false)),
            );
            client.on('notification', ({ channel, payload = '' }) =>
                channel === SELF_TEST ? echo(payload) : lookWithin(times.debounce),
            );
            try {
                await client.connect();
                await client.query(`LISTEN pg_seats_journal; LISTEN ${SELF_TEST}`);
                while (await hears(lost)) {
                    if (deaf) log.info('LISTEN hears what is notified');
                    [deaf, delay] = [false, times.again];
                    lookWithin(0); // what was notified before is not told again
                    await Promise.race([lost, wait(times.proof)]);
                }
                throw new Error(
                    'the connection is lost, or leads through a pooler: LISTEN_URL must go to PostgreSQL itself',
                );
            } catch (error) {
                const why = { err: error };
                if (!stop.signal.aborted)
                    log.warn(why, 'LISTEN hears nothing: open pages are looked after every second');
            }
            deaf = true;
            lookWithin(times.open);
            client.end().catch(() => {});
            await wait(delay);
        }
    }

    /** @param {Promise<unknown>} lost */
    async function hears(lost) {
        const nonce = randomUUID();
        const heard = new Promise((resolve) => (echo = (said) => said === nonce && resolve(true)));
        await ask('SELECT pg_notify($1, $2)', SELF_TEST, nonce);
        return Promise.race([heard, lost, wait(times.echo)]);
    }

    listen();
    return {
        /** Has this page told now, and whenever there is news. @param {string} team @param {Tell} tell @returns {() => void} ends that */
        subscribe(team, tell) {
            const watcher = { team, tell, shows: null, queued: false, failed: false };
            watchers.add(watcher);
            push(watcher, loader());
            return () => watchers.delete(watcher);
        },
        isDeaf: () => deaf,
        /** Whether what open pages show was compared with the database of late. */
        isFresh: () => !failing,
        close() {
            stop.abort();
            clearTimeout(timer);
            watchers.clear();
        },
    };
}
