// Where people of --users come in, and go.

import rateLimit from '@fastify/rate-limit';
import { html } from '../lib/html.js';

/**
 * @import { FastifyInstance, FastifyRequest } from 'fastify'
 * @import { Page, Visit } from '../app.js'
 * @import { Users } from '../lib/users.js'
 * @import { Send } from './act.js'
 */

/**
 * @param {FastifyInstance} app
 * @param {{users: Users, link: Visit['link'], send: Send}} settings
 */
export async function signIn(app, { users, link, send }) {
    // Hashing is dear on purpose. (Behind a proxy all come from one address: then it is twenty a minute for all.)
    const keyGenerator = (/** @type {FastifyRequest} */ { raw }) => raw.socket.remoteAddress ?? 'socket';
    await app.register(rateLimit, { global: false, max: 20, timeWindow: 60_000, keyGenerator });

    /** Only to a page of the desk. @param {string} to */
    const landing = (to) => (to.startsWith(link('/')) && !/^\/\/|[\\\x00-\x20]/.test(to) ? to : link('/'));

    /** @param {unknown} to @param {string} [problem] @returns {Page} */
    const form = (to, problem) => ({
        title: 'Sign in',
        isFixed: true,
        status: problem ? 403 : 200,
        body: html`${problem && html`<p role="alert" class="banner bad">${problem}</p>`}
<form method="post" action="${link('/sign-in')}" class="stack">
<input type="hidden" name="to" value="${landing(String(to))}">
<label>Name <input name="name" required autocomplete="username"></label>
<label>Password <input name="password" type="password" required autocomplete="current-password"></label>
<button>Sign in</button>
</form>`,
    });
    const path = link('/sign-in');
    app.get(path, (request, reply) => send(request, reply, form(/** @type {{to?: unknown}} */ (request.query).to)));
    app.post(path, { config: { rateLimit: {} } }, async (request, reply) => {
        const { name, password, to } = /** @type {Record<string, unknown>} */ (request.body ?? {});
        const isIn = await users.signIn(request, reply, String(name), String(password));
        // (Not the name of a refused one: it may be a password in the wrong field.)
        const who = isIn ? { person: name } : { address: request.raw.socket.remoteAddress };
        console.log(JSON.stringify({ at: new Date(), ...who, verb: 'sign_in', outcome: isIn ? 'done' : 'refused' }));
        if (!isIn) return send(request, reply, form(to, 'Name and password do not belong together.'));
        return reply.redirect(landing(String(to)), 303);
    });
    app.post(link('/sign-out'), (request, reply) => {
        users.signOut(request, reply);
        return reply.redirect(path, 303);
    });
}
