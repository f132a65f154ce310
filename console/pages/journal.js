// Who did what, and what came of it.
import { html } from '../lib/html.js';
import { filterOf, filters, list, table } from '../lib/parts.js';
import { words } from '../lib/words.js';

/** @import { Columns, Page, Row, Visit } from '../types.d.ts' */

const keys = 'team call kind person actor role destination lane';
/** @type {Columns} */
const columns = ['at kind who whose:team_or_lane call reason', ['detail', ({ detail }) => details(detail)], 'number'];

/** @param {Row} detail */
function details({ team, person, ...detail }) {
    const short = Object.entries(detail).map(([key, value]) => `${words(key)} ${JSON.stringify(value)}`);
    const text = html`<pre>${JSON.stringify(detail, null, 2)}</pre>`;
    return short.length > 0 && html`<details><summary>${short.join(', ').slice(0, 60)}</summary>${text}</details>`;
}

/** @param {Visit} visit @param {Row[]} rows @param {string} empty */
export const entries = (visit, rows, empty) =>
    table(visit, 'Entries of the journal, the newest first', columns, rows, empty);

/** @param {Visit} visit @returns {Promise<Page>} */
export async function journal(visit) {
    const { rows, note, empty } = await list(visit, '/journal', 'search_journal', filterOf(visit.query, keys));
    const none = empty || 'Nothing that fits was written in the time that is kept.';
    const body = html`${filters(visit, '/journal', keys)}${entries(visit, rows, none)}${note}`;
    return { title: 'Journal', place: '/journal', body };
}
