#!/usr/bin/env node
// pg-seats-console: reads its arguments, refuses what is unsafe, and listens.
import { chmodSync, readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { parseArgs } from 'node:util';
import { asPerson, byHeader, isLoopback, isPerson } from './lib/safety.js';
import { addUser } from './lib/users.js';

/** @param {string} text  what whoever has typed the command can put right @returns {never} */
function fail(text, status = 2) {
    process.stderr.write(`pg-seats-console: ${text}\n`);
    process.exit(status);
}

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
        return fail(`${/** @type {Error} */ (error).message}\n--help tells what there is`);
    }
}

/** @param {string} listen @returns {{path: string} | {host: string, port: number}} */
function readAddress(listen) {
    if (listen.startsWith('unix:/')) return { path: listen.slice('unix:'.length) };
    const [, bracketed, plain, port] = /^(?:\[([\da-f:.]+)\]|([^:[\]]+)):(\d{1,5})$/i.exec(listen) ?? [];
    if (port && Number(port) < 65536) return { host: bracketed ?? plain, port: Number(port) };
    return fail(`--listen ${listen} is no address: 127.0.0.1:8480, [::1]:8480 or unix:/run/desk.sock`);
}

/**
 * What would let strangers in, or believe them.
 * @param {ReturnType<typeof readArguments>['values']} values
 * @param {{isLocal: boolean, isSocket: boolean}} address
 */
function refuseWhatIsUnsafe(values, { isLocal, isSocket }) {
    const { host, prefix, person, users, 'trusted-header': header, 'trusted-proxy': proxy } = values;
    const isHost = (/** @type {string} */ name) => /^(\[[\da-f:]+\]|[\w.-]+)$/i.test(name);
    const who = [users, header, person].filter((way) => way !== undefined);
    // (A name of its own means that a proxy leads others here.)
    if ((!isLocal || host.length > 0) && !users && !header) {
        fail('others can reach it: --users FILE or --trusted-header NAME says who comes; or 127.0.0.1, without --host');
    }
    if (header && !isSocket && !proxy) fail('anybody can write a header: it needs --listen unix:… or --trusted-proxy');
    if (proxy && (isSocket || !header)) fail('--trusted-proxy goes with --trusted-header, over TCP');
    if (proxy && isIP(proxy) === 0) fail(`--trusted-proxy ${proxy} is no IP address`);
    if (header && !/^[\w-]+$/.test(header)) fail(`--trusted-header ${header} is no name of a header`);
    if (who.length > 1) fail('--users, --trusted-header and --person: one of them says who acts');
    if (!isLocal && host.length === 0) fail('--host NAME: under which name is the desk reached? Others are refused');
    if (!host.every(isHost)) fail('--host NAME: without https:// and without a port');
    if (person !== undefined && !isPerson(person)) fail('--person: a name has 1 to 100 characters, in one line');
    if (!/^(\/[\w.~-]+)*$/.test(prefix)) fail(`--prefix ${prefix} is no path like /desk`);
}

/** Two lines, without an echo on a terminal. @param {string} name */
async function askForPassword(name) {
    const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
    const lines = createInterface({ input: process.stdin, output: silent, terminal: process.stdin.isTTY });
    lines.on('SIGINT', () => process.exit(130));
    process.stderr.write(`Password of ${name}, of 12 characters or more: `);
    const answers = [];
    for await (const line of lines) {
        answers.push(line);
        process.stderr.write(answers.length === 1 ? '\nOnce more: ' : '\n');
        if (answers.length === 2) break;
    }
    if (answers[0] !== answers[1]) fail('these were two different ones; nothing was written');
    return answers[0] ?? '';
}

async function run() {
    const { values, positionals } = readArguments();
    const { 'add-user': file, 'trusted-header': header, prefix } = values;
    if (values.help) return void process.stdout.write(readFileSync(new URL('help.txt', import.meta.url)));
    if (file === undefined && positionals.length > 0) fail(`${positionals[0]}? --help tells what there is`);
    if (file !== undefined && positionals.length !== 1) fail('--add-user FILE NAME: whose password?');
    if (file !== undefined) return addUser(file, positionals[0], await askForPassword(positionals[0]));

    const address = readAddress(values.listen);
    const isLocal = 'host' in address && isLoopback(address.host);
    refuseWhatIsUnsafe(values, { isLocal, isSocket: 'path' in address });
    // (What is refused above need not wait for all of that to be loaded.)
    const [{ createDesk }, { openPool }] = await Promise.all([import('./app.js'), import('./lib/database.js')]);
    const { byUsers } = await import('./pages/sign_in.js');
    const users = values.users === undefined ? undefined : byUsers(values.users, prefix);
    const pool = openPool(values.database === undefined ? {} : { connectionString: values.database });
    const { rows } = await pool
        .query("SELECT session_user::text AS role, to_regnamespace('seats') AS seats")
        .catch(({ message, code }) => fail(`the database cannot be reached (--database): ${message || code}`, 1));
    const [{ role, seats }] = rows;
    if (seats === null) fail('there is no pg_seats in this database (--database)', 1);

    const byProxy = header === undefined ? undefined : byHeader(header, values['trusted-proxy'] ?? null);
    const authentication = users ?? byProxy ?? asPerson(values.person ?? role);
    const local = isLocal ? ['localhost', '127.0.0.1', '[::1]'] : [];
    const hosts = [...values.host.map((name) => name.toLowerCase()), ...local];
    const app = createDesk({ pool, prefix, hosts, authentication, logger: { level: 'error' } });
    // Open connections are cut, and what a verb has begun is rolled back.
    for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => app.close().finally(() => process.exit(0)));
    const at = await app.listen(address);
    if ('path' in address) chmodSync(address.path, 0o660);
    process.stderr.write(`pg_seats desk, as ${role} at the database: ${at}${prefix}/\n`);
}

run().catch((error) => fail(error.message, 1));
