#!/usr/bin/env node
// pg-seats-console: reads its arguments, refuses what is unsafe, and listens.

import { chmodSync, statSync, unlinkSync } from 'node:fs';
import { connect, isIP } from 'node:net';
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { parseArgs } from 'node:util';
import { createDesk } from './app.js';
import { openPool } from './lib/database.js';
import { asPerson, byHeader, isLoopback } from './lib/safety.js';
import { addUser, byUsers } from './lib/users.js';

const help = `pg-seats-console: the operator's desk of pg_seats

  pg-seats-console [--database URL] [--listen 127.0.0.1:8480] [--prefix /desk]
  pg-seats-console --add-user FILE NAME     asks for a password, and writes NAME into FILE

  --database URL           postgres://desk@db.example.com/shop; what it leaves out say PGHOST, PGUSER, PGPASSWORD and so on.
                           A role with seats.grant_monitor looks, one with seats.grant_operator acts
  --listen HOST:PORT       127.0.0.1:8480 if not given; [::1]:8480; unix:/run/desk.sock
  --host NAME              a name under which browsers reach the desk, without its port (again for each further one)
  --prefix PATH            where it stands on a site that it shares: /desk
  --person NAME            who acts, for the journal; on the loopback only. Without it: the role at the database

Another address than the loopback needs to know who comes, by one of these:
  --users FILE             people sign in, by names and passwords of --add-user (over https, of a proxy before the desk)
  --trusted-header NAME    a proxy has signed them in, and says who it is; believed on a unix socket, or with
  --trusted-proxy ADDRESS  from this address only
`;

/** What whoever has typed the command can put right. */
class Mistake extends Error {}

function readArguments() {
    try {
        return parseArgs({
            allowPositionals: true,
            options: {
                help: { type: 'boolean', short: 'h' },
                database: { type: 'string' },
                listen: { type: 'string', default: '127.0.0.1:8480' },
                host: { type: 'string', multiple: true, default: [] },
                prefix: { type: 'string', default: '' },
                person: { type: 'string' },
                users: { type: 'string' },
                'add-user': { type: 'string' },
                'trusted-header': { type: 'string' },
                'trusted-proxy': { type: 'string' },
            },
        });
    } catch (error) {
        throw new Mistake(`${/** @type {Error} */ (error).message}\n--help tells what there is`);
    }
}

/** @param {string} listen */
function readAddress(listen) {
    if (listen.startsWith('unix:/')) return { path: listen.slice('unix:'.length) };
    const [, bracketed, plain, port] = /^(?:\[([\da-f:.]+)\]|([^:[\]]+)):(\d{1,5})$/i.exec(listen) ?? [];
    if (!port || Number(port) > 65535) {
        throw new Mistake(`--listen ${listen} is no address: 127.0.0.1:8480, [::1]:8480 or unix:/run/desk.sock`);
    }
    return { host: bracketed ?? plain, port: Number(port) };
}

/** @typedef {ReturnType<typeof readArguments>['values']} Values */

/**
 * What would let strangers in, or believe them.
 * @param {Values} values
 * @param {ReturnType<typeof readAddress>} address
 */
function refuseWhatIsUnsafe(values, address) {
    const isLocal = address.host !== undefined && isLoopback(address.host);
    const header = values['trusted-header'];
    const proxy = values['trusted-proxy'];
    const known = [values.users, header, values.person].filter((value) => value !== undefined);
    if (known.length > 1) throw new Mistake('--users, --trusted-header and --person: one of them says who acts');
    if (header !== undefined && !/^[\w-]+$/.test(header)) throw new Mistake(`--trusted-header ${header} is no header`);
    if (header !== undefined && address.path === undefined && proxy === undefined) {
        throw new Mistake(
            'a header can be forged by whoever reaches the desk: --trusted-header needs --listen unix:/path, or --trusted-proxy',
        );
    }
    if (proxy !== undefined && (header === undefined || address.path !== undefined)) {
        throw new Mistake('--trusted-proxy says from where --trusted-header is believed, on a TCP address');
    }
    if (proxy !== undefined && isIP(proxy) === 0) throw new Mistake(`--trusted-proxy ${proxy} is no IP address`);
    if (!isLocal && values.users === undefined && header === undefined) {
        throw new Mistake(
            `--listen ${values.listen} can be reached by others, so the desk must know who they are: ` +
                '--users FILE, or --trusted-header NAME; or listen on 127.0.0.1',
        );
    }
    if (!isLocal && values.host.length === 0) {
        throw new Mistake(
            '--host NAME: under which name do browsers reach the desk? Requests to another one are refused',
        );
    }
    if (!/^(\/[\w.~-]+)*$/.test(values.prefix)) throw new Mistake(`--prefix ${values.prefix} is no path like /desk`);
}

/** @param {import('pg').Pool} pool */
async function roleAtDatabase(pool) {
    try {
        const { rows } = await pool.query(
            "SELECT session_user::text AS role, to_regnamespace('seats') IS NOT NULL AS has_seats",
        );
        if (!rows[0].has_seats) throw new Mistake('there is no pg_seats in this database: another --database?');
        return /** @type {string} */ (rows[0].role);
    } catch (error) {
        if (error instanceof Mistake) throw error;
        const why = /** @type {Error & {code?: string}} */ (error);
        throw new Mistake(
            `the database cannot be reached: ${why.message || why.code}\n--database URL, or PGHOST and so on`,
        );
    }
}

/**
 * Two lines, without an echo on a terminal.
 * @param {string} name
 */
async function askForPassword(name) {
    const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
    const lines = createInterface({ input: process.stdin, output: silent, terminal: process.stdin.isTTY });
    lines.on('SIGINT', () => process.exit(130));
    process.stderr.write(`Password of ${name}: `);
    const answers = [];
    for await (const line of lines) {
        answers.push(line);
        process.stderr.write(answers.length === 1 ? '\nOnce more: ' : '\n');
        if (answers.length === 2) break;
    }
    if (answers[0] !== answers[1]) throw new Mistake('these were two different ones; nothing was written');
    return answers[0];
}

/**
 * A socket that an earlier desk has left is removed; one that somebody listens on is not.
 * @param {string} path
 */
async function removeStaleSocket(path) {
    if (!statSync(path, { throwIfNoEntry: false })?.isSocket()) return;
    const isUsed = await new Promise((resolve) => {
        const probe = connect(path, () => resolve(true)).on('error', () => resolve(false));
        probe.unref();
    });
    if (isUsed) throw new Mistake(`somebody listens on ${path} already`);
    unlinkSync(path);
}

async function run() {
    const { values, positionals } = readArguments();
    if (values.help) return void process.stdout.write(help);
    if (values['add-user'] !== undefined) {
        if (positionals.length !== 1) throw new Mistake('--add-user FILE NAME: whose password is it?');
        return addUser(values['add-user'], positionals[0], await askForPassword(positionals[0]));
    }
    if (positionals.length > 0) throw new Mistake(`${positionals[0]} is no argument; --help tells what there is`);
    const address = readAddress(values.listen);
    refuseWhatIsUnsafe(values, address);
    const users = values.users === undefined ? undefined : byUsers(values.users, `${values.prefix}/sign-in`);

    const pool = openPool(values.database === undefined ? {} : { connectionString: values.database });
    const role = await roleAtDatabase(pool);
    const header = values['trusted-header'];
    const authentication =
        users ??
        (header === undefined ? asPerson(values.person ?? role) : byHeader(header, values['trusted-proxy'] ?? null));
    const local = address.host !== undefined && isLoopback(address.host) ? ['localhost', '127.0.0.1', '[::1]'] : [];
    const hosts = [...values.host.map((name) => name.toLowerCase()), ...local];

    const app = createDesk({ pool, prefix: values.prefix, hosts, authentication, users });
    // Open connections are cut, and what a verb has begun is rolled back.
    for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => app.close().finally(() => process.exit(0)));
    if (address.path !== undefined) await removeStaleSocket(address.path);
    const at = await app.listen(address);
    if (address.path !== undefined) chmodSync(address.path, 0o660);
    process.stderr.write(`pg_seats desk, as ${role} at the database: ${at}${values.prefix}/\n`);
}

run().catch((error) => {
    process.stderr.write(`pg-seats-console: ${error.message}\n`);
    process.exit(error instanceof Mistake ? 2 : 1);
});
