// What waits for a person: a call that Stripe may or may not have executed, an application's function that fails, money that
// nobody expected. What speaks for what, and what each decision does.

import { html } from '../lib/html.js';
import { facts, list, notAll, table } from '../lib/parts.js';
import { count, words } from '../lib/words.js';

/**
 * @import { Visit, Page } from '../app.js'
 * @import { Row } from '../lib/parts.js'
 */

const most = 100;

/** @param {Visit} visit @returns {Promise<Page>} */
export async function reviews(visit) {
    const { client, link } = visit;
    /** @param {string} sql */
    const ask = async (sql) => (await client.query(`${sql} LIMIT ${most + 1}`)).rows;
    const calls = await list(visit, '/reviews', 'list_calls', { state: 'review' });
    const handlers = await ask('SELECT * FROM seats.handlers WHERE review_since IS NOT NULL ORDER BY call');
    const payments = await ask('SELECT * FROM seats.payments WHERE review_since IS NOT NULL ORDER BY review_since');
    /** @type {(caption: string, name: string, columns: string, rows: Row[], empty: string) => unknown} */
    const waiting = (caption, name, columns, rows, empty) =>
        html`<h2>${caption}</h2>${table(
            visit,
            caption,
            [
                ['decide', (row) => html`<a class="button" href="${link(`/reviews/${row[name]}`)}">${row[name]}</a>`],
                columns,
            ],
            rows.slice(0, most),
            empty,
        )}${rows.length > most && notAll(`these are the first ${most}.`)}`;
    return {
        title: 'Reviews',
        place: '/reviews',
        body: html`
${waiting('Calls', 'call', 'team state_since:since reason error path enqueued_by:asked_by', calls.rows, 'No call waits for a decision.')}${calls.note}
${waiting('Handlers', 'call', 'review_since:since function role error', handlers, 'No function of the application waits for a decision.')}
${waiting('Payments', 'payment', 'review_since:since review_reason:reason reference state', payments, 'No money waits for a decision.')}`,
    };
}

/** @param {Visit} visit @param {Row} page */
function evidence(visit, { attempts, evidence: { events, alerts, subscription } }) {
    const { drift = [], confirmed, ...read } = subscription ?? {};
    const seats = Object.entries(confirmed ?? {}).map(([type, number]) => `${number} ${type}`);
    return html`<h2>Evidence</h2>
${table(
    visit,
    'Requests that were made, the newest ten',
    ['answered_at purpose verdict reason http_status:HTTP request_id:Stripe’s_request error'],
    (attempts ?? []).slice(-10),
    'No request was made.',
)}
${table(visit, 'Events of Stripe’s that name its key', ['type object created outcome event'], events, 'Stripe has sent no event that names its key.')}
${subscription && facts(visit, ['subscription status read_at', ['seats at Stripe then', () => seats.join(', ')]], read)}
${drift.length > 0 && table(visit, 'What Stripe has otherwise', ['aspect local:here stripe:at_Stripe since cause:probably'], drift, '')}
${alerts.map((/** @type {Row} */ alert) => html`<p class="hint">${alert.summary}${alert.hint && html` <strong>${alert.hint}</strong>`}</p>`)}`;
}

/** @param {Visit} visit @param {Row} page */
function seatsAndMoney(visit, { team, seats, costs_at_most: cost, payment }) {
    const lines = Object.entries(seats ?? {}).map(([type, quantities]) => ({
        type,
        .../** @type {Row} */ (quantities),
    }));
    return html`${
        (team || lines.length > 0) &&
        html`<h2>Team and money</h2>${facts(visit, ['team'], { team })}
${table(visit, 'Seats before and after', ['type previous_quantity:before new_quantity:after'], lines, 'It changes no seats.')}`
    }
${cost && facts(visit, ['amount:costs_at_most', ['that is', () => 'for a whole period, before taxes']], cost)}
${payment && html`<h2>Money</h2>${facts(visit, ['payment intent amount received refunded disputed reference member_state:is'], payment)}`}`;
}

/** @param {Visit} visit @param {Row} page */
function decide({ link, may }, { call, what, decisions, decided_with: verb }) {
    if (!may.has(verb)) return html`<p class="note">This role may look, and not decide: ${verb} is an operator's.</p>`;
    const runs = decisions.some((/** @type {Row} */ { decision }) => decision === 'run');
    return html`<form action="${link(`/act/${verb}`)}" class="stack">
<input type="hidden" name="${what === 'payment' ? 'payment' : 'call'}" value="${call}">
<label>Reason, for the journal <textarea name="reason" required maxlength="1000" rows="3"></textarea></label>
${runs && html`<label>Function to run instead, for run <input name="function" maxlength="255" autocomplete="off"></label>`}
<ul class="decisions">${decisions.map((/** @type {Row} */ { decision, does }) => html`<li><button name="decision" value="${decision}">${words(decision)}</button> <span>${does}</span></li>`)}</ul>
<p class="note">Nothing is done yet: a page with what would be done comes next.</p>
</form>`;
}

/** @param {Visit} visit @returns {Promise<Page>} */
export async function review(visit) {
    const { client, link, params } = visit;
    const number = /^\d{1,18}$/.test(params.call) ? params.call : '0';
    const { rows } = await client.query('SELECT seats.review_page($1) AS page', [number]);
    const page = /** @type {Row} */ (rows[0].page);
    const isOpen = page.in_review !== null;
    return {
        title: isOpen ? `Review of ${page.in_review} ${number}` : `Nobody has to decide about ${number} any more`,
        place: '/reviews',
        isFixed: isOpen,
        body: html`${isOpen && html`<p class="banner bad">${words(page.why)}${page.error && `: ${page.error}`}</p>`}
${page.explained.map((/** @type {string} */ line) => html`<p>${line}</p>`)}
${facts(visit, ['state team destination lane path asked_for_by enqueued_by created_at:asked first_sent_at:first_sent requests idempotency_key request_id'], page)}
<p><a href="${link(`/calls/${number}`)}">All of ${page.what} ${number}</a></p>
${seatsAndMoney(visit, page)}
${isOpen && evidence(visit, page)}
${isOpen && html`<h2>Decision</h2>${decide(visit, page)}`}
${page.carried?.length > 0 && html`<p class="note">${count(page.carried.length)} other changes went along: they are decided with it.</p>`}`,
    };
}
