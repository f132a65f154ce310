// The demo's sign-in: whoever comes chooses who to be. Never where others can reach it (server.js sees to that).
import { randomUUID } from 'node:crypto';
import { Refused, field } from '../lib/safety.js';
import { html } from '../lib/html.js';
import { hidden, page } from '../views/page.js';

/** @import { App, Context, Request } from '../types.d.ts' */

const cookie = '__Host-session';
const HOURS = 12;

/** @param {import('../lib/signing.js').Signing} signing */
export function createSignIn({ sign, verify }) {
    // Their cookie is good for nothing any more, whoever has kept it.
    const ended = new Set();

    /** @param {Request} request */
    const authenticate = async ({ headers, cookies }) => {
        const session = headers.authorization?.match(/^Bearer (.+)$/)?.[1] ?? cookies[cookie] ?? '';
        const found = verify('session', session);
        const isGood = found?.until > Date.now() && !ended.has(session);
        return isGood ? { user: found.user, session, signOutAt: '/sign-out' } : null;
    };

    /** @param {App} app @param {Context} context */
    const routes = async (app, { ask, origin, requireOwnOrigin, sessions }) => {
        app.get('/sign-in', { config: { open: true } }, async (request, reply) => {
            const rows = await ask(
                `SELECT DISTINCT user_id FROM seats.members WHERE status = 'active' ORDER BY user_id LIMIT 12`,
            );
            const next = hidden({ next: field(request, 'next') });
            const body = html`<section class="card narrow"><h1>Who are you?</h1>
                <p>This is a demonstration: choose a person. In your application, you say who is signed in.</p>
                <form method="post" class="people">${next}${rows.map(({ user_id: user }) => html`<button name="user" value="${user}">${user}</button>`)}</form>
                <form method="post" class="people">${next}<label class="wide">Somebody else <input name="user" required maxlength="100" autocomplete="off" /></label>
                  <button>Sign in</button></form></section>`;
            return reply.html(page({ title: 'Who are you?', body }));
        });

        app.post('/sign-in', { config: { open: true } }, async (request, reply) => {
            requireOwnOrigin(request);
            const [user, to] = [field(request, 'user').trim(), field(request, 'next')];
            if (!user) throw new Refused(422, 'Choose a person.');
            const session = sign('session', { user, until: Date.now() + HOURS * 3600_000, nonce: randomUUID() });
            reply.setCookie(cookie, session, { path: '/', httpOnly: true, secure: true, sameSite: 'lax' });
            // Only ever to a page of ours, whatever the address says.
            const next = URL.canParse(to || '/', origin) ? new URL(to || '/', origin) : null;
            return reply.redirect(next?.origin === origin ? next.href : `${origin}/`, 303);
        });

        app.post('/sign-out', async ({ person: { session } }, reply) => {
            ended.add(session);
            sessions.emit('ended', session);
            return reply.clearCookie(cookie, { path: '/', secure: true }).redirect('/sign-in', 303);
        });
    };
    return { authenticate, signInAt: '/sign-in', routes: [routes] };
}
