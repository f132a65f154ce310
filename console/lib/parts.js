// What pages are made of: tables, facts, filters, lists that go on.
import { html } from './html.js';
import { age, choices as known, count, money, tag, when, words } from './words.js';

/** @import { Columns, Made, Row, Visit } from '../types.d.ts' */

/** @param {string} id */
const code = (id) => html`<code>${id}</code>`;

/** How fields are shown that are not what they seem. @type {Record<string, (value: any, row: Row, visit: Visit) => unknown>} */
const kinds = {
    'call change carrier oldest_call': (call, _, { link }) => html`<a href="${link(`/calls/${call}`)}">${call}</a>`,
    team: (team, _, { link }) => html`<a href="${link(`/teams/${encodeURIComponent(team)}`)}">${team}</a>`,
    lane: (lane, { destination }, { link }) =>
        html`<a href="${link('/outbox', { destination, lane })}">${code(lane)}</a>`,
    path: (path, { method }) => code(`${method} ${path}`),
    'subscription customer intent account idempotency_key installation function error_code code invoice event object event_id object_id an_event':
        code,
    request_id: (id, { stripes_logs: logs }) =>
        logs ? html`<a href="${logs}${encodeURIComponent(id)}" rel="noreferrer">${code(id)}</a>` : code(id),
    error_context: (text) => html`<pre>${text}</pre>`,
    costs_at_most: (cost) => `${money(cost.amount, cost)} for a whole period, before taxes`,
    'amount paid received refunded refund_reserved disputed': money,
    'state status severity verdict result': tag,
    'reason cause proof settled_by breaker collection_method purpose outcome review_reason': words,
    'since state_since due_at next_try_at until first_seen_at proven_at last_loop_at oldest_at expires_at': age,
    'alert pid payment invite number generation': String,
};
/** What is made of several. @type {typeof kinds} */
const several = {
    whose: (_, row, visit) =>
        row.team ? kinds.team(row.team, row, visit) : row.lane && kinds.lane(row.lane, row, visit),
    why: (_, { reason, error }) => html`${words(reason)}${error && html`<p class="hint">${error}</p>`}`,
    who: (_, row) => [row.person, row.actor, row.role ?? row.enqueued_by].filter(Boolean).join(' · '),
};
const kindOf = new Map(Object.entries(kinds).flatMap(([names, show]) => names.split(' ').map((name) => [name, show])));

/** @param {Visit} visit @param {Row} row @param {string} name */
function shown(visit, row, name) {
    const value = row[name];
    if (Object.hasOwn(several, name)) return several[name](value, row, visit);
    if (value === null || value === undefined || value === '' || value === false) return '';
    const show = kindOf.get(name) ?? (value instanceof Date || /(^|_)at$/.test(name) ? when : null);
    return show ? show(value, row, visit) : value === true ? 'yes' : /^-?\d+$/.test(value) ? count(value) : value;
}

/** @param {Visit} visit @param {Columns} columns @param {Row} row */
const cellsOf = (visit, columns, row) =>
    /** @type {(string | Made)[]} */ (Array.isArray(columns) ? columns : [columns])
        .flatMap((column) => (typeof column === 'string' ? column.split(' ') : /** @type {any} */ ([column])))
        .map((/** @type {string | Made} */ column) => {
            const [name, label = name] = typeof column === 'string' ? column.split(':') : ['', column[0]];
            const cell = html`${typeof column === 'string' ? shown(visit, row, name) : column[1](row)}`;
            const isLong = /\S{32}/.test(cell.text.replace(/<[^>]*>/g, ''));
            const isNumber = /^-?\d+$/.test(row[name] ?? '') || /^[\d,]+\+?$/.test(cell.text);
            const kind = isNumber ? 'number' : isLong ? 'long' : 'short';
            return { label: words(label), cell, kind };
        });

/** @param {unknown} text  why a list is not the whole */
export const notAll = (text) => html`<p class="more"><strong>Not all:</strong> ${text}</p>`;

/**
 * Columns in which nothing stands are left out. On a narrow screen each row is a card, whose lines have the columns' names.
 * @param {Visit} visit @param {string} caption  read out, not shown
 * @param {Columns} columns @param {Row[]} rows
 * @param {unknown} empty  what it means that there are none
 * @param {number} [most]  if there is one more, it is said that these are not all
 */
export function table(visit, caption, columns, rows, empty, most = rows.length) {
    const lines = rows.slice(0, most).map((row) => cellsOf(visit, columns, row));
    if (lines.length === 0) return empty && html`<p class="empty">${empty}</p>`;
    const places = lines[0].map((_, place) => place).filter((place) => lines.some((line) => line[place].cell.text));
    const heads = places.map((at) => {
        const isNumber = lines.some((line) => line[at].kind === 'number');
        return html`<th scope="col" class="${isNumber ? 'number' : 'short'}">${lines[0][at].label}</th>`;
    });
    /** @param {ReturnType<typeof cellsOf>[0]} cell */
    const td = ({ kind, label, cell }) => html`<td class="${kind}" data-name="${label}">${cell}</td>`;
    const body = lines.map((line) => html`<tr>${places.map((at) => td(line[at]))}</tr>\n`);
    return html`<table><caption>${caption}</caption><thead><tr>${heads}</tr></thead>
<tbody>${body}</tbody></table>${rows.length > most && notAll(`these are the first ${most}.`)}`;
}

/** What is known of one row. @param {Visit} visit @param {Columns} columns @param {Row} row */
export const facts = (visit, columns, row) => {
    const known = cellsOf(visit, columns, row).filter(({ cell }) => cell.text);
    const list = known.map(({ label, cell }) => html`<div><dt>${label}</dt><dd>${cell}</dd></div>`);
    return list.length > 0 && html`<dl class="facts">${list}</dl>`;
};

/** What an address calls a number; null: it is none. @param {string} text */
export const numberOf = (text) => (/^\d{1,18}$/.test(text) ? text : null);

/** What every verb wants. @param {string} [reason] that was given already */
export const reasonField = (reason = '') =>
    html`<label>Reason, for the journal <textarea name="reason" required maxlength="1000" rows="3">${reason}</textarea></label>`;

/** What of the query is a filter here; nothing else goes to the database. @param {Row} query @param {string} keys */
export const filterOf = (query, keys) =>
    Object.fromEntries(keys.split(' ').flatMap((key) => (query[key] ? [[key, query[key]]] : [])));

/**
 * @param {Visit} visit @param {string} path @param {string} keys  as filterOf
 * @param {{choices?: Record<string, string[]>, keep?: Record<string, string>}} [more]
 *   choices: values, beside those of words.json, of keys that are chosen from a list; keep: what else the address says
 */
export function filters({ link, query }, path, keys, { choices = {}, keep = {} } = {}) {
    /** @param {string} key */
    const field = (key) => {
        const offered = choices[key] ?? known[key];
        if (!offered) return html`<input name="${key}" value="${query[key]}" maxlength="255" autocomplete="off">`;
        const values = [...new Set([...offered, query[key] ?? ''])].filter(Boolean);
        const isChosen = (/** @type {string} */ value) => value === query[key] && html` selected`;
        const options = values.map((value) => html`<option${isChosen(value)}>${value}</option>`);
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
 * @param {Visit} visit @param {string} path @param {'list_calls' | 'list_history' | 'search_journal'} name
 * @param {Record<string, string>} filter @param {number} [most]
 */
export async function list({ ask, query, link }, path, name, filter, most = 50) {
    const key = name === 'list_calls' ? 'after' : 'before';
    const { [key]: asked = '', ...kept } = query;
    const from = numberOf(asked);
    const start = from ?? (key === 'after' ? 0 : null);
    const rows = await ask(`SELECT * FROM seats.${name}($1, $2, $3)`, filter, start, most);
    // (The last row may be none: it says how far was looked.)
    const lookedTo = rows.at(-1)?.looked_to ?? null;
    if (lookedTo !== null) rows.pop();
    const note = html`${from && html`<p class="more">From number ${from} on. <a href="${link(path, kept)}">To the beginning</a></p>`}
${lookedTo !== null && notAll(html`${rows.length > 0 ? 'there may be more' : 'nothing that fits'} beyond number ${lookedTo}. <a href="${link(path, { ...kept, [key]: lookedTo })}">Go on from there</a>`)}`;
    return { rows, note, empty: lookedTo !== null && 'None fits so far.' };
}
