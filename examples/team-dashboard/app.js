// The application: what stands between a browser and the functions of pg_seats.
import { EventEmitter } from 'node:events';
import { readFileSync } from 'node:fs';
import Fastify from 'fastify';
import cookie from '@fastify/cookie';
import formbody from '@fastify/formbody';
import { withDemo } from './demo/index.js';
import { describe } from './lib/pg-seats.js';
import { Refused, createSafety, isJson } from './lib/safety.js';
import { createSigning } from './lib/signing.js';
import { errorPage } from './views/page.js';
import { teamPage } from './views/team.js';
import members from './routes/members.js';
import seats from './routes/seats.js';
import stream from './routes/stream.js';
import team from './routes/team.js';
import webhooks from './routes/webhooks.js';

/** @import { Access, App, Change, Html, Request, Settings, TeamPage } from './types.d.ts' */

// Each is a Fastify plugin that is given the context below: (app, context) => void. Add yours here.
const routes = [team, members, seats, stream, webhooks];

const publicFiles = { 'page.css': 'text/css', 'page.js': 'text/javascript', 'icon.svg': 'image/svg+xml' };

// The token of an invite is a key: it must not be found in a log, nor in the address of who has to sign in first.
const withoutTokens = (/** @type {string} */ url) => url.replace(/(invites(\/|%2F))[^/?&]+|[\w-]{40,}/gi, '$1…');
const req = (/** @type {Request} */ { method, url }) => ({ method, url: withoutTokens(url) });

/** The first one that a browser asks for, if there can be such a one. @param {string} [asked] */
const localeOf = (asked = '') => {
    try {
        return Intl.getCanonicalLocales(asked.split(/[,;]/)[0])[0];
    } catch {
        return 'en';
    }
};

/**
 * A change as the team's page has it, also when it is none of the last ones.
 * @param {import('pg').Pool} pool @param {TeamPage} page @param {number} id @returns {Promise<Change | null>}
 */
async function findChange(pool, page, id) {
    const listed = [...page.open_changes, ...page.last_changes].find(({ change }) => change === id);
    if (listed || !Number.isSafeInteger(id)) return listed ?? null;
    const { rows } = await pool.query('SELECT * FROM seats.changes WHERE change = $1 AND team = $2', [id, page.team]);
    return rows.length > 0 ? { ...rows[0], lines: rows, invoice: null } : null;
}

/** What routes are given. @param {App} app @param {Settings} settings @param {import('./lib/signing.js').Signing} signing */
export async function createContext(app, settings, signing) {
    const safety = await createSafety(app, settings, signing);
    const { pool, cardUrl = null, foot } = settings;
    /** Gives rows. @param {string} text @param {unknown[]} values @returns {Promise<any[]>} */
    const ask = async (text, ...values) => (await pool.query(text, values)).rows;
    /** All that a team's page shows, for this person and now. @param {Request} request @param {Access} access @param {TeamPage} [known] */
    const load = async (request, access, known) => {
        const { team, actor } = access;
        const [asked] = known ? [] : await ask('SELECT seats.team_page($1, $2) AS page', team, actor);
        const page = /** @type {TeamPage} */ (known ?? asked.page);
        const query = /** @type {any} */ (request.query);
        const token = safety.token(request.person);
        return {
            page,
            access,
            person: request.person,
            token,
            // The change that this page was opened to show the outcome of, and what was done to it.
            change: await findChange(pool, page, Number(query.change)),
            did: query.did,
            notice: /** @type {Html | string | null} */ (null),
            locale: localeOf(request.headers['accept-language']),
            foot: foot?.(team, token),
            cardUrl,
        };
    };
    /** Says `ended` of one that was: no page that is open is told anything more for it. */
    const sessions = new EventEmitter();
    return { ...settings, ...signing, ...safety, sessions, ask, load };
}

/** @param {Settings} settings */
export async function createApp(settings) {
    const app = Fastify({
        bodyLimit: 16 * 1024,
        requestTimeout: 30_000,
        forceCloseConnections: true,
        trustProxy: settings.trustProxy ?? false,
        logger: settings.logger ? Object.assign({}, settings.logger, { serializers: { req } }) : false,
    });
    await app.register(cookie);
    await app.register(formbody);
    app.decorateReply('html', function (content) {
        return this.type('text/html; charset=utf-8').send(String(content));
    });
    const signing = createSigning(settings.sessionSecret);
    const context = await createContext(app, withDemo(settings, signing), signing);
    // A connection that nobody uses is lost when the server restarts: without this, the process would end with it.
    settings.pool.on('error', (error) => app.log.warn({ err: error }, 'a connection to the database is lost'));

    app.setErrorHandler(async (error, request, reply) => {
        const { statusCode, code, message } = inWords(error);
        if (statusCode >= 500) request.log.error({ err: error }, 'failed');
        reply.code(statusCode);
        if (isJson(request)) return { error: { code, message } };
        // What was refused is told on the page that it was asked on, which shows at once how things are now.
        const isTeams = request.access && statusCode < 500;
        const state =
            isTeams && (await context.load(request, /** @type {Access} */ (request.access)).catch(() => null));
        return reply.html(state ? teamPage({ ...state, notice: message }) : errorPage(statusCode, message));
    });
    app.setNotFoundHandler({}, () => Promise.reject(new Refused(404, 'There is no such page.')));

    for (const [name, type] of Object.entries(publicFiles)) {
        const content = readFileSync(new URL(`public/${name}`, import.meta.url));
        app.get(`/public/${name}`, { config: { open: true } }, (request, reply) =>
            reply.type(type).header('cache-control', 'max-age=300').send(content),
        );
    }
    for (const plugin of [...routes, ...(context.routes ?? [])]) await app.register(plugin, context);
    return app;
}

/** @param {any} error */
function inWords(error) {
    if (error instanceof Refused) return error;
    if (error.statusCode < 500)
        return { statusCode: error.statusCode, code: 'refused', message: 'That request cannot be understood.' };
    const { status, code, message } = describe(error);
    return { statusCode: status, code: code ?? 'failed', message };
}
