// Who asks, whether it was really him, for which team, and how often.
import { createHmac, timingSafeEqual } from 'node:crypto';
import { EventEmitter } from 'node:events';
import rateLimit from '@fastify/rate-limit';

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

export const sessionCookie = '__Host-session';

// Nothing is loaded from elsewhere, no page stands in somebody's frame, no cache keeps anything. A referrer goes to our own
// pages only (with no-referrer, a browser would send "Origin: null" with each form).
const own = ['script-src', 'style-src', 'img-src', 'connect-src', 'form-action'].map((what) => `${what} 'self'`);
const headers = {
    'content-security-policy': `default-src 'none'; ${own.join('; ')}; frame-ancestors 'none'; base-uri 'none'`,
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'same-origin',
    'cache-control': 'no-store',
};

/** What a form, JSON or the address gives, as text; what is given twice is none. @param {Request} request @param {string} name */
export function field(request, name) {
    const value = { .../** @type {any} */ (request.query), .../** @type {any} */ (request.body) }[name] ?? '';
    if (typeof value === 'object' || /[\0\p{Cs}]/u.test(String(value)))
        throw new Refused(422, `${name} cannot be that.`);
    return String(value);
}

/** @param {App} app @param {Settings} settings */
export async function createSafety(app, { pool, origin, sessionSecret, authenticate }) {
    /** @param {string} purpose @param {string} value */
    const mac = (purpose, value) =>
        createHmac('sha256', sessionSecret).update(`${purpose}\n${value}`).digest('base64url');
    /** @param {string} a @param {string} b */
    const equal = (a, b) => {
        const [given, right] = [Buffer.from(a), Buffer.from(b)];
        return given.length === right.length && timingSafeEqual(given, right);
    };
    /** What comes back from a browser unchanged, for this purpose only. @param {string} purpose @param {string} value */
    const sign = (purpose, value) => {
        const encoded = Buffer.from(value).toString('base64url');
        return `${encoded}.${mac(purpose, encoded)}`;
    };
    /** @param {string} purpose @param {string} signed @returns {string | null} */
    const verify = (purpose, signed) => {
        const [, encoded = '', given = ''] = signed.match(/^([^.]*)\.([^.]*)$/) ?? [];
        return equal(given, mac(purpose, encoded)) ? Buffer.from(encoded, 'base64url').toString() : null;
    };
    /** What each form carries, and no other site can know. @param {Person} person */
    const token = (person) => mac('form', person.session);

    // Sessions that were ended: no stream goes on for them, and their cookie is good for nothing any more.
    const ended = new Set();
    const signedOut = new EventEmitter().on('session', (session) => ended.add(session));

    /** The demo's: whoever has chosen a person on the page for that. @param {Request} request */
    const demoPerson = async (request) => {
        const bearer = request.headers.authorization?.match(/^Bearer (.+)$/)?.[1];
        const session = bearer ?? request.cookies[sessionCookie] ?? '';
        const found = JSON.parse(verify('session', session) ?? 'null');
        return found?.until > Date.now() && !ended.has(session) ? { user: found.user, session } : null;
    };

    /** Who is signed in; null: nobody. @param {Request} request @returns {Promise<Person | null>} */
    const identify = async (request) => {
        const found = await (authenticate ?? demoPerson)(request);
        const by = /^Bearer /i.test(request.headers.authorization ?? '') ? 'bearer' : 'cookie';
        return found?.user ? { name: found.user, session: found.user, ...found, by } : null;
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
        if (request.method !== 'GET' || authenticate || request.headers.authorization)
            throw new Refused(401, 'Sign in first.');
        return reply.redirect(`/sign-in?next=${encodeURIComponent(request.url)}`, 303);
    });
    // A cookie comes along whoever has made a browser send the form; a Bearer only from a program that has it.
    app.addHook('preHandler', async (request) => {
        const { method, person, routeOptions } = request;
        if (/^(GET|HEAD)$/.test(method) || routeOptions.config.open || person?.by === 'bearer') return;
        requireOwnOrigin(request);
        if (equal(field(request, 'token'), token(person))) return;
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
    return { sign, verify, token, identify, signedOut, access, limits, requireOwnOrigin };
}
