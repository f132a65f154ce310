// The team's page, and which teams there are.
import { belongs } from '../lib/safety.js';
import { html } from '../lib/html.js';
import { page, teamAt } from '../views/page.js';
import { teamPage } from '../views/team.js';

/** @import { App, Context } from '../types.d.ts' */

/** @param {App} app @param {Context} context */
export default async function team(app, { ask, access, load, token: tokenOf }) {
    app.get('/', async ({ person }, reply) => {
        const rows = await ask(
            `SELECT DISTINCT team FROM seats.members AS m WHERE user_id = $1 AND ${belongs} ORDER BY team LIMIT 200`,
            person.user,
        );
        if (rows.length === 1) return reply.redirect('/team', 303);
        const body = html`<section class="card narrow"><h1>Your teams</h1>
            ${rows.length === 0 && html`<p>You are in no team yet: an owner can invite you.</p>`}
            <ul>${rows.map(({ team }) => html`<li><a href="${teamAt(team)}">${team}</a></li>`)}</ul>
            ${rows.length === 200 && html`<p class="note">The first 200 are shown.</p>`}</section>`;
        return reply.html(page({ title: 'Your teams', person, token: tokenOf(person), body }));
    });

    app.get('/team', async (request, reply) => reply.html(teamPage(await load(request, await access(request)))));
}
