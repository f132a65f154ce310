// The demo's "make Stripe …", by which each state of docs/pages.md is reached: it is there only beside the simulator. What can
// be done stands in simulator.json, as requests to its control port (test/stripe/README.md, Control).
import { readFileSync } from 'node:fs';
import { html } from '../lib/html.js';
import { Refused, field } from '../lib/safety.js';
import { hidden, teamAt } from '../views/page.js';

/** @import { App, Context, TeamPage } from '../types.d.ts' */

const text = readFileSync(new URL('simulator.json', import.meta.url), 'utf8');
const tricks = /** @type {Record<string, Record<string, [string, object?, string?][]>>} */ (JSON.parse(text));

/** The switch, for the foot of a team's page. @param {string} team @param {string} token */
export const simulatorForm = (team, token) =>
    html`<details class="simulator"><summary>Make Stripe …</summary><p>This is no part of the page: the simulator does here what Stripe, a bank or somebody else may.</p><form method="post" action="/team/simulator">
        ${hidden({ token, team })}
        ${Object.entries(tricks).map(
            ([who, does]) => html`<fieldset><legend>${who}</legend>
            ${Object.keys(does).map((what) => html`<button class="quiet" name="trick" value="${who}: ${what}">${what}</button> `)}</fieldset>`,
        )}</form></details>`;

/** @param {App} app @param {Context} context */
export async function simulated(app, { ask, access, simulator }) {
    /** @param {string} path @param {object} [body] @param {string} [method] @returns {Promise<any>} */
    const control = async (path, body, method = body ? 'POST' : 'GET') => {
        const answer = await fetch(`${simulator}/_control/${path}`, { method, body: body && JSON.stringify(body) });
        if (!answer.ok) throw new Refused(409, `The simulator cannot do that now: ${await answer.text()}`);
        return answer.json();
    };

    app.post('/team/simulator', async (request, reply) => {
        const { team, actor } = await access(request);
        const [who, what] = field(request, 'trick').split(': ');
        const trick = Object.hasOwn(tricks, who) && Object.hasOwn(tricks[who], what) ? tricks[who][what] : null;
        if (!trick) throw new Refused(422, 'The simulator cannot do that.');
        const [found] = await ask(
            `SELECT t.seat_type, t.subscription, t.customer, s.prices[1] AS price, t.quantity + 1 AS more, p AS page
               FROM seats.teams AS t JOIN seats.seat_types AS s USING (seat_type), seats.team_page($1, $2) AS p
              WHERE t.team = $1 ORDER BY t.quantity DESC LIMIT 1`,
            team,
            actor,
        );
        const { page, ...facts } = found;
        const invoice = /** @type {TeamPage} */ (page).open_changes.find((change) => change.invoice)?.invoice?.invoice;
        if (who === 'the bank' && !invoice)
            throw new Refused(409, 'No payment waits for a bank: have the card ask it, and add a team seat.');
        facts.intent = invoice && (await control(`payment_intents?invoice=${invoice}`)).payment_intents[0]?.id;
        facts.key = (await control('keys')).keys[0].key;
        const steps = JSON.stringify(trick).replace('"{more}"', facts.more);
        for (const [path, body, method] of JSON.parse(steps.replace(/\{(\w+)\}/g, (_, name) => facts[name])))
            await control(path, body, method);
        // What is done to a subscription is read, as when a webhook tells of it; ten invoices are made by buying ten times.
        if (trick.length > 0) await ask('SELECT seats.register_team($1, $2)', team, facts.subscription);
        for (let state = 'confirmed', n = 0; trick.length === 0 && state === 'confirmed' && n <= 10; n++) {
            const one = [team, facts.seat_type, actor];
            const [{ change }] = await ask('SELECT change FROM seats.add_seats($1, $2, 1, $3)', ...one);
            [{ state }] = await ask("SELECT state FROM seats.await_change($1, '2 s')", change);
        }
        return reply.redirect(teamAt(team), 303);
    });
}
