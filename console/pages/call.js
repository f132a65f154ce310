// All of one call: what it means, what holds it back, its way through the states, its money.
import { html } from '../lib/html.js';
import { facts, notAll, numberOf, table } from '../lib/parts.js';
import { verbButton } from '../lib/verbs.js';
import { count, tag, words } from '../lib/words.js';

/** @import { Page, Row, Visit } from '../types.d.ts' */

const states = ['pending', 'sending', 'waiting', 'verifying', 'awaiting', 'review', 'settled'];
const width = 18;
/** @param {string} state */
const across = (state) => width * (states.indexOf(state) + 0.5);

/** A step of the way: down from the state before, across to this one, and down again. @param {Row} point */
function track({ before, state, goesOn }) {
    const [from, to, y] = [across(before ?? state), across(state), 14];
    return html`<svg class="track" width="${width * states.length}" height="100%" aria-hidden="true">
${before && html`<path d="M${from} 0V${y}H${to}"/>`}${goesOn && html`<line x1="${to}" x2="${to}" y1="${y}" y2="100%"/>`}
<circle cx="${to}" cy="${y}" r="5" class="${state}"/></svg><span class="hidden">${state}</span>`;
}

/** @param {Row} attempt */
const answered = ({ purpose, verdict, reason, replayed, sent, error }) =>
    html`${purpose}: ${tag(verdict)} ${words(reason)}${replayed && ', a replay'}${sent === false && ', it never left'}
${error && html`<p class="hint">${error}</p>`}`;

/**
 * Its requests in their order, on the states: when it was asked for, each request with what its answer meant, and where it is
 * now. What was between two requests is not known, so there is only a line.
 * @param {Visit} visit @param {Row} page
 */
export function way(visit, { is_open: isOpen, state, attempts, requests, stripes_logs, ...page }) {
    const points = [
        { state: 'pending', at: page.created_at, what: `asked for by ${page.asked_for_by ?? page.enqueued_by}` },
        ...attempts.map((/** @type {Row} */ attempt) => {
            const verifies = /^(search|read object|read missing)/.test(attempt.purpose);
            const of = { state: verifies ? 'verifying' : 'sending', at: attempt.answered_at, what: answered(attempt) };
            return { ...attempt, ...of, stripes_logs };
        }),
        isOpen
            ? { state: state === 'carried' ? 'pending' : state, at: page.state_since, what: html`is now ${tag(state)}` }
            : { state: 'settled', at: page.settled_at, what: html`settled: ${tag(state)} ${words(page.proof)}` },
    ].map((point, place, all) => ({ ...point, before: all[place - 1]?.state, goesOn: place < all.length - 1 }));
    const head = (/** @type {string} */ name) =>
        html`<text transform="translate(${across(name) + 4} 62) rotate(-55)">${name}</text>`;
    return html`<h2>Its way</h2>
${attempts.length >= 100 && requests > 100 && notAll(`the newest 100 of ${count(requests)} requests.`)}
<div class="way"><svg class="heads" width="${width * states.length + 30}" height="66" aria-hidden="true">${states.map(head)}</svg>
${table(visit, 'The way of the call through its states', [['state', track], 'at what http_status:HTTP duration_ms:took_ms request_id generation:key_no.'], points, '')}</div>`;
}

/** Its seats before and after, and what they cost. @param {Visit} visit @param {Row} page */
export function seatsAndMoney(visit, { seats, costs_at_most, invoice, payment }) {
    const lines = Object.entries(seats ?? {}).map(([type, quantities]) => ({ type, ...quantities }));
    return html`${lines.length > 0 && html`<h2>Seats and money</h2>`}
${table(visit, 'Seats before and after', 'type previous_quantity:before new_quantity:after', lines, '')}
${facts(visit, 'costs_at_most invoice amount:is_of paid:paid_of_it expires_at:to_be_paid_until shared:with_other_changes', { costs_at_most, ...invoice })}
${payment && html`<h2>Payment</h2>`}
${facts(visit, 'payment state intent amount received refunded refund_reserved:on_its_way_back disputed reference request:bill review_reason:why_in_review review_since:since', payment ?? {})}`;
}

// Where Stripe's Dashboard has the requests to a destination, if it is Stripe that is asked there.
const dashboardSql = `
    SELECT 'https://dashboard.stripe.com/' || CASE WHEN livemode THEN 'logs/' ELSE 'test/logs/' END AS stripes_logs
      FROM seats.destinations WHERE name = $1 AND base_url = 'https://api.stripe.com'`;

/** @param {Row} line */
const seatsOf = ({ seat_type: type, previous_quantity: before, new_quantity: after }) => `${type} ${before} → ${after}`;

/** @param {Visit} visit @returns {Promise<Page>} */
export async function call(visit) {
    const { ask, link, params } = visit;
    const call = numberOf(params.call) ?? '0';
    const [{ page }] = await ask('SELECT seats.call_page($1) AS page', call);
    Object.assign(page, ...(await ask(dashboardSql, page.destination)));
    const { payment, handler, carried = [], held_back: obstacles = [], verbs = [] } = page;
    if (handler) handler.function ??= handler.on_done ?? handler.on_refused;
    const isInReview = page.state === 'review' || handler?.state === 'review' || payment?.review_since;
    const verb = (/** @type {string} */ name) => name !== 'resolve_review' && verbButton(visit, name, { call });
    const paragraph = (/** @type {string} */ line) => html`<p>${line}</p>`;
    const body = html`<div class="lead">${page.state && html`<p>${tag(page.state)}</p>`}${page.explained.map(paragraph)}</div>
${isInReview && html`<p class="banner">A person must decide. <a href="${link(`/reviews/${call}`)}">To the review</a></p>`}
<p class="verbs">${verbs.map(verb)}${payment && verbButton(visit, 'reconcile_payment', { payment: payment.payment })}</p>
${obstacles.length > 0 && html`<h2>What holds it back</h2>${obstacles.map(paragraph)}`}
${page.attempts && way(visit, page)}
${seatsAndMoney(visit, page)}
${handler && html`<h2>Handler</h2><p class="note">The application's own function, which runs when this has ended. ${handler.why}</p>`}
${facts(visit, 'state function role:runs_as tries next_try_at failed_at error error_code error_context review_since:in_review', handler ?? {})}
${carried.length > 0 && html`<h2>Changes that go along</h2>`}
${table(visit, 'Changes that go along', ['change', ['seats', ({ lines }) => lines.map(seatsOf).join(', ')], 'who:asked_by created_at:asked'], carried, '')}
${carried.length >= 100 && notAll('these are the first 100.')}
${page.destination && html`<h2>Facts</h2>`}
${facts(visit, 'team lane destination path:request reason error error_code decline_code due_at:next_try doubt:may_have_been_executed carrier:went_with request_id idempotency_key generation:keys_used requests is_foreign:of_another_installation who:asked_by created_at:asked first_sent_at settled_at settled_by', page)}
<p class="more"><a href="${link('/journal', { call })}">What the journal says of ${call}</a></p>`;
    const title =
        { call: `Call ${call}`, payment: `Payment ${call}` }[/** @type {'call'} */ (page.what)] ?? `Number ${call}`;
    return { title, place: '/outbox', body };
}
