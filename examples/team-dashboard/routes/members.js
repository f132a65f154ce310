// Who belongs to a team, and who is asked to.
import { Refused, field, isJson } from '../lib/safety.js';
import { html } from '../lib/html.js';
import { when } from '../lib/words.js';
import { hidden, page, teamAt } from '../views/page.js';
import { teamPage } from '../views/team.js';

/** @import { App, Context, Request } from '../types.d.ts' */

/** @param {App} app @param {Context} context */
export default async function members(app, { ask, asOwner, load, limits, origin, token: formToken }) {
    const tokenIn = (/** @type {Request} */ request) => /** @type {{ token: string }} */ (request.params).token;
    const ofInvite = { preHandler: (/** @type {Request} */ request) => limits.tokens(request) };

    app.post('/team/members/role', async (request, reply) => {
        const { team } = await asOwner(request);
        const role = field(request, 'role');
        await ask('SELECT seats.change_member($1, $2, role => $3)', team, field(request, 'user'), role);
        return reply.redirect(teamAt(team), 303);
    });

    app.post('/team/members/remove', async (request, reply) => {
        const { team, actor } = await asOwner(request);
        const user = field(request, 'user');
        await ask('SELECT seats.remove_member($1, $2, $3)', team, user, `removed by ${actor}`);
        return reply.redirect(user === actor ? '/' : teamAt(team), 303);
    });

    app.post('/team/invites', async (request, reply) => {
        const may = await asOwner(request);
        const { team, actor } = may;
        await limits.invites(request);
        const [address, type, role] = ['address', 'seat_type', 'role'].map((name) => field(request, name));
        const key = request.headers['idempotency-key'] ?? (field(request, 'key') || null);
        const values = [team, address.trim(), type, role || 'member', actor, field(request, 'buy') === 'true', key];
        const verb = 'SELECT to_json(i) AS made FROM seats.invite($1, $2, $3, $4, $5, $6, request_key => $7) AS i';
        const { invite, token, change, billing_pending, repeated } = (await ask(verb, ...values))[0].made;
        const link = token && `${origin}/invites/${token}`;
        reply.code(201);
        if (isJson(request)) return { invite, link, change, billing_pending, repeated };
        // The link is in this answer and nowhere else: the database keeps a hash of it.
        const again = html`<b>${address}</b> was invited already, and the link was shown then: invite once more for a new one.`;
        const notice = html`Send this link to <b>${address}</b>. It is shown only now, and lets one person in, once:
            <output>${link}</output>${billing_pending && ' The seat is not confirmed yet: if it cannot be bought, the invite ends.'}`;
        const state = await load(request, may);
        return reply.html(teamPage({ ...state, notice: repeated ? again : notice }));
    });

    app.post('/team/invites/revoke', async (request, reply) => {
        const { team, actor } = await asOwner(request);
        const mine = 'SELECT seats.revoke_invite(invite, $3) FROM seats.invites WHERE invite = $1 AND team = $2';
        const revoked = await ask(mine, Number(field(request, 'invite')) || 0, team, actor);
        if (revoked.length === 0) throw new Refused(404, 'There is no such invite.', 'PS531');
        return reply.redirect(teamAt(team), 303);
    });

    // A link is opened by mail programs, too: it only shows, and who is signed in accepts with a button.
    app.get('/invites/:token', ofInvite, async (request, reply) => {
        const { person } = request;
        const [shown] = await ask('SELECT * FROM seats.show_invite($1)', tokenIn(request));
        const { team, seat_type, role, inviter, expires_at } = shown;
        const token = formToken(person);
        const body = html`<section class="card narrow"><h1>Join ${team}</h1>
            <p><b>${inviter ?? 'Somebody'}</b> invites you to ${team} as ${role === 'owner' ? 'an owner' : 'a member'}${seat_type && `, with one ${seat_type} seat`}.</p>
            <form method="post">${hidden({ token })}<button>Join as ${person.name}</button></form>
            <p class="note">This is good until ${when(expires_at, 'en')}.</p></section>`;
        return reply.html(page({ title: `Join ${team}`, person, token, body }));
    });

    app.post('/invites/:token', ofInvite, async (request, reply) => {
        const { user } = request.person;
        const [{ team }] = await ask('SELECT team FROM seats.accept_invite($1, $2)', tokenIn(request), user);
        return reply.redirect(teamAt(team), 303);
    });
}
