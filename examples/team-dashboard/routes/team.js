// The team's page, whose team it is, and who is signed in.
import { randomUUID } from 'node:crypto';
import { Refused, field, sessionCookie } from '../lib/safety.js';
import { html } from '../lib/html.js';
import { page } from '../views/page.js';
import { teamPage } from '../views/team.js';

/** @import { App, Context, Html } from '../types.d.ts' */

/** @param {App} app @param {Context} context */
export default async function team(
    app,
    { pool, access, load, sign, token, authenticate, origin, requireOwnOrigin, signedOut },
) {
    /** @param {import('fastify').FastifyReply} reply @param {Html} content */
    const send = (reply, content) => reply.type('text/html; charset=utf-8').send(content.toString());

    app.get('/', async (request, reply) => {
        const { rows } = await pool.query(
            `SELECT team FROM seats.members WHERE user_id = $1 AND status = 'active' ORDER BY team LIMIT 200`,
            [request.person.user],
        );
        if (rows.length === 1) return reply.redirect('/team', 303);
        const body = html`<section class="card">
      <h1>Your teams</h1>
      ${rows.length === 0 && html`<p>You are in no team yet: an owner can invite you.</p>`}
      <ul>
        ${rows.map((row) => html`<li><a href="/team?team=${encodeURIComponent(row.team)}">${row.team}</a></li>`)}
      </ul>
    </section>`;
        return send(reply, page({ title: 'Your teams', person: request.person, token: token(request.person), body }));
    });

    app.get('/team', async (request, reply) => send(reply, teamPage(await load(request, await access(request)))));

    if (authenticate) return; // whoever signs people in, it is not us

    app.get('/sign-in', { config: { open: true } }, async (request, reply) => {
        const { rows } = await pool.query(
            `SELECT DISTINCT user_id FROM seats.members WHERE status = 'active' ORDER BY user_id LIMIT 12`,
        );
        const body = html`<section class="card">
      <h1>Who are you?</h1>
      <p>This is a demonstration: choose a person. Your own application says who is signed in.</p>
      <form method="post" action="/sign-in" class="people">
        <input type="hidden" name="next" value="${field(request, 'next')}" />
        ${rows.map(({ user_id }) => html`<button name="user" value="${user_id}">${user_id}</button> `)}
      </form>
      <form method="post" action="/sign-in">
        <input type="hidden" name="next" value="${field(request, 'next')}" />
        <label>Somebody else <input name="user" required maxlength="100" autocomplete="off" /></label>
        <button>Sign in</button>
      </form>
    </section>`;
        return send(reply, page({ title: 'Who are you?', body }));
    });

    app.post('/sign-in', { config: { open: true } }, async (request, reply) => {
        requireOwnOrigin(request);
        const user = field(request, 'user');
        if (!user) throw new Refused(422, 'Choose a person.');
        const next = new URL(field(request, 'next') || '/', origin);
        const until = Date.now() + 12 * 3600_000;
        reply.setCookie(sessionCookie, sign('session', JSON.stringify({ user, until, nonce: randomUUID() })), {
            path: '/',
            httpOnly: true,
            secure: true,
            sameSite: 'lax',
        });
        // Only ever to a page of ours, whatever the address says.
        return reply.redirect(next.origin === origin ? next.pathname + next.search : '/', 303);
    });

    app.post('/sign-out', async (request, reply) => {
        signedOut.emit('session', request.person.session);
        reply.clearCookie(sessionCookie, { path: '/', secure: true });
        return reply.redirect('/sign-in', 303);
    });
}
