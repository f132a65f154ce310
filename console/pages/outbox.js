// What is owed to Stripe, what does not move, and what is settled.

import { html } from '../lib/html.js';
import { filterOf, filters, list, notAll, table } from '../lib/parts.js';
import { verbButton } from '../lib/verbs.js';
import { count } from '../lib/words.js';

/** @import { Visit, Page } from '../app.js' */

const mostLanes = 100;
const states = ['pending', 'carried', 'sending', 'waiting', 'verifying', 'awaiting', 'review'];
const results = ['done', 'refused', 'cancelled'];
const callColumns =
    'call state result state_since:since settled_at whose:team_or_lane path:request attempts:tries due_at:next_try why error_code:code settled_by';

/** @param {Visit} visit @param {string[]} destinations */
async function open(visit, destinations) {
    const keys = 'state destination team lane reason error_code';
    const filter = filterOf(visit.query, keys);
    const { rows, note, isAll } = await list(visit, '/outbox', 'list_calls', filter);
    const empty = isAll ? 'No open call fits: what was asked for is settled.' : 'None fits so far.';
    return html`${filters(visit, '/outbox', keys, { choices: { state: states, destination: destinations } })}
${table(visit, 'Open calls, the oldest first', [callColumns], rows, empty)}${note}
${rows.some((row) => row.due_at) && html`<p>${verbButton(visit, 'retry_all', { filter: JSON.stringify(filter) })}</p>`}`;
}

/** @param {Visit} visit @param {string[]} destinations */
async function settled(visit, destinations) {
    const keys = 'result destination reason error_code';
    const { rows, note, isAll } = await list(visit, '/outbox', 'list_history', filterOf(visit.query, keys));
    const empty = isAll ? 'No call that fits was settled in the time that is kept.' : 'None fits so far.';
    const choices = { result: results, destination: destinations };
    return html`${filters(visit, '/outbox', keys, { choices, keep: { show: 'settled' } })}
${table(visit, 'Settled calls, the newest first', [callColumns], rows, empty)}${note}`;
}

/** @param {Visit} visit @param {string[]} destinations */
async function blocked(visit, destinations) {
    const { query, client } = visit;
    const { rows } = await client.query(
        `SELECT *, CASE reason WHEN 'paused' THEN reason ELSE state END AS status FROM seats.blocked_lanes
          WHERE ($1 = '' OR destination = $1) AND ($2 = '' OR reason = $2) ORDER BY since, call LIMIT $3`,
        [query.destination ?? '', query.reason ?? '', mostLanes + 1],
    );
    return html`${filters(visit, '/outbox', 'destination reason', { choices: { destination: destinations }, keep: { show: 'blocked' } })}
<p class="note">Their first call is neither on its way nor simply next. Some wait as designed: for a payment, or for Stripe's limit.</p>
${table(
    visit,
    'Lanes that do not move, the longest first',
    [
        'lane call:first_call status:state since until',
        ['wait behind it', ({ waiting_behind: n }) => count(n, n >= 1000)],
        'why what_to_do',
        [
            'do',
            ({ status, destination, lane }) =>
                verbButton(visit, status === 'paused' ? 'resume' : 'pause', { destination, lane }),
        ],
    ],
    rows.slice(0, mostLanes),
    'Every lane moves.',
)}${rows.length > mostLanes && notAll(`these ${mostLanes} have stood for longest. Choose a destination or a reason.`)}`;
}

const views = { open, blocked, settled };

/** @param {Visit} visit @returns {Promise<Page>} */
export async function outbox(visit) {
    const { client, query, link } = visit;
    const show = query.show === 'blocked' || query.show === 'settled' ? query.show : 'open';
    const { rows } = await client.query('SELECT name FROM seats.destinations ORDER BY name LIMIT 100');
    const part = await views[show](
        visit,
        rows.map(({ name }) => name),
    );
    const tabs = Object.entries({ open: 'Open', blocked: 'Blocked lanes', settled: 'Settled' }).map(
        ([name, title]) =>
            html`<a href="${link('/outbox', name === 'open' ? {} : { show: name })}"${name === show && html` aria-current="page"`}>${title}</a> `,
    );
    const body = html`<nav class="tabs" aria-label="Parts of the outbox">${tabs}</nav>${part}`;
    return { title: 'Outbox', place: '/outbox', body };
}
