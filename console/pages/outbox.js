// What is owed to Stripe, what does not move, and what is settled.
import { html } from '../lib/html.js';
import { filterOf, filters, list, table } from '../lib/parts.js';
import { verbButton } from '../lib/verbs.js';
import { count } from '../lib/words.js';

/** @import { Page, Visit } from '../types.d.ts' */

const most = 100;
const columns =
    'call state result state_since:since settled_at whose:team_or_lane path:request attempts:tries due_at:next_try why error_code:code settled_by';

/** @param {Visit} visit @param {string[]} destination */
async function open(visit, destination) {
    const keys = 'state destination team lane reason error_code';
    const filter = filterOf(visit.query, keys);
    const { rows, note, empty } = await list(visit, '/outbox', 'list_calls', filter);
    const all = rows.some((row) => row.due_at) && verbButton(visit, 'retry_all', { filter: JSON.stringify(filter) });
    const lane = filter.lane && visit.link('/journal', { destination: filter.destination, lane: filter.lane });
    return html`${filters(visit, '/outbox', keys, { choices: { destination } })}
${table(visit, 'Open calls, the oldest first', columns, rows, empty || 'No open call fits: what was asked for is settled.')}
${note}${all && html`<p>${all}</p>`}
${lane && html`<p class="more"><a href="${lane}">What the journal says of this lane</a></p>`}`;
}

/** @param {Visit} visit @param {string[]} destination */
async function settled(visit, destination) {
    const keys = 'result destination reason error_code';
    const { rows, note, empty } = await list(visit, '/outbox', 'list_history', filterOf(visit.query, keys));
    return html`${filters(visit, '/outbox', keys, { choices: { destination }, keep: { show: 'settled' } })}
${table(visit, 'Settled calls, the newest first', columns, rows, empty || 'None that fits was settled in the time that is kept.')}
${note}`;
}

/** @param {Visit} visit @param {string[]} destination */
async function blocked(visit, destination) {
    const rows = await visit.ask(
        `SELECT *, CASE reason WHEN 'paused' THEN reason ELSE state END AS status FROM seats.blocked_lanes
          WHERE ($1 = '' OR destination = $1) AND ($2 = '' OR reason = $2) ORDER BY since, call LIMIT $3`,
        visit.query.destination ?? '',
        visit.query.reason ?? '',
        most + 1,
    );
    return html`${filters(visit, '/outbox', 'destination reason', { choices: { destination }, keep: { show: 'blocked' } })}
<p class="note">Their first call is neither on its way nor simply next. Some wait as designed: for a payment, or for Stripe's limit.</p>
${table(visit, 'Lanes that do not move, the longest first', ['lane call:first_call status:state since until', ['wait behind it', ({ waiting_behind: n }) => count(n, n >= 1000)], 'why what_to_do', ['do', ({ status, destination, lane }) => verbButton(visit, status === 'paused' ? 'resume' : 'pause', { destination, lane })]], rows, 'Every lane moves.', most)}`;
}

const views = { open, blocked, settled };

/** @param {Visit} visit @returns {Promise<Page>} */
export async function outbox(visit) {
    const { ask, query, link } = visit;
    const show = query.show === 'blocked' || query.show === 'settled' ? query.show : 'open';
    const destinations = await ask('SELECT name FROM seats.destinations ORDER BY name LIMIT 100');
    const names = destinations.map(({ name }) => name);
    const part = await views[show](visit, names);
    const tab = (/** @type {string} */ name, /** @type {string} */ title) =>
        html`<a href="${link('/outbox', { show: name })}"${name === show && html` aria-current="page"`}>${title}</a> `;
    const tabs = [tab('open', 'Open'), tab('blocked', 'Blocked lanes'), tab('settled', 'Settled')];
    const body = html`<nav class="tabs" aria-label="Parts of the outbox">${tabs}</nav>${part}`;
    return { title: 'Outbox', place: '/outbox', body };
}
