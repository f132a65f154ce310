// As it is run in earnest: a pool through pgbouncer in transaction mode, two processes, nginx before them.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chownSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import pg from 'pg';
import { createHub } from '../../examples/team-dashboard/lib/live.js';
import { freePort, until, world } from './lib/world.js';

const { sql, newTeam, startDashboard, openPage } = await world();
const { PGBOUNCER, NGINX, PGHOST = '', PGDATABASE } = process.env;
const directory = mkdtempSync(join(tmpdir(), 'pg_seats_poolers.'));
// As the server's own user, who may use its socket: pgbouncer refuses to be root.
const { uid, gid } = statSync(PGHOST);
const user = process.getuid?.() === 0 ? { uid, gid } : {};
chownSync(directory, uid, gid);

const programs = /** @type {import('node:child_process').ChildProcess[]} */ ([]);
after(async () => {
    for (const program of programs) {
        program.kill();
        await until(() => program.exitCode !== null || program.signalCode !== null);
    }
    rmSync(directory, { recursive: true });
});

/** @param {string} program @param {string} name @param {string} configuration @param {string[]} options */
function run(program, name, configuration, options) {
    const file = join(directory, name);
    writeFileSync(file, configuration);
    const settings = { ...user, cwd: directory, env: {} }; // (nginx takes NGINX for sockets that it inherits)
    programs.push(spawn(program, [...options, file], { ...settings, stdio: ['ignore', 'ignore', 'inherit'] }));
}

let poolerPort = 0;
if (PGBOUNCER) {
    poolerPort = await freePort();
    run(
        PGBOUNCER,
        'pgbouncer.ini',
        `[databases]
app = host=${PGHOST} dbname=${PGDATABASE} user=dashboard pool_size=4
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${poolerPort}
unix_socket_dir =
auth_type = any
pool_mode = transaction
logfile = ${directory}/pgbouncer.log
`,
        ['-q'],
    );
}
const pooled = `postgresql://dashboard@127.0.0.1:${poolerPort}/app`;
const direct = `postgresql:///${PGDATABASE}?host=${encodeURIComponent(PGHOST)}&user=dashboard`;
const withPooler = PGBOUNCER ? {} : { skip: 'there is no pgbouncer (PGBOUNCER names none)' };
const withBoth = PGBOUNCER && NGINX ? {} : { skip: 'there is no pgbouncer, or no nginx (PGBOUNCER, NGINX)' };

/** @param {import('node:test').TestContext} context */
async function newPool(context) {
    const pool = new pg.Pool({ connectionString: pooled, max: 8 });
    context.after(() => pool.end());
    await until(() => pool.query('SELECT 1')); // until pgbouncer answers
    return pool;
}

/** @param {{team: string, owner: string}} team @param {number} quantity */
const buy = ({ team, owner }, quantity) =>
    sql(`SELECT seats.add_seats($1, 'team', $2::integer, actor => $3)`, [team, quantity, owner]);

/** @param {import('playwright-core').Page} page @param {number} quantity */
const showsSeats = (page, quantity) => page.locator('#part-seats-team .count b', { hasText: `${quantity}` }).waitFor();

for (const [name, listenUrl, isDeaf] of /** @type {[string, string, boolean][]} */ ([
    ['LISTEN through the pooler is found to be deaf, and news is found without it', pooled, true],
    ['LISTEN past the pooler hears what the pool has notified', direct, false],
]))
    test(name, withPooler, async (context) => {
        const pool = await newPool(context);
        // So deaf, it must ask by itself, and else it never does.
        const times = {
            debounce: 50,
            open: isDeaf ? 200 : 3_600_000,
            idle: 3_600_000,
            echo: 300,
            longest: 3_600_000,
            again: 100,
            query: 5000,
        };
        const said = /** @type {string[]} */ ([]);
        const say = (/** @type {unknown} */ first, /** @type {string} */ text = String(first)) => said.push(text);
        const log = /** @type {any} */ ({ info: say, warn: say, error: say });
        const hub = createHub({ pool, listenUrl, log, times });
        context.after(() => hub.close());
        await until(() => said.length > 0); // it has proved itself, or not
        assert.equal(hub.isDeaf(), isDeaf, said.join());
        const mine = await newTeam('pooled');
        let quantity = 0;
        hub.subscribe(mine.team, async (load) => {
            const page = await load(mine.owner);
            quantity = page.seat_types.find((/** @type {any} */ type) => type.seat_type === 'team').quantity;
            return page;
        });
        await until(() => quantity === 5);
        await buy(mine, 2);
        await until(() => quantity === 7);
        assert.equal(hub.isDeaf(), isDeaf);
    });

test(
    'two processes behind nginx, on a pooler: any of them knows the session, streams come through, one may restart',
    withBoth,
    async (context) => {
        const [port, ...ports] = [await freePort(), await freePort(), await freePort()];
        const origin = `http://127.0.0.1:${port}`;
        run(
            /** @type {string} */ (NGINX),
            'nginx.conf',
            `daemon off;
worker_processes 1;
pid ${directory}/nginx.pid;
error_log ${directory}/nginx.log;
events {}
http {
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    upstream dashboard { ${ports.map((port) => `server 127.0.0.1:${port} fail_timeout=1s;`).join(' ')} }
    server {
        listen 127.0.0.1:${port};
        location / {
            proxy_pass http://dashboard;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
        }
    }
}
`,
            ['-p', directory, '-e', 'stderr', '-c'],
        );
        const pools = [await newPool(context), await newPool(context)];
        const start = (/** @type {number} */ n) =>
            startDashboard({
                port: ports[n],
                origin,
                pool: pools[n],
                listenUrl: n === 0 ? pooled : direct,
                trustProxy: '127.0.0.1',
            });
        const first = await start(0);
        await start(1);
        await until(async () => (await fetch(`${origin}/sign-in`)).ok);

        const mine = await newTeam('twins', { members: ['bob'] });
        const owner = await openPage(origin, { user: mine.owner, path: `/team?team=${mine.team}` });
        const bob = await openPage(origin, { user: mine.members[0], path: `/team?team=${mine.team}` });
        for (let n = 0; n < 4; n++) await owner.reload(); // each has answered by now, with the cookie that one of them made
        for (const page of [owner, bob]) await showsSeats(page, 5);
        await buy(mine, 2);
        for (const page of [owner, bob]) await showsSeats(page, 7);

        // Whichever process is asked for the price, says it, and is told to buy.
        const card = owner.locator('.card', { has: owner.getByRole('heading', { name: 'team seats', exact: true }) });
        await card.getByRole('spinbutton').fill('3');
        await card.getByRole('button', { name: 'Add …' }).click();
        await owner.getByRole('button', { name: 'Buy 3 team seats' }).click();
        await owner.getByText('bought 3 team seats (7 → 10)').first().waitFor();
        for (const page of [owner, bob]) await showsSeats(page, 10);

        await first.close();
        await buy(mine, 1);
        for (const page of [owner, bob]) await showsSeats(page, 11);
        await start(0);
        await owner.getByRole('button', { name: 'Sign out' }).click(); // a form's token, too, is known to both
        await owner.waitForURL((url) => url.pathname === '/sign-in');
        await buy(mine, 1);
        await showsSeats(bob, 12);
    },
);
