// One hub a process: it hears that there may be news, asks once for all teams whose pages are open, and has those pages
// told that show something older.
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';

/** @typedef {{version: number, stripe: string, open_changes_total: number}} Shown of what team_page gives */
/** @typedef {(actor: string) => Promise<any>} Load gives the team's page */
/** @typedef {(load: Load) => Promise<Shown | null>} Tell shows what it loads, and gives it back; null: nobody is there */
/** @typedef {{team: string, tell: Tell, shows: Shown | null, queued: boolean, failed: boolean}} Watcher */

const MOST_TEAMS = 1000; // that team_versions takes at once
const MOST_PUSHES = 4; // at once: what people ask for needs connections of the pool, too
const SELF_TEST = 'team_dashboard_self_test';
const MILLISECONDS = { debounce: 150, open: 1000, idle: 15_000, echo: 2000, again: 1000, longest: 60_000, query: 5000 };

/** @param {{pool: pg.Pool, listenUrl: string, log: import('fastify').FastifyBaseLogger, times?: typeof MILLISECONDS}} settings */
export function createHub({ pool, listenUrl, log, times = MILLISECONDS }) {
    const watchers = /** @type {Set<Watcher>} */ (new Set());
    const lanes = Array.from({ length: MOST_PUSHES }, () => Promise.resolve());
    const stop = new AbortController();
    let [deaf, failing, looking, turn, due] = [true, false, false, 0, Infinity];
    let timer = /** @type {NodeJS.Timeout | undefined} */ (undefined);
    let ear = new pg.Client(listenUrl);

    /** Unnamed, as a pooler may be between. @param {string} text @param {unknown[]} values @returns {Promise<any[]>} */
    const ask = async (text, ...values) =>
        (await pool.query(/** @type {pg.QueryConfig} */ ({ text, values, query_timeout: times.query }))).rows;
    /** @param {number} milliseconds */
    const wait = (milliseconds) => pause(milliseconds, false, { signal: stop.signal }).catch(() => false);
    /** @param {Watcher} watcher */
    const isOpen = ({ shows }) => !!shows && (shows.open_changes_total > 0 || shows.stripe !== 'up');

    /** However often it is called until then, it is one look. @param {number} milliseconds */
    function lookWithin(milliseconds) {
        const at = performance.now() + milliseconds;
        if (watchers.size === 0 || at >= due) return;
        due = at;
        clearTimeout(timer);
        if (!looking) timer = setTimeout(look, milliseconds);
    }

    async function look() {
        [looking, due] = [true, Infinity];
        try {
            const teams = [...new Set([...watchers].map(({ team }) => team))];
            const news = /** @type {Map<string, {version: string, stripe: string}>} */ (new Map());
            while (teams.length > 0) {
                const some = teams.splice(0, MOST_TEAMS);
                const rows = await ask('SELECT team, version, stripe FROM seats.team_versions($1)', some);
                for (const row of rows) news.set(row.team, row);
            }
            const load = loader();
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
        const soon = Math.max(0, due - performance.now());
        [looking, due] = [false, Infinity];
        lookWithin(Math.min(pace, soon));
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
    function push(watcher, load) {
        watcher.queued = true;
        const lane = turn++ % MOST_PUSHES;
        lanes[lane] = lanes[lane].then(async () => {
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
    }

    /** Behind a pooler, LISTEN succeeds and hears nothing: it is believed when it has heard what the pool said. */
    async function listen() {
        for (let delay = times.again; !stop.signal.aborted; delay = Math.min(delay * 2, times.longest)) {
            ear = new pg.Client({ connectionString: listenUrl, keepAlive: true, connectionTimeoutMillis: times.query });
            const lost = new Promise((resolve) =>
                ear.on('end', () => resolve(false)).on('error', () => resolve(false)),
            );
            const nonce = randomUUID();
            const heard = new Promise((resolve) =>
                ear.on('notification', ({ channel, payload }) =>
                    channel === SELF_TEST ? payload === nonce && resolve(true) : lookWithin(times.debounce),
                ),
            );
            try {
                await ear.connect();
                await ear.query(`LISTEN pg_seats_journal; LISTEN ${SELF_TEST}`);
                await ask('SELECT pg_notify($1, $2)', SELF_TEST, nonce);
                if (!(await Promise.race([heard, lost, wait(times.echo)])))
                    throw new Error(
                        'a pooler is between, or another database: LISTEN_URL must go to PostgreSQL itself',
                    );
                log.info('LISTEN hears what is notified');
                [deaf, delay] = [false, times.again];
                lookWithin(0); // what was notified before is not told again
                await lost;
                throw new Error('the connection is lost');
            } catch (error) {
                const why = { err: error };
                if (!stop.signal.aborted)
                    log.warn(why, 'LISTEN hears nothing: open pages are looked after every second');
            }
            deaf = true;
            lookWithin(times.open);
            ear.end().catch(() => {});
            await wait(delay);
        }
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
            watchers.clear();
            clearTimeout(timer);
            ear.end().catch(() => {});
        },
    };
}
