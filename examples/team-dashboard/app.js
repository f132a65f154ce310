// The application: what stands between a browser and the functions of pg_seats.
import { readFileSync } from 'node:fs';
import Fastify from 'fastify';
import cookie from '@fastify/cookie';
import formbody from '@fastify/formbody';
import { describe } from './lib/pg-seats.js';
import { Refused, createSafety } from './lib/safety.js';
import { errorPage } from './views/page.js';
import { teamPage } from './views/team.js';
import members from './routes/members.js';
import seats, { findChange } from './routes/seats.js';
import simulated from './routes/simulator.js';
import stream from './routes/stream.js';
import team from './routes/team.js';
import webhooks from './routes/webhooks.js';

/** @import { App, Html, Access, Request, Settings, TeamPage } from './types.d.ts' */

// Each is a Fastify plugin that is given the context below: (app, context) => void. Add yours here.
const routes = [team, members, seats, simulated, stream, webhooks];

const publicFiles = { 'page.css': 'text/css', 'page.js': 'text/javascript', 'icon.svg': 'image/svg+xml' };

// The token of an invite is a key: it must not be found in a log, nor in the address of who has to sign in first.
const withoutTokens = (/** @type {string} */ url) => url.replace(/(invites(\/|%2F))[^/?&]+/gi, '$1…');
const req = (/** @type {Request} */ { method, url }) => ({ method, url: withoutTokens(url) });

/** The first one that a browser asks for, if there can be such a one. @param {string} [asked] */
const localeOf = (asked = '') => {
    try {
        return Intl.getCanonicalLocales(asked.split(/[,;]/)[0])[0];
    } catch {
        return 'en';
    }
};

/** What routes are given. @param {App} app @param {Settings} settings */
export async function createContext(app, settings) {
    const safety = await createSafety(app, settings);
    const { pool, simulator = null, cardUrl = null } = settings;
    /** @param {Access} access @returns {Promise<TeamPage>} */
    const ask = async ({ team, actor }) =>
        (await pool.query('SELECT seats.team_page($1, $2) AS page', [team, actor])).rows[0].page;
    /** All that a team's page shows, for this person and now. @param {Request} request @param {Access} access @param {TeamPage} [known] */
    const load = async (request, access, known) => {
        const page = known ?? (await ask(access));
        const query = /** @type {any} */ (request.query);
        return {
            page,
            access,
            person: request.person,
            token: safety.token(request.person),
            // The change that this page was opened to show the outcome of, and what was done to it.
            change: await findChange(pool, page, Number(query.change)),
            did: query.did,
            notice: /** @type {Html | string | null} */ (null),
            locale: localeOf(request.headers['accept-language']),
            simulator,
            cardUrl,
        };
    };
    return { ...settings, simulator, cardUrl, ...safety, load };
}

/** @param {Settings} settings */
export async function createApp(settings) {
    const app = Fastify({
        bodyLimit: 16 * 1024,
        forceCloseConnections: true,
        trustProxy: settings.trustProxy ?? false,
        logger: settings.logger ? Object.assign({}, settings.logger, { serializers: { req } }) : false,
    });
    await app.register(cookie);
    await app.register(formbody);
    const context = await createContext(app, settings);
    // A connection that nobody uses is lost when the server restarts: without this, the process would end with it.
    settings.pool.on('error', (error) => app.log.warn({ err: error }, 'a connection to the database is lost'));

    app.setErrorHandler(async (error, request, reply) => {
        const { statusCode, code, message } = inWords(error);
        if (statusCode >= 500) request.log.error({ err: error }, 'failed');
        reply.code(statusCode);
        if (/json/.test(request.headers['content-type'] ?? '')) return { error: { code, message } };
        // What was refused is told on the page that it was asked on, which shows at once how things are now.
        const isTeams = request.access && statusCode < 500;
        const state =
            isTeams && (await context.load(request, /** @type {Access} */ (request.access)).catch(() => null));
        const page = state ? teamPage({ ...state, notice: message }) : errorPage(statusCode, message);
        return reply.type('text/html; charset=utf-8').send(String(page));
    });
    app.setNotFoundHandler({}, () => Promise.reject(new Refused(404, 'There is no such page.')));

    for (const [name, type] of Object.entries(publicFiles)) {
        const content = readFileSync(new URL(`public/${name}`, import.meta.url));
        app.get(`/public/${name}`, { config: { open: true } }, (request, reply) =>
            reply.type(type).header('cache-control', 'max-age=300').send(content),
        );
    }
    for (const plugin of routes) await app.register(plugin, context);
    return app;
}

/** @param {any} error */
function inWords(error) {
    if (error instanceof Refused) return error;
    if (error.statusCode < 500)
        return { statusCode: error.statusCode, code: error.code, message: 'That request cannot be understood.' };
    const { status, code, message } = describe(error);
    return { statusCode: status, code: code ?? 'failed', message };
}
