// The demo's "make Stripe …", by which each state of docs/pages.md is reached. It is there only beside the simulator. What can
// be done is in simulator.json: requests to its control port, whose words are those of test/stripe/README.md.
import { readFileSync } from 'node:fs';
import { html } from '../lib/html.js';
import { Refused, field } from '../lib/safety.js';

/** @import { App, Context, State } from '../types.d.ts' */

const text = readFileSync(new URL('simulator.json', import.meta.url), 'utf8');
const tricks = /** @type {Record<string, Record<string, [string, object | null, string?][]>>} */ (JSON.parse(text));

/** The switch, for the foot of a team's page. @param {State} state */
export const simulatorForm = ({ simulator, page, token }) =>
    simulator &&
    html`<details class="simulator">
        <summary>Make Stripe …</summary>
        <form method="post" action="/team/simulator">
            <input type="hidden" name="token" value="${token}" />
            <input type="hidden" name="team" value="${page.team}" />
            ${Object.entries(tricks).map(
                ([who, does]) => html`<fieldset>
                <legend>${who}</legend>
                ${Object.keys(does).map((what) => html`<button name="trick" value="${who}: ${what}">${what}</button> `)}
            </fieldset>`,
            )}
        </form>
    </details>`;

/** @param {App} app @param {Context} context */
export default async function simulated(app, { pool, access, simulator }) {
    if (!simulator) return;
    /** @param {string} path @param {object | null} [body] @param {string} [method] @returns {Promise<any>} */
    const control = async (path, body, method = body ? 'POST' : 'GET') => {
        const answer = await fetch(`${simulator}/_control/${path}`, { method, body: body && JSON.stringify(body) });
        if (!answer.ok) throw new Refused(409, `The simulator does not do that now: ${await answer.text()}`);
        return answer.json();
    };

    app.post('/team/simulator', async (request, reply) => {
        const { team, actor } = await access(request);
        const [who, what] = field(request, 'trick').split(': ');
        const trick = Object.hasOwn(tricks, who) && Object.hasOwn(tricks[who], what) ? tricks[who][what] : null;
        if (!trick) throw new Refused(422, 'The simulator cannot do that.');
        const { rows } = await pool.query(
            `SELECT t.subscription, t.customer, s.prices[1] AS price, t.quantity + 1 AS more, seats.team_page($1, $2) AS page
               FROM seats.teams AS t JOIN seats.seat_types AS s USING (seat_type)
              WHERE t.team = $1 ORDER BY t.quantity DESC LIMIT 1`,
            [team, actor],
        );
        const invoice = rows[0].page.open_changes.find((/** @type {any} */ change) => change.invoice)?.invoice.invoice;
        const intents = invoice ? (await control(`payment_intents?invoice=${invoice}`)).payment_intents : [];
        const facts = { ...rows[0], key: (await control('keys')).keys[0].key, intent: intents[0]?.id ?? 'none' };
        const filled = JSON.stringify(trick)
            .replace('"{more}"', facts.more)
            .replace(/\{(\w+)\}/g, (_, name) => facts[name]);
        for (const step of JSON.parse(filled)) await control(.../** @type {[string]} */ (step));
        // What was changed at Stripe is read, as it would be when a webhook tells of it.
        await pool.query('SELECT seats.register_team($1, $2)', [team, facts.subscription]);
        return reply.redirect(`/team?team=${encodeURIComponent(team)}`, 303);
    });
}
