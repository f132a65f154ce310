// Who asks, whether it was really him, for which team, and how often.
import rateLimit from '@fastify/rate-limit';
import { isEqual } from './signing.js';

/** @import { App, Access, Person, Request, Settings } from '../types.d.ts' */

/** What a person is told instead of what he has asked for. */
export class Refused extends Error {
    /** @param {number} statusCode @param {string} message @param {string} [code] for programs */
    constructor(statusCode, message, code = 'refused') {
        super(message);
        this.statusCode = statusCode;
        this.code = code;
    }
}

/** Who was a member when the subscription ended still sees how the team stands. */
export const belongs = `(m.status = 'active' OR m.status = 'cancelled' AND EXISTS (SELECT FROM seats.teams AS t
    WHERE t.team = m.team AND t.status IN ('canceled', 'incomplete_expired')))`;

// Nothing is loaded from elsewhere, no page stands in somebody's frame, no cache keeps anything. As where somebody
// comes from, no path is told, not even here: a proxy may log it (with no-referrer, forms would have "Origin: null").
const own = ['script-src', 'style-src', 'img-src', 'connect-src', 'form-action'].map((what) => `${what} 'self'`);
const headers = {
    'content-security-policy': `default-src 'none'; ${own.join('; ')}; frame-ancestors 'none'; base-uri 'none'`,
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'strict-origin',
    'cache-control': 'no-store',
};

/** @param {Request} request */
export const isJson = ({ headers }) => /^application\/json\b/i.test(headers['content-type'] ?? '');

/** What a form, JSON or the address gives, as text; what is given twice is none. @param {Request} request @param {string} name */
export function field(request, name) {
    const value = { .../** @type {any} */ (request.query), .../** @type {any} */ (request.body) }[name] ?? '';
    if (typeof value === 'object' || /[\0\p{Cs}]/u.test(String(value)))
        throw new Refused(422, `${name} cannot be that.`);
    return String(value);
}

/** @param {App} app @param {Settings} settings @param {import('./signing.js').Signing} signing */
export async function createSafety(app, { pool, origin, authenticate, signInAt }, { mac }) {
    /** What each form carries, and no other site can know. @param {Person} person */
    const token = (person) => mac('form', person.session);

    /** Who is signed in; null: nobody. @param {Request} request @returns {Promise<Person | null>} */
    const identify = async (request) => {
        const found = await authenticate?.(request);
        const by = /^Bearer /i.test(request.headers.authorization ?? '') ? 'bearer' : 'cookie';
        return found?.user ? { name: found.user, ...found, session: found.session ?? found.user, by } : null;
    };

    /** @param {Request} request */
    const requireOwnOrigin = ({ headers: { origin: from, referer, 'sec-fetch-site': site = 'same-origin' } }) => {
        from ??= URL.canParse(referer ?? '') ? new URL(referer ?? '').origin : '';
        if (from === origin && site === 'same-origin') return;
        throw new Refused(
            403,
            `This did not come from a page of ${origin}: open that, and try it there. Nothing was done.`,
        );
    };

    app.decorateRequest('person');
    app.decorateRequest('access', null);
    app.addHook('onRequest', async (request, reply) => {
        reply.headers(headers);
        if (request.routeOptions.config.open) return;
        const person = await identify(request);
        if (person) return void (request.person = person);
        if (request.method !== 'GET' || !signInAt || request.headers.authorization)
            throw new Refused(401, 'Sign in first.');
        return reply.redirect(`${signInAt}?next=${encodeURIComponent(request.url)}`, 303);
    });
    // A cookie comes along whoever has made a browser send the form; and a Bearer, where a proxy adds it to all that a browser
    // sends. No other site's page can have one send JSON.
    app.addHook('preHandler', async (request) => {
        const { method, person, routeOptions } = request;
        if (/^(GET|HEAD)$/.test(method) || routeOptions.config.open) return;
        if (person?.by === 'bearer' && isJson(request)) return;
        requireOwnOrigin(request);
        if (isEqual(field(request, 'token'), token(person))) return;
        throw new Refused(403, 'This page is too old: load it anew, and try again. Nothing was done.');
    });

    /**
     * For which team, and as what: asked each time, as it may have changed since the page was shown. Who is no member is not
     * told whether there is such a team. @param {Request} request @returns {Promise<Access>}
     */
    const access = async (request) => {
        const { rows } = await pool.query(
            `SELECT DISTINCT ON (team) team, user_id AS actor, role = 'owner' AS owner FROM seats.members AS m
             WHERE user_id = $1 AND (team = $2 OR $2 = '') AND ${belongs} ORDER BY team, status LIMIT 2`,
            [request.person.user, field(request, 'team')],
        );
        if (rows.length === 0) throw new Refused(404, 'There is no such team, or you are not one of its members.');
        if (rows.length > 1) throw new Refused(422, 'You are a member of several teams: say of which.');
        return (request.access = rows[0]);
    };
    /** Who may buy, invite and manage is for the application to decide: here it is owners. @param {Request} request */
    const asOwner = async (request) => {
        const { owner, ...may } = await access(request);
        if (!owner) throw new Refused(403, 'Only an owner of the team may do that.', 'PS509');
        return { owner, ...may };
    };

    await app.register(rateLimit, { global: false });
    /** So many a minute of each, counted in this process. @param {number} max @param {((request: Request) => string)[]} keys */
    const limit = (max, ...keys) => {
        const counters = keys.map((keyGenerator) => app.createRateLimit({ max, timeWindow: 60_000, keyGenerator }));
        return async (/** @type {Request} */ request) => {
            for (const count of counters) {
                const counted = await count(request);
                if (counted.isAllowed || !counted.isExceeded) continue;
                throw new Refused(429, `Too often: try it again in ${counted.ttlInSeconds} seconds. Nothing was done.`);
            }
        };
    };
    const person = (/** @type {Request} */ request) => request.person.user;
    const team = (/** @type {Request} */ request) => request.access?.team ?? '';
    const limits = {
        previews: limit(30, person, team),
        purchases: limit(20, person, team),
        invites: limit(20, person, team),
        tokens: limit(10, (request) => request.ip, person),
    };
    return { token, identify, access, asOwner, limits, requireOwnOrigin };
}
