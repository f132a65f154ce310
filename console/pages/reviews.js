// What waits for a person: a call that Stripe may or may not have executed, an application's function that fails, money that
// nobody expected. What speaks for what, and what each decision does.
import { html } from '../lib/html.js';
import { facts, list, numberOf, reasonField, table } from '../lib/parts.js';
import { count, words } from '../lib/words.js';
import { seatsAndMoney, way } from './call.js';

/** @import { Page, Row, Visit } from '../types.d.ts' */

const most = 100;

/** @param {Visit} visit @returns {Promise<Page>} */
export async function reviews(visit) {
    const { ask, link } = visit;
    const calls = await list(visit, '/reviews', 'list_calls', { state: 'review' });
    /** @param {string} view @param {string} order */
    const waiting = (view, order) =>
        ask(`SELECT * FROM ${view} WHERE review_since IS NOT NULL ORDER BY ${order} LIMIT ${most + 1}`);
    /** @param {string} title @param {string} key @param {string} columns @param {Row[]} rows */
    const section = (title, key, columns, rows) => html`<h2>${title}</h2>
${table(visit, title, [['decide', (row) => html`<a class="button" href="${link(`/reviews/${row[key]}`)}">${row[key]}</a>`], columns], rows, 'None waits for a decision.', most)}`;
    const body = html`${section('Calls', 'call', 'team state_since:since reason error path enqueued_by:asked_by', calls.rows)}${calls.note}
${section('Handlers', 'call', 'review_since:since function role error', await waiting('seats.handlers', 'call'))}
${section('Payments', 'payment', 'review_since:since review_reason:reason reference state', await waiting('seats.payments', 'review_since'))}`;
    return { title: 'Reviews', place: '/reviews', body };
}

/** @param {Visit} visit @param {Row} page */
function evidence(visit, page) {
    const { events, alerts, subscription } = page.evidence;
    const { drift = [], confirmed = {}, ...read } = subscription ?? {};
    const seats = Object.entries(confirmed).map(([type, number]) => `${number} ${type}`);
    return html`${seatsAndMoney(visit, page)}
<h2>Evidence</h2>
${facts(visit, 'team subscription status read_at seats_that_were_read', { team: page.team, ...read, seats_that_were_read: seats.join(', ') })}
${table(visit, 'What Stripe has otherwise', 'aspect local:here stripe:at_Stripe since cause:probably', drift, '')}
${table(visit, 'Events of Stripe’s that name its key', 'type object created outcome event', events, 'Stripe has sent no event that names its key.')}
${alerts.map((/** @type {Row} */ alert) => html`<p class="hint">${alert.summary}. ${alert.hint}</p>`)}
${page.attempts && way(visit, page)}`;
}

/** @param {Visit} visit @param {Row} page */
function decide({ link, may }, { call, what, decisions, carried = [], decided_with: verb }) {
    if (!may.has(verb)) return html`<p class="note">This role may look, and not decide: ${verb} is an operator's.</p>`;
    const runs = decisions.some((/** @type {Row} */ { decision }) => decision === 'run');
    return html`<form action="${link(`/act/${verb}`)}" class="stack">
<input type="hidden" name="${what === 'payment' ? 'payment' : 'call'}" value="${call}">
${reasonField()}
${runs && html`<label>Function to run instead, for run <input name="function" maxlength="255" autocomplete="off"></label>`}
<ul class="decisions">${decisions.map((/** @type {Row} */ { decision, does }) => html`<li><button name="decision" value="${decision}">${words(decision)}</button> <span>${does}</span></li>`)}</ul>
<p class="note">Nothing is done yet: a page with what would be done comes next.${carried.length > 0 && ` ${count(carried.length)} other changes went along, and are decided with it.`}</p>
</form>`;
}

/** @param {Visit} visit @returns {Promise<Page>} */
export async function review(visit) {
    const { ask, link, params } = visit;
    const number = numberOf(params.call) ?? '0';
    const [{ page }] = await ask('SELECT seats.review_page($1) AS page', number);
    const isOpen = page.in_review !== null;
    const body = html`${isOpen && html`<p class="banner bad">${words(page.why)}${page.error && `: ${page.error}`}</p>`}
<div class="lead">${page.explained.map((/** @type {string} */ line) => html`<p>${line}</p>`)}</div>
<p><a href="${link(`/calls/${number}`)}">All of ${page.what} ${number}</a></p>
${isOpen && html`${evidence(visit, page)}<h2>Decision</h2>${decide(visit, page)}`}`;
    const title = isOpen ? `Review of ${page.in_review} ${number}` : `Nobody has to decide about ${number} any more`;
    return { title, place: '/reviews', isFixed: isOpen, body };
}
