// Where people of --users come in and go, and who of them is in.
import { randomBytes } from 'node:crypto';
import { statSync } from 'node:fs';
import rateLimit from '@fastify/rate-limit';
import { html } from '../lib/html.js';
import { audit, hostName, isLoopback, refusal } from '../lib/safety.js';
import { isRight, readUsers } from '../lib/users.js';

/**
 * @import { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
 * @import { Page } from '../types.d.ts'
 * @typedef {ReturnType<typeof byUsers>} Users
 */

const sessionHours = 12;

/**
 * Sessions end after twelve hours, with the desk, and when the person's line in the file is another one or gone.
 * @param {string} file @param {string} prefix
 */
export function byUsers(file, prefix) {
    /** @type {Map<string, {name: string, stored: string, until: number}>} */
    const sessions = new Map();
    let [users, readAt] = [readUsers(file), statSync(file).mtimeMs];
    function current() {
        const { mtimeMs } = statSync(file);
        if (mtimeMs !== readAt) [users, readAt] = [readUsers(file), mtimeMs];
        return users;
    }

    // Browsers keep a __Host- cookie only where they trust the way, and not all of them trust http to the loopback.
    const isPlain = (/** @type {FastifyRequest} */ request) => isLoopback(hostName(request));
    const cookie = (/** @type {FastifyRequest} */ request) => (isPlain(request) ? 'desk' : '__Host-desk');
    const session = (/** @type {FastifyRequest} */ request) =>
        new RegExp(`(?:^|; ?)${cookie(request)}=([\\w-]+)`).exec(request.headers.cookie ?? '')?.[1] ?? '';
    /** @param {FastifyRequest} request @param {FastifyReply} reply @param {string} value */
    const setCookie = (request, reply, value) => {
        const ways = `Path=/; HttpOnly; SameSite=Lax${isPlain(request) ? '' : '; Secure'}${value ? '' : '; Max-Age=0'}`;
        reply.header('Set-Cookie', `${cookie(request)}=${value}; ${ways}`);
    };
    const signInAt = `${prefix}/sign-in`;
    /** Only to a page of the desk. @param {unknown} to */
    const landing = (to) =>
        `${to}`.startsWith(`${prefix}/`) && !/^\/\/|[\\\x00-\x20]/.test(`${to}`) ? `${to}` : `${prefix}/`;
    /** @param {unknown} to @param {string} [problem] @returns {Page} */
    const form = (to, problem) => {
        const body = html`${problem && html`<p role="alert" class="banner bad">${problem}</p>`}
<form method="post" action="${signInAt}" class="stack">
<input type="hidden" name="to" value="${landing(to)}">
<label>Name <input name="name" required autocomplete="username"></label>
<label>Password <input name="password" type="password" required autocomplete="current-password"></label>
<button>Sign in</button>
</form>`;
        return { title: 'Sign in', isFixed: true, status: problem ? 403 : 200, body };
    };

    return {
        signInAt,
        session,
        person(/** @type {FastifyRequest} */ request) {
            const found = sessions.get(session(request));
            return found && found.until > Date.now() && current().get(found.name) === found.stored ? found.name : null;
        },

        /** @param {FastifyInstance} app */
        async routes(app) {
            // Hashing is dear on purpose. (Behind a proxy all come from one address: then it is twenty a minute for all.)
            const keyGenerator = (/** @type {FastifyRequest} */ { raw }) => raw.socket.remoteAddress ?? 'socket';
            await app.register(rateLimit, { global: false, max: 20, timeWindow: 60_000, keyGenerator });

            app.get(signInAt, { config: { open: true } }, ({ query }, reply) => reply.page(form(Object(query).to)));
            app.post(signInAt, { config: { open: true, rateLimit: {} } }, async (request, reply) => {
                if (!isPlain(request) && !request.headers.origin?.startsWith('https:')) {
                    throw refusal(403, 'Passwords go over https, or to this machine: put a proxy with TLS before it');
                }
                const { name, password, to } = Object(request.body);
                const stored = current().get(name);
                const isIn = await isRight(stored, String(password));
                // (Not the name of a refused one: it may be a password in the wrong field.)
                const who = isIn ? { person: name } : { address: request.raw.socket.remoteAddress };
                audit({ ...who, verb: 'sign_in', outcome: isIn ? 'done' : 'refused' });
                if (!isIn || !stored) return reply.page(form(to, 'Name and password do not belong together.'));
                for (const [id, { until }] of sessions) if (until < Date.now()) sessions.delete(id);
                const id = randomBytes(32).toString('base64url');
                sessions.set(id, { name, stored, until: Date.now() + sessionHours * 3600_000 });
                setCookie(request, reply, id);
                return reply.redirect(landing(to), 303);
            });
            app.post(`${prefix}/sign-out`, (request, reply) => {
                sessions.delete(session(request));
                setCookie(request, reply, '');
                return reply.redirect(signInAt, 303);
            });
        },
    };
}
