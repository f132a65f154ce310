// examples/team-dashboard/lib/live.js by itself: what it asks of the database, how often, and what it does without one.
// Queries are counted where they are asked, and nothing waits for a time.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, test } from 'node:test';
import { promisify } from 'node:util';
import pg from 'pg';
import { createHub } from '../../examples/team-dashboard/lib/live.js';
import { until, world } from './lib/world.js';

const { sql, newTeam } = await world();
const NEVER = 3_600_000;
const times = { debounce: 50, open: 100, idle: 200, echo: 500, again: 100, longest: 60_000, query: 5000 };
const quiet = /** @type {any} */ ({ info() {}, warn() {}, error() {} });
const host = process.env.PGHOST ?? '';

/** @type {(() => unknown)[]} */
let ends = [];
afterEach(async () => {
    for (const end of ends.reverse()) await end();
    ends = [];
});

/** @param {string} database @param {string} directory */
const url = (database = process.env.PGDATABASE ?? '', directory = host) =>
    `postgresql:///${database}?host=${encodeURIComponent(directory)}&user=dashboard`;

/** A hub and its queries, by what they ask. @param {{listenUrl?: string, host?: string, times?: Partial<typeof times>}} [options] */
function start(options = {}) {
    const pool = new pg.Pool({ host: options.host ?? host, user: 'dashboard', max: 4 });
    pool.on('error', () => {});
    const asked = { versions: 0, pages: 0, others: 0 };
    const query = /** @type {any} */ (pool.query.bind(pool));
    pool.query = /** @type {any} */ (
        (/** @type {any} */ config) => {
            asked[
                /team_versions/.test(config.text) ? 'versions' : /team_page/.test(config.text) ? 'pages' : 'others'
            ]++;
            return query(config);
        }
    );
    const settings = { pool, listenUrl: options.listenUrl ?? url(), log: quiet, times: { ...times, ...options.times } };
    const hub = createHub(settings);
    ends.push(() => pool.end(), hub.close);
    return { hub, asked };
}

/** A page that only notes what it is told. @param {ReturnType<typeof createHub>} hub @param {string} team @param {string} actor */
function open(hub, team, actor) {
    const page = { shows: /** @type {any} */ (null), told: 0, leave: () => {} };
    page.leave = hub.subscribe(team, async (load) => {
        page.shows = await load(actor);
        page.told++;
        return page.shows;
    });
    return page;
}

/** @param {any} page */
const seatsOf = ({ shows }) => shows?.seat_types.find((/** @type {any} */ type) => type.seat_type === 'team').quantity;
/** @param {any} page */
const isSettled = ({ shows }) => shows?.open_changes_total === 0;

/** @param {{team: string, owner: string}} team @param {number} quantity */
const buy = ({ team, owner }, quantity) =>
    sql(`SELECT seats.add_seats($1, 'team', $2::integer, actor => $3)`, [team, quantity, owner]);

/** Who listens for the hub, by his process. @param {string} database */
const listeners = async (database = process.env.PGDATABASE ?? '') =>
    (
        await sql(
            `SELECT pid FROM pg_stat_activity WHERE usename = 'dashboard' AND datname = $1 AND query ~ '^LISTEN'`,
            [database],
        )
    ).map(({ pid }) => pid);

/** A way to the server that can be cut, and is then as a server that is down. */
async function road() {
    const directory = mkdtempSync(join(tmpdir(), 'pg_seats_road.'));
    const sockets = /** @type {Set<import('node:net').Socket>} */ (new Set());
    let isCut = false;
    const server = createServer((here) => {
        const there = createConnection(join(host, '.s.PGSQL.5432'));
        for (const [socket, other] of [
            [here, there],
            [there, here],
        ]) {
            sockets.add(socket);
            socket.on('error', () => {}).on('close', () => (sockets.delete(socket), other.destroy()));
        }
        if (isCut) return void here.destroy();
        here.pipe(there).pipe(here);
    });
    await new Promise((resolve) => server.listen(join(directory, '.s.PGSQL.5432'), () => resolve(null)));
    ends.push(() => (server.close(), rmSync(directory, { recursive: true })));
    const cut = () => {
        isCut = true;
        for (const socket of sockets) socket.destroy();
    };
    return { directory, cut, mend: () => (isCut = false) };
}

test('nothing is asked as long as no page is open, and little while nothing happens', async () => {
    const { hub, asked } = start();
    await until(() => !hub.isDeaf());
    assert.deepEqual(asked, { versions: 0, pages: 0, others: 1 }); // its own test

    const teams = [await newTeam('calm'), await newTeam('still'), await newTeam('quiet')];
    const pages = teams.flatMap(({ team, owner }) => Array.from({ length: 10 }, () => open(hub, team, owner)));
    await until(() => pages.every(isSettled));
    const [before, told] = [{ ...asked }, pages.map((page) => page.told)];
    await until(() => asked.versions >= before.versions + 3);
    assert.equal(asked.pages, before.pages, 'a page is loaded although nothing has happened');
    assert.equal(asked.others, before.others);
    assert.deepEqual(
        pages.map((page) => page.told),
        told,
    );

    pages.forEach((page) => page.leave());
    const looks = asked.versions;
    await sql(`SELECT pg_notify('pg_seats_journal', 'for nobody')`);
    const late = open(hub, teams[0].team, teams[0].owner);
    await until(() => isSettled(late));
    assert.ok(asked.versions <= looks + 1, 'teams are asked for although nobody has a page open');
});

test('a thousand notifications are one look', async () => {
    const { hub, asked } = start({ times: { idle: NEVER, open: NEVER } });
    const { team, owner } = await newTeam('burst');
    const page = open(hub, team, owner);
    await until(() => !hub.isDeaf() && page.shows && asked.versions > 0);
    const before = asked.versions;
    await sql(`SELECT count(pg_notify('pg_seats_journal', n::text)) FROM generate_series(1, 1000) AS n`);
    await until(() => asked.versions > before);
    await sql(`SELECT pg_notify('pg_seats_journal', 'one more')`);
    await until(() => asked.versions > before + 1);
    assert.ok(asked.versions <= before + 3, `${asked.versions - before} looks`); // one may be somebody else's news
});

test('what is bought is heard of, and loaded once for all pages of a person', async () => {
    const { hub, asked } = start({ times: { idle: NEVER } });
    const mine = await newTeam('many', { members: ['bob'] });
    const pages = Array.from({ length: 12 }, (_, n) => open(hub, mine.team, n < 8 ? mine.owner : mine.members[0]));
    await until(() => !hub.isDeaf() && pages.every(isSettled));
    const before = { ...asked };
    await buy(mine, 2);
    await until(() => pages.every((page) => seatsOf(page) === 7 && isSettled(page)));
    const [looks, loads] = [asked.versions - before.versions, asked.pages - before.pages];
    assert.ok(loads <= 2 * looks, `${loads} pages were loaded at ${looks} looks for two people`);
    assert.equal(pages[0].shows.may.buy, true);
    assert.equal(pages[11].shows.may.buy, false);
});

test('more teams than one query takes are asked for by several', async () => {
    const { hub } = start();
    for (let n = 0; n < 1000; n++) hub.subscribe(`not-there-${n}`, async () => null);
    const mine = await newTeam('last');
    const page = open(hub, mine.team, mine.owner);
    await until(() => isSettled(page));
    await buy(mine, 1);
    await until(() => seatsOf(page) === 6 && isSettled(page));
    assert.ok(hub.isFresh(), 'a query was refused');
});

test('what fails for one page is tried again, and holds up no other', async () => {
    const { hub } = start();
    const [bad, good] = [await newTeam('bad'), await newTeam('good')];
    let broken = true;
    let shown = false;
    hub.subscribe(bad.team, async (load) => {
        if (broken) throw new Error('this page cannot be made');
        shown = true;
        return load(bad.owner);
    });
    const page = open(hub, good.team, good.owner);
    await until(() => isSettled(page));
    await buy(good, 1);
    await until(() => seatsOf(page) === 6);
    broken = false;
    await until(() => shown);
});

test('where LISTEN is deaf, teams are asked for every second', async () => {
    // Another database hears nothing of this one.
    const { hub } = start({ listenUrl: url('postgres'), times: { idle: NEVER } });
    const mine = await newTeam('deaf');
    const page = open(hub, mine.team, mine.owner);
    await until(async () => (await listeners('postgres')).length === 1);
    await until(() => isSettled(page));
    await buy(mine, 3);
    await until(() => seatsOf(page) === 8 && isSettled(page));
    assert.ok(hub.isDeaf());
});

test('a connection that is lost is made anew, and what was not heard meanwhile is found', async () => {
    const { hub } = start({ times: { idle: NEVER, open: NEVER } });
    const mine = await newTeam('lost');
    const page = open(hub, mine.team, mine.owner);
    await until(() => !hub.isDeaf() && isSettled(page));
    const [old] = await listeners();
    await sql('SELECT pg_terminate_backend($1)', [old]);
    await until(() => hub.isDeaf());
    await buy(mine, 1);
    await until(async () => !hub.isDeaf() && (await listeners()).some((pid) => pid !== old));
    await until(() => seatsOf(page) === 6);
});

test('a database that is gone and comes back', async () => {
    const way = await road();
    const { hub } = start({ host: way.directory, listenUrl: url(undefined, way.directory) });
    const mine = await newTeam('gone');
    const page = open(hub, mine.team, mine.owner);
    await until(() => !hub.isDeaf() && isSettled(page) && hub.isFresh());
    way.cut();
    await until(() => hub.isDeaf() && !hub.isFresh());
    const late = open(hub, mine.team, mine.owner);
    await buy(mine, 2);
    assert.equal(seatsOf(page), 5);
    way.mend();
    await until(() => seatsOf(page) === 7 && seatsOf(late) === 7);
    await until(() => hub.isFresh() && !hub.isDeaf());
});

test('a hub that is closed lets its process end', async () => {
    const program = `
        import pg from 'pg';
        import { createHub } from '${new URL('../../examples/team-dashboard/lib/live.js', import.meta.url)}';
        const pool = new pg.Pool({ user: 'dashboard' });
        const hub = createHub({ pool, listenUrl: '${url()}', log: { info() {}, warn: console.log, error: console.log } });
        hub.subscribe('nobody', async () => null);
        const timer = setInterval(async () => {
            if (hub.isDeaf()) return;
            clearInterval(timer);
            hub.close();
            await pool.end();
            process.stdout.write('closed');
        }, 20);`;
    const options = { timeout: 10_000, cwd: new URL('.', import.meta.url) };
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], options);
    assert.equal(stdout, 'closed');
});
