// What is refused before any page is made, and who it is that asks.
//
// The desk mostly stands on the loopback, where a browser that is lured somewhere else reaches it all the same: by a form that
// is sent here (refused by its origin, and for want of a token), by a name that is made to mean 127.0.0.1 (DNS rebinding:
// refused by the name), or in a frame (refused by the headers).
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

/** @import { FastifyInstance, FastifyRequest } from 'fastify' */
/** @import { Authentication, Settings } from '../types.d.ts' */

// A form's Origin would be "null" with no-referrer; with same-origin, too, no address leaves the desk.
const headers = {
    'Content-Security-Policy':
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; " +
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    'X-Frame-Options': 'DENY',
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'same-origin',
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Cache-Control': 'no-store',
};

/** One line of JSON of each action, on standard output. @param {object} entry */
export const audit = (entry) => console.log(JSON.stringify({ at: new Date(), ...entry }));

/** What is answered instead of a page. @param {number} statusCode @param {string} message */
export const refusal = (statusCode, message) => Object.assign(new Error(message), { statusCode });

/** @param {string} name  of a host, without its port */
export const isLoopback = (name) => /^(localhost|127\.\d+\.\d+\.\d+|\[?::1\]?)$/i.test(name);

/** @param {FastifyRequest} request */
export const hostName = ({ headers: sent }) => (sent.host ?? '').toLowerCase().replace(/:\d+$/, '');

/** As the server takes pg_seats.person. @param {string} name */
export const isPerson = (name) => /^[^\p{Cc}\ufffd]{1,100}$/u.test(name);

/** A browser says where a form comes from, and no page can make it say otherwise. @param {FastifyRequest} request */
function isFromHere({ headers: sent }) {
    if (sent['sec-fetch-site'] !== undefined && sent['sec-fetch-site'] !== 'same-origin') return false;
    const from = sent.origin ?? sent.referer ?? '';
    return URL.canParse(from) && new URL(from).host === sent.host?.toLowerCase();
}

/** @param {FastifyRequest} request */
const isToRead = ({ method }) => method === 'GET' || method === 'HEAD';

/** @param {FastifyInstance} app @param {Pick<Settings, 'hosts' | 'authentication'>} settings */
export function protect(app, { hosts, authentication }) {
    const secret = randomBytes(32);
    app.decorateRequest('asker');

    app.addHook('onRequest', async (request, reply) => {
        reply.headers(headers);
        request.asker = { person: '', token: '' };
        if (!hosts.includes(hostName(request))) {
            const text = 'The desk is not reached under this name. Whoever starts it can allow one: --host NAME\n';
            return reply.code(421).type('text/plain; charset=utf-8').send(text);
        }
        if (!isToRead(request) && !isFromHere(request)) {
            throw refusal(403, 'This was not sent by a page of the desk. Nothing was done');
        }
        // Another page may lead here by a link, and not have the database asked by its images.
        const { 'sec-fetch-site': site = 'none', 'sec-fetch-dest': dest } = request.headers;
        if (!/^(same-origin|none)$/.test(site) && dest !== 'document')
            throw refusal(403, 'Another page has asked for this: open it yourself');
        if (request.routeOptions.config.open) return;
        const person = authentication.person(request);
        if (person !== null) {
            const holds = JSON.stringify([person, authentication.session?.(request)]);
            request.asker = { person, token: createHmac('sha256', secret).update(holds).digest('base64url') };
        } else if (authentication.signInAt && isToRead(request)) {
            return reply.redirect(`${authentication.signInAt}?to=${encodeURIComponent(request.url)}`, 303);
        } else {
            throw refusal(401, 'The desk does not know who you are. Nothing was done');
        }
    });

    app.addHook('preHandler', async (request) => {
        const { token } = request.asker;
        if (isToRead(request) || token === '') return;
        const sent = String(/** @type {{token?: unknown} | null | undefined} */ (request.body)?.token);
        if (sent.length !== token.length || !timingSafeEqual(Buffer.from(sent, 'latin1'), Buffer.from(token))) {
            const why = 'the desk was started anew since, or you have signed in again';
            throw refusal(403, `This form is no longer good: ${why}. Nothing was done. Load its page anew`);
        }
    });
}

/** Whoever sits at this machine is this person; whom a proxy brings is not. @param {string} person @returns {Authentication} */
export const asPerson = (person) => ({
    person({ headers: sent, raw }) {
        const isBrought = Object.keys(sent).some((name) => /^(x-forwarded|x-real-ip$|forwarded$|via$)/.test(name));
        return isBrought || raw.httpVersion === '1.0' ? null : person; // (no browser says 1.0; nginx does)
    },
});

/**
 * A proxy that has signed people in says who it is. Anybody can write a header: it is believed only on a unix socket, or from
 * the proxy's address. (That of the connection; what X-Forwarded-For says is a header, too.)
 * @param {string} header
 * @param {string | null} proxy  its address; null: the desk listens on a unix socket
 * @returns {Authentication}
 */
export const byHeader = (header, proxy) => ({
    person({ raw, server }) {
        const isSocket = typeof server.server.address() === 'string';
        const isProxy = proxy === null ? isSocket : raw.socket.remoteAddress?.replace(/^::ffff:/, '') === proxy;
        // Two of them: the proxy has added its own to a forged one.
        const values = raw.headersDistinct[header.toLowerCase()] ?? [];
        // Bytes come as if they were Latin 1.
        const person = Buffer.from(values[0] ?? '', 'latin1').toString('utf8');
        return isProxy && values.length === 1 && isPerson(person) ? person : null;
    },
});
