// The team's page, whose teams there are, and, for the demonstration, who is signed in.
import { randomUUID } from 'node:crypto';
import { Refused, belongs, field, sessionCookie } from '../lib/safety.js';
import { html } from '../lib/html.js';
import { hidden, page } from '../views/page.js';
import { teamPage } from '../views/team.js';

/** @import { App, Context, Html } from '../types.d.ts' */

/** @param {App} app @param {Context} context */
export default async function team(app, context) {
    const { pool, access, load, sign, token: tokenOf, authenticate, origin, requireOwnOrigin, signedOut } = context;
    /** @param {import('fastify').FastifyReply} reply @param {Html} content */
    const send = (reply, content) => reply.type('text/html; charset=utf-8').send(String(content));

    app.get('/', async ({ person }, reply) => {
        const { rows } = await pool.query(
            `SELECT DISTINCT team FROM seats.members AS m WHERE user_id = $1 AND ${belongs} ORDER BY team LIMIT 200`,
            [person.user],
        );
        if (rows.length === 1) return reply.redirect('/team', 303);
        const body = html`<section class="card narrow"><h1>Your teams</h1>
            ${rows.length === 0 && html`<p>You are in no team yet: an owner can invite you.</p>`}
            <ul>${rows.map(({ team }) => html`<li><a href="/team?team=${encodeURIComponent(team)}">${team}</a></li>`)}</ul>
            ${rows.length === 200 && html`<p class="note">The first 200 are shown.</p>`}</section>`;
        return send(reply, page({ title: 'Your teams', person, token: tokenOf(person), body }));
    });

    app.get('/team', async (request, reply) => send(reply, teamPage(await load(request, await access(request)))));

    if (authenticate) return; // whoever signs people in, it is not us

    app.get('/sign-in', { config: { open: true } }, async (request, reply) => {
        const { rows } = await pool.query(
            `SELECT DISTINCT user_id FROM seats.members WHERE status = 'active' ORDER BY user_id LIMIT 12`,
        );
        const next = hidden({ next: field(request, 'next') });
        const body = html`<section class="card narrow"><h1>Who are you?</h1>
            <p>This is a demonstration: choose a person. In your application, you say who is signed in.</p>
            <form method="post" class="people">${next}${rows.map(({ user_id: user }) => html`<button name="user" value="${user}">${user}</button>`)}</form>
            <form method="post" class="people">${next}<label class="wide">Somebody else <input name="user" required maxlength="100" autocomplete="off" /></label>
              <button>Sign in</button></form></section>`;
        return send(reply, page({ title: 'Who are you?', body }));
    });

    app.post('/sign-in', { config: { open: true } }, async (request, reply) => {
        requireOwnOrigin(request);
        const [user, to] = [field(request, 'user').trim(), field(request, 'next')];
        if (!user) throw new Refused(422, 'Choose a person.');
        const session = sign(
            'session',
            JSON.stringify({ user, until: Date.now() + 12 * 3600_000, nonce: randomUUID() }),
        );
        reply.setCookie(sessionCookie, session, { path: '/', httpOnly: true, secure: true, sameSite: 'lax' });
        // Only ever to a page of ours, whatever the address says.
        const next = URL.canParse(to || '/', origin) ? new URL(to || '/', origin) : null;
        return reply.redirect(next?.origin === origin ? next.href : `${origin}/`, 303);
    });

    app.post('/sign-out', async ({ person }, reply) => {
        signedOut.emit('session', person.session);
        return reply.clearCookie(sessionCookie, { path: '/', secure: true }).redirect('/sign-in', 303);
    });
}
