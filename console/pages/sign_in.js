// Where people of --users come in, and go.

import rateLimit from '@fastify/rate-limit';
import { html } from '../lib/html.js';

/**
 * @import { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
 * @import { Page, Visit } from '../app.js'
 * @import { Users } from '../lib/users.js'
 */

/** @typedef {(request: FastifyRequest, reply: FastifyReply, page: Page) => FastifyReply} Send */

/** @param {unknown} values  of a query or a form; what is given twice is both, with a comma */
const texts = (values) => {
    const given = /** @type {Record<string, unknown>} */ (values ?? {});
    return { name: String(given.name ?? ''), password: String(given.password ?? ''), to: String(given.to ?? '') };
};

/**
 * @param {FastifyInstance} app
 * @param {{users: Users, link: Visit['link'], send: Send}} settings
 */
export async function signIn(app, { users, link, send }) {
    // Hashing is dear on purpose. (Behind a proxy all come from one address: then it is twenty for all.)
    await app.register(rateLimit, { global: false, keyGenerator: ({ raw }) => raw.socket.remoteAddress ?? 'socket' });

    /** @param {string} to  only a page of the desk */
    const landing = (to) => (to.startsWith(link('/')) && !/[\\\x00-\x20]|^\/\//.test(to) ? to : link('/'));

    /** @param {string} to @param {string} [problem] @returns {Page} */
    const form = (to, problem) => ({
        title: 'Sign in',
        isFixed: true,
        status: problem ? 403 : 200,
        body: html`${problem && html`<p role="alert" class="problem">${problem}</p>`}
<form method="post" action="${link('/sign-in')}" class="stack">
<input type="hidden" name="to" value="${landing(to)}">
<label>Name <input name="name" required autocomplete="username" autofocus></label>
<label>Password <input name="password" type="password" required autocomplete="current-password"></label>
<button>Sign in</button>
</form>`,
    });

    app.get(link('/sign-in'), (request, reply) => send(request, reply, form(texts(request.query).to)));

    app.post(link('/sign-in'), { config: { rateLimit: { max: 20, timeWindow: 60_000 } } }, async (request, reply) => {
        const { name, password, to } = texts(request.body);
        const isIn = await users.signIn(request, reply, name, password);
        // (Not the name of a refused one: it may be a password in the wrong field.)
        const who = isIn ? { person: name } : { address: request.raw.socket.remoteAddress };
        console.log(JSON.stringify({ at: new Date(), ...who, verb: 'sign_in', outcome: isIn ? 'done' : 'refused' }));
        if (!isIn) return send(request, reply, form(to, 'Name and password do not belong together.'));
        return reply.redirect(landing(to), 303);
    });

    app.post(link('/sign-out'), (request, reply) => {
        users.signOut(request, reply);
        return reply.redirect(link('/sign-in'), 303);
    });
}
