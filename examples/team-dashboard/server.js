// Starts the application, from what the environment says; what would be unsafe does not start.
import { randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import pg from 'pg';

const { DATABASE_URL, LISTEN_URL = DATABASE_URL, HOST = '127.0.0.1', PORT = '3000', TRUST_PROXY } = process.env;
const { PUBLIC_ORIGIN = `http://${HOST}:${PORT}`, SESSION_SECRET, SIMULATOR, AUTHENTICATE, CARD_URL } = process.env;

/** @type {(reason: string) => never} */
const refuse = (reason) => {
    console.error(`not started: ${reason}`);
    process.exit(1);
};
const loopback = /^(127\.\d+\.\d+\.\d+|localhost|::1|\[::1\])$/;

if (Number(process.versions.node.split('.')[0]) < 20) refuse(`Node 20 or newer is needed, this is ${process.version}`);
if (!DATABASE_URL || !LISTEN_URL) refuse('DATABASE_URL says to which database; README.md tells how');
if (SIMULATOR && !(URL.canParse(SIMULATOR) && loopback.test(new URL(SIMULATOR).hostname)))
    refuse('SIMULATOR is the address of the Stripe simulator on this machine, http://127.0.0.1:…');
if (AUTHENTICATE && (SESSION_SECRET ?? '').length < 32) refuse('SESSION_SECRET must have 32 characters or more');
if (!URL.canParse(PUBLIC_ORIGIN) || new URL(PUBLIC_ORIGIN).origin !== PUBLIC_ORIGIN)
    refuse('PUBLIC_ORIGIN is what browsers call us, without a path: https://seats.example.com');
if (!loopback.test(new URL(PUBLIC_ORIGIN).hostname) && !PUBLIC_ORIGIN.startsWith('https:'))
    refuse('PUBLIC_ORIGIN must begin with https: a cookie would be sent in the clear');
if (!AUTHENTICATE && !(SIMULATOR && loopback.test(HOST) && loopback.test(new URL(PUBLIC_ORIGIN).hostname)))
    refuse('AUTHENTICATE says who is signed in; without it: SIMULATOR, and HOST and PUBLIC_ORIGIN on the loopback');

async function start() {
    const authenticate = AUTHENTICATE && (await import(pathToFileURL(resolve(AUTHENTICATE)).href)).default;
    if (AUTHENTICATE && typeof authenticate !== 'function')
        refuse(`AUTHENTICATE is a module whose default export is a function; that of ${AUTHENTICATE} is none`);
    const { createApp } = await import('./app.js');
    const app = await createApp({
        pool: new pg.Pool({
            connectionString: DATABASE_URL,
            max: 10,
            connectionTimeoutMillis: 5000,
            query_timeout: 15_000,
        }),
        listenUrl: LISTEN_URL ?? '',
        origin: PUBLIC_ORIGIN,
        sessionSecret: SESSION_SECRET || randomBytes(32).toString('hex'),
        authenticate,
        simulator: SIMULATOR,
        cardUrl: CARD_URL,
        trustProxy: TRUST_PROXY,
        logger: true,
    });
    await app.listen({ host: HOST, port: Number(PORT) });
    console.log(`The team's page: ${PUBLIC_ORIGIN}`);
    for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => app.close().then(() => process.exit(0)));
}
start().catch(({ code, message }) => refuse(code === 'EADDRINUSE' ? `${message}: PORT is another one` : message));
