// The desk: which page stands where, and what becomes of errors.
import { readFileSync } from 'node:fs';
import formbody from '@fastify/formbody';
import Fastify from 'fastify';
import { createDatabase } from './lib/database.js';
import { html } from './lib/html.js';
import { layout } from './lib/layout.js';
import { protect } from './lib/safety.js';
import { allowedVerbs } from './lib/verbs.js';
import { inWords } from './lib/words.js';
import { createActs } from './pages/act.js';
import { call } from './pages/call.js';
import { journal } from './pages/journal.js';
import { outbox } from './pages/outbox.js';
import { overview } from './pages/overview.js';
import { review, reviews } from './pages/reviews.js';
import { team, teams } from './pages/team.js';
import { webhooks } from './pages/webhooks.js';

/** @import { Page, Settings, Visit } from './types.d.ts' */

/** @type {[path: string, show: (visit: Visit) => Promise<Page>][]} */
const pages = [
    ['/', overview],
    ['/outbox', outbox],
    ['/calls/:call', call],
    ['/teams', teams],
    ['/teams/:team', team],
    ['/journal', journal],
    ['/reviews', reviews],
    ['/reviews/:call', review],
    ['/webhooks', webhooks],
];

const publicFiles = { 'desk.css': 'text/css', 'desk.js': 'text/javascript' };

/** @param {Settings} settings */
export function createDesk({ pool, prefix = '', hosts, authentication, logger = false }) {
    // A team's name may have 255 bytes, of which each becomes three characters; and what is given twice counts once.
    const querystringParser = (/** @type {string} */ text) => Object.fromEntries(new URLSearchParams(text));
    const routerOptions = { ignoreTrailingSlash: true, maxParamLength: 1000, querystringParser };
    const app = Fastify({
        logger,
        forceCloseConnections: true,
        requestTimeout: 30_000,
        bodyLimit: 65536,
        routerOptions,
    });
    const database = createDatabase(pool);
    app.register(formbody);
    protect(app, { hosts, authentication });

    /** @type {Visit['link']} */
    const link = (path, query = {}) => {
        const given = Object.entries(query).map(([key, value]) => [key, String(value ?? '')]);
        const search = new URLSearchParams(given.filter(([, value]) => value !== ''));
        return `${prefix}${path}${search.size > 0 ? `?${search}` : ''}`;
    };

    app.decorateReply('page', function (page) {
        const visit = { link, ...this.request.asker, signsIn: authentication.signInAt !== undefined };
        return this.code(page.status ?? 200)
            .type('text/html; charset=utf-8')
            .send(layout(visit, page).text);
    });
    const noticeOf = createActs(app, { database, link });
    if (authentication.routes) app.register(authentication.routes);

    for (const [path, show] of pages) {
        app.get(prefix + path, async (request, reply) => {
            const params = /** @type {Record<string, string>} */ (request.params);
            const query = /** @type {Record<string, string>} */ (request.query);
            const page = await database.read(async (client) => {
                /** @type {Visit['ask']} */
                const ask = async (sql, ...values) => (await client.query(sql, values)).rows;
                return show({ ask, params, query, link, may: await allowedVerbs(client) });
            });
            return reply.page({ ...page, notice: await noticeOf(request) });
        });
    }

    for (const [name, type] of Object.entries(publicFiles)) {
        const text = readFileSync(new URL(`public/${name}`, import.meta.url));
        app.get(`${prefix}/${name}`, { config: { open: true } }, (_, reply) =>
            reply.type(`${type}; charset=utf-8`).send(text),
        );
    }

    app.setNotFoundHandler((request, reply) => {
        const body = html`<p>Nothing stands at this address. <a href="${link('/')}">To the overview</a></p>`;
        return reply.page({ title: 'There is no such page', status: 404, isFixed: true, body });
    });
    app.setErrorHandler((error, request, reply) => {
        const { status, title, text } = inWords(error);
        if (status === 500) request.log.error(error);
        return reply.page({ title, status, isFixed: true, body: html`<p>${text}</p>` });
    });
    return app;
}
