// What is refused before any page is made, and who it is that asks.
//
// The desk mostly stands on the loopback, where a browser that is lured somewhere else reaches it all the same: by a form that
// is sent here (refused by its origin, and by its lack of a token), by a name that is made to mean 127.0.0.1 (DNS rebinding:
// refused by the name), or in a frame (refused by the headers).

import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

/**
 * @import { FastifyInstance, FastifyRequest } from 'fastify'
 */

/**
 * How the desk knows who asks.
 * @typedef {object} Authentication
 * @property {(request: FastifyRequest) => string | null} person  null: nobody it knows
 * @property {(request: FastifyRequest) => string} [session]  what the token of a form is good for, beside the person
 * @property {string} [signInAt]  where people are sent who are nobody yet; without it they are refused
 */

/** @typedef {{person: string, token: string}} Asking */

// A form's Origin would be "null" with no-referrer; so addresses stay here with same-origin.
const headers = {
    'Content-Security-Policy':
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; " +
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    'X-Frame-Options': 'DENY',
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'same-origin',
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Permissions-Policy': 'camera=(), geolocation=(), microphone=()',
    'Cache-Control': 'no-store',
};

/** An answer that is not a page: of status and in words. */
export class Refusal extends Error {
    /**
     * @param {number} statusCode
     * @param {string} message
     */
    constructor(statusCode, message) {
        super(message);
        this.statusCode = statusCode;
    }
}

/** @param {string} name  of a host, without its port */
export const isLoopback = (name) => /^(localhost|127\.\d+\.\d+\.\d+|\[?::1\]?)$/i.test(name);

/** @param {FastifyRequest} request */
export const hostName = (request) => (request.headers.host ?? '').toLowerCase().replace(/:\d+$/, '');

/** @type {WeakMap<FastifyRequest, Asking>} */
const asking = new WeakMap();

/**
 * Who asks; nobody on the pages that anybody may see.
 * @param {FastifyRequest} request
 */
export const whoAsks = (request) => asking.get(request) ?? { person: '', token: '' };

/**
 * A browser says where a form comes from, and no page can make it say otherwise.
 * @param {FastifyRequest} request
 */
function isFromHere({ headers: sent }) {
    if (sent['sec-fetch-site'] !== undefined && sent['sec-fetch-site'] !== 'same-origin') return false;
    const from = sent.origin ?? sent.referer ?? '';
    return URL.canParse(from) && new URL(from).host === sent.host?.toLowerCase();
}

/**
 * @param {string} one
 * @param {string} other
 */
const areEqual = (one, other) => one.length === other.length && timingSafeEqual(Buffer.from(one), Buffer.from(other));

/**
 * @param {FastifyInstance} app
 * @param {{hosts: string[], authentication: Authentication, open: (path: string) => boolean}} settings
 *   hosts: names under which the desk is reached, without a port; open: what anybody may see (style, sign-in)
 */
export function protect(app, { hosts, authentication, open }) {
    const secret = randomBytes(32);

    app.addHook('onRequest', async (request, reply) => {
        reply.headers(headers);
        if (!hosts.includes(hostName(request))) {
            return reply
                .code(421)
                .type('text/plain; charset=utf-8')
                .send('The desk is not reached under this name. Whoever started it can allow one: --host NAME\n');
        }
        const changes = request.method !== 'GET' && request.method !== 'HEAD';
        if (changes && !isFromHere(request)) {
            throw new Refusal(403, 'This form was not sent by a page of the desk. Nothing was done');
        }
        if (open(request.url.split('?')[0])) return;
        const person = authentication.person(request);
        if (person === null) {
            if (authentication.signInAt && !changes) {
                return reply.redirect(`${authentication.signInAt}?to=${encodeURIComponent(request.url)}`, 303);
            }
            throw new Refusal(401, 'The desk does not know who you are. Nothing was done');
        }
        const holds = JSON.stringify([person, authentication.session?.(request)]);
        asking.set(request, { person, token: createHmac('sha256', secret).update(holds).digest('base64url') });
    });

    app.addHook('preHandler', async (request) => {
        const { token } = whoAsks(request);
        if (request.method === 'GET' || request.method === 'HEAD' || token === '') return;
        const sent = /** @type {{token?: unknown} | null | undefined} */ (request.body)?.token;
        if (typeof sent !== 'string' || !areEqual(sent, token)) {
            const why = 'the desk was started anew since, or you have signed in again';
            throw new Refusal(
                403,
                `This form is no longer good: ${why}. Nothing was done. Go back and load its page anew`,
            );
        }
    });
}

/**
 * Everybody is this person: for the loopback.
 * @param {string} person
 * @returns {Authentication}
 */
export const asPerson = (person) => ({ person: () => person });

/**
 * A proxy that has signed people in says who it is. A header can be written by anybody: it is believed only where nobody but
 * the proxy can speak, which is a unix socket, or comes from its address. (The address of the connection; what
 * X-Forwarded-For says is a header, too.)
 * @param {string} header
 * @param {string | null} proxy  its address; null: the desk listens on a unix socket
 * @returns {Authentication}
 */
export function byHeader(header, proxy) {
    return {
        person({ raw, headers: sent }) {
            const { remoteAddress } = raw.socket;
            const listens = /** @type {import('node:net').Socket & {server?: import('node:net').Server}} */ (
                raw.socket
            );
            const isProxy =
                proxy === null
                    ? typeof listens.server?.address() === 'string'
                    : remoteAddress?.replace(/^::ffff:/, '') === proxy;
            const values = raw.headersDistinct[header.toLowerCase()] ?? [];
            // Two of them: the proxy has added its own to a forged one.
            if (!isProxy || values.length !== 1 || typeof sent[header.toLowerCase()] !== 'string') return null;
            // Bytes come as if they were Latin 1.
            const person = Buffer.from(values[0], 'latin1').toString('utf8').trim();
            return /^[^\p{Cc}\ufffd]{1,100}$/u.test(person) ? person : null;
        },
    };
}
