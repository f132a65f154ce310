// What pages are made of: tables, facts, filters, lists that go on.

import { html } from './html.js';
import { age, count, money, tag, when, words } from './words.js';

/**
 * @import { Visit } from '../app.js'
 * @typedef {Record<string, any>} Row  of any view or list: what has the same name is the same everywhere
 * @typedef {(visit: Visit, row: Row, name: string) => unknown} Show
 * @typedef {string | [label: string, cell: (row: Row) => unknown]} Columns
 *   'call state state_since:since': fields, and what they are called where that is something else
 */

/** @type {Show} */
const callLink = ({ link }, row, name) => html`<a href="${link(`/calls/${row[name]}`)}">${row[name]}</a>`;
/** @type {Show} */
const laneLink = ({ link }, { destination, lane }) =>
    html`<a href="${link('/outbox', { destination, lane })}"><code>${lane}</code></a>`;
/** @type {Show} */
const teamLink = ({ link }, { team }) => html`<a href="${link(`/teams/${encodeURIComponent(team)}`)}">${team}</a>`;
/** @type {Show} */
const sum = (_visit, row, name) => money(row[name], row.currency, row.currency_decimals);

/** How fields are shown that are not what they seem. @type {[names: string, show: Show][]} */
const kinds = [
    ['call change carrier oldest_call', callLink],
    ['team', teamLink],
    ['lane', laneLink],
    ['state status severity verdict result', (_visit, row, name) => tag(row[name])],
    ['reason cause proof settled_by breaker collection_method kind', (_visit, row, name) => words(row[name])],
    [
        'subscription customer intent account request_id idempotency_key installation function error_code code invoice',
        code,
    ],
    ['since state_since due_at next_try_at until first_seen_at proven_at last_loop_at counted_at oldest_at', relative],
    ['amount paid received refunded refund_reserved disputed', sum],
    ['alert pid payment invite number generation', (_visit, row, name) => row[name]],
    ['path', (_visit, { method, path }) => html`<code>${method} ${path}</code>`],
];

/** @type {Show} */
function code(_visit, row, name) {
    return html`<code>${row[name]}</code>`;
}

/** @type {Show} */
function relative(_visit, row, name) {
    return age(row[name]);
}

/** What is made of several fields. @type {Record<string, Show>} */
const together = {
    whose: (visit, row, name) => (row.team ? teamLink(visit, row, name) : row.lane && laneLink(visit, row, name)),
    why: (_visit, { reason, error }) => html`${words(reason)}${error && html`<p class="hint">${error}</p>`}`,
    who: (_visit, row) => [row.person, row.actor, row.role ?? row.enqueued_by].filter(Boolean).join(' · '),
};

/** @type {Show} */
function shown(visit, row, name) {
    if (together[name]) return together[name](visit, row, name);
    const value = row[name];
    if (value === null || value === undefined || value === '' || value === false) return '';
    const kind = kinds.find(([names]) => names.split(' ').includes(name));
    if (kind) return kind[1](visit, row, name);
    if (name.endsWith('_at')) return when(value);
    if (value === true) return 'yes';
    return /^-?\d+$/.test(value) ? count(value) : value;
}

/** @param {Visit} visit @param {Columns[]} columns @param {Row} row */
const cellsOf = (visit, columns, row) =>
    columns
        .flatMap((column) => /** @type {Columns[]} */ (typeof column === 'string' ? column.split(' ') : [column]))
        .map((column) => {
            if (typeof column !== 'string') return { label: column[0], cell: html`${column[1](row)}`, kind: '' };
            const [name, label = name] = column.split(':');
            const isNumber = /^[-\d]+$/.test(row[name] ?? 'none');
            return { label: words(label), cell: html`${shown(visit, row, name)}`, kind: isNumber ? 'number' : '' };
        });

/**
 * Columns in which nothing stands are left out. On a narrow screen each row is a card, whose lines have the columns' names.
 * @param {Visit} visit @param {string} caption  read out, not shown
 * @param {Columns[]} columns @param {Row[]} rows
 * @param {unknown} empty  what it means that there are none
 */
export function table(visit, caption, columns, rows, empty) {
    const lines = rows.map((row) => cellsOf(visit, columns, row));
    if (lines.length === 0) return html`<p class="empty">${empty}</p>`;
    const places = lines[0]
        .map((_, place) => place)
        .filter((place) => lines.some((line) => line[place].cell.text !== ''));
    const kindOf = (/** @type {number} */ place) => (lines.some((line) => line[place].kind) ? 'number' : '');
    return html`<table><caption>${caption}</caption>
<thead><tr>${places.map((place) => html`<th scope="col" class="${kindOf(place)}">${lines[0][place].label}</th>`)}</tr></thead>
<tbody>${lines.map(
        (line) => html`
<tr>${places.map((place) => html`<td class="${kindOf(place)}" data-name="${line[place].label}">${line[place].cell}</td>`)}</tr>`,
    )}
</tbody></table>`;
}

/** What is known of one row. @param {Visit} visit @param {Columns[]} columns @param {Row} row */
export const facts = (visit, columns, row) =>
    html`<dl class="facts">${cellsOf(visit, columns, row).map(({ label, cell }) => cell.text !== '' && html`<div><dt>${label}</dt><dd>${cell}</dd></div>`)}</dl>`;

/** @param {unknown} text  why a list is not the whole */
export const notAll = (text) => html`<p class="more"><strong>Not all:</strong> ${text}</p>`;

/** What of the query is a filter here; nothing else goes to the database. @param {Visit['query']} query @param {string} keys */
export const filterOf = (query, keys) =>
    Object.fromEntries(
        keys
            .split(' ')
            .filter((key) => query[key])
            .map((key) => [key, query[key]]),
    );

/**
 * @param {Visit} visit @param {string} path
 * @param {string} keys  as filterOf
 * @param {{choices?: Record<string, string[]>, keep?: Record<string, string>}} [more]
 *   choices: values of keys that are chosen from a list; keep: what else the address says
 */
export function filters({ link, query }, path, keys, { choices = {}, keep = {} } = {}) {
    /** @param {string} key */
    const field = (key) => {
        if (!choices[key]) return html`<input name="${key}" value="${query[key]}" maxlength="255" autocomplete="off">`;
        const values = [...new Set([...choices[key], query[key]])].filter(Boolean);
        const options = values.map(
            (value) => html`<option${value === query[key] && html` selected`}>${value}</option>`,
        );
        return html`<select name="${key}"><option value="">any</option>${options}</select>`;
    };
    return html`<form class="filters" action="${link(path)}" role="search">
${Object.entries(keep).map(([key, value]) => html`<input type="hidden" name="${key}" value="${value}">`)}
${keys.split(' ').map((key) => html`<label>${words(key)} ${field(key)}</label>`)}
<button>Show</button>${Object.keys(filterOf(query, keys)).length > 0 && html` <a href="${link(path, keep)}">Show all</a>`}
</form>`;
}

/**
 * A page of a list of the database's: its rows, and a note where they may not be all.
 * @param {Visit} visit @param {string} path
 * @param {'list_calls' | 'list_history' | 'search_journal'} name
 * @param {Record<string, string>} filter @param {number} [most]
 */
export async function list({ client, query, link }, path, name, filter, most = 50) {
    const key = name === 'list_calls' ? 'after' : 'before';
    const { [key]: asked = '', ...kept } = query;
    const from = /^\d{1,18}$/.test(asked) ? asked : null;
    const values = [filter, from ?? (key === 'after' ? 0 : null), most];
    const { rows } = await client.query(`SELECT * FROM seats.${name}($1, $2, $3)`, values);
    // (The last row may be none: it says how far was looked.)
    const lookedTo = rows.at(-1)?.looked_to ?? null;
    if (lookedTo !== null) rows.pop();
    const note = html`${from && html`<p class="more">From number ${from} on. <a href="${link(path, kept)}">To the beginning</a></p>`}${
        lookedTo !== null &&
        notAll(
            html`${rows.length > 0 ? 'there may be more' : 'nothing that fits'} beyond number ${lookedTo}. <a href="${link(path, { ...kept, [key]: lookedTo })}">Go on from there</a>`,
        )
    }`;
    return { rows, note, isAll: lookedTo === null };
}
