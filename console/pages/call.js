// All of one call: what it means, what holds it back, its way through the states, its money.

import { html } from '../lib/html.js';
import { facts, notAll, table } from '../lib/parts.js';
import { verbButton } from '../lib/verbs.js';
import { count, tag, when, words } from '../lib/words.js';

/**
 * @import { Visit, Page } from '../app.js'
 * @import { Row } from '../lib/parts.js'
 */

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
function way(visit, { is_open: isOpen, state, attempts, requests, stripes_logs, ...page }) {
    const points = [
        { state: 'pending', at: page.created_at, what: `asked for by ${page.asked_for_by ?? page.enqueued_by}` },
        ...attempts.map((/** @type {Row} */ attempt) => ({
            ...attempt,
            state: /^(search|read object|read missing)/.test(attempt.purpose) ? 'verifying' : 'sending',
            at: attempt.answered_at,
            what: answered(attempt),
            stripes_logs,
        })),
        isOpen
            ? { state: state === 'carried' ? 'pending' : state, at: page.state_since, what: html`is now ${tag(state)}` }
            : { state: 'settled', at: page.settled_at, what: html`settled: ${tag(state)} ${words(page.proof)}` },
    ].map((point, place, all) => ({ ...point, before: all[place - 1]?.state, goesOn: place < all.length - 1 }));
    const heads = states.map(
        (name) => html`<text transform="translate(${across(name) + 4} 62) rotate(-55)">${name}</text>`,
    );
    /** @type {import('../lib/parts.js').Columns[]} */
    const columns = [
        ['state', track],
        ['at', ({ at }) => when(at)],
        'what http_status:HTTP duration_ms:took_ms request_id generation:key_no.',
    ];
    return html`<h2>Its way</h2>
${attempts.length >= 100 && requests > 100 && notAll(`the newest 100 of ${count(requests)} requests.`)}
<div class="way"><svg class="heads" width="${width * states.length + 30}" height="66" aria-hidden="true">${heads}</svg>
${table(visit, 'The way of the call through its states', columns, points, '')}</div>`;
}

/** Its seats before and after, and what they cost. @param {Visit} visit @param {Row} page */
export function seatsAndMoney(visit, { seats, costs_at_most, invoice, payment }) {
    const lines = Object.entries(seats ?? {}).map(([type, quantities]) => ({ type, ...quantities }));
    const money =
        'costs_at_most invoice amount:is_of paid:paid_of_it expires_at:to_be_paid_until shared:with_other_changes';
    const paid =
        'payment state intent amount received refunded refund_reserved:on_its_way_back disputed reference request:bill';
    return html`${
        lines.length > 0 &&
        html`<h2>Seats and money</h2>
${table(visit, 'Seats before and after', ['type previous_quantity:before new_quantity:after'], lines, '')}
${facts(visit, [money], { costs_at_most, ...invoice })}`
    }
${payment && html`<h2>Payment</h2>${facts(visit, [paid, 'review_reason:why_in_review review_since:since'], payment)}`}`;
}

/** @param {Row} line */
const seatsOf = ({ seat_type: type, previous_quantity: before, new_quantity: after }) => `${type} ${before} → ${after}`;

/** @param {Visit} visit @returns {Promise<Page>} */
export async function call(visit) {
    const { client, link, params } = visit;
    const number = /^\d{1,18}$/.test(params.call) ? params.call : '0';
    const page = /** @type {Row} */ ((await client.query('SELECT seats.call_page($1) AS page', [number])).rows[0].page);
    // Where Stripe's Dashboard has its requests, if it is Stripe that is asked.
    const { rows } = await client.query(
        `SELECT CASE WHEN livemode THEN 'https://dashboard.stripe.com/logs/' ELSE 'https://dashboard.stripe.com/test/logs/' END AS logs
           FROM seats.destinations WHERE name = $1 AND base_url = 'https://api.stripe.com'`,
        [page.destination],
    );
    page.stripes_logs = rows[0]?.logs;
    const { payment, handler, carried = [], held_back: obstacles = [], verbs = [] } = page;
    if (handler) handler.function ??= handler.on_done ?? handler.on_refused;
    const isInReview = page.state === 'review' || handler?.state === 'review' || payment?.review_since;
    const buttons = verbs.map(
        (/** @type {string} */ verb) => verb !== 'resolve_review' && verbButton(visit, verb, { call: number }),
    );
    const body = html`<div class="lead">${page.state && html`<p>${tag(page.state)}</p>`}
${page.explained.map((/** @type {string} */ line) => html`<p>${line}</p>`)}</div>
${isInReview && html`<p class="banner">A person must decide. <a href="${link(`/reviews/${number}`)}">To the review</a></p>`}
<p class="verbs">${buttons}${payment && verbButton(visit, 'reconcile_payment', { payment: payment.payment })}</p>
${obstacles.length > 0 && html`<h2>What holds it back</h2><ul>${obstacles.map((/** @type {string} */ line) => html`<li>${line}</li>`)}</ul>`}
${page.attempts && way(visit, page)}
${seatsAndMoney(visit, page)}
${
    handler &&
    html`<h2>Handler</h2><p class="note">The application's own function, which runs when this has ended.</p>
${facts(visit, ['state function role:runs_as tries next_try_at failed_at error error_code error_context review_since:in_review'], handler)}
<p>${handler.why}</p>`
}
${
    carried.length > 0 &&
    html`<h2>Changes that go along</h2>
${table(visit, 'Changes that go along', ['change', ['seats', ({ lines }) => lines.map(seatsOf).join(', ')], 'who:asked_by created_at:asked'], carried, '')}
${carried.length >= 100 && notAll('these are the first 100.')}`
}
${
    page.destination &&
    html`<h2>Facts</h2>${facts(
        visit,
        [
            'team lane destination path:request reason error error_code decline_code due_at:next_try doubt:may_have_been_executed',
            'carrier:went_with request_id idempotency_key generation:keys_used requests is_foreign:of_another_installation',
            'who:asked_by created_at:asked first_sent_at settled_at settled_by',
        ],
        page,
    )}`
}
<p class="more"><a href="${link('/journal', { call: number })}">What the journal says of ${number}</a></p>`;
    const what = { call: 'Call', payment: 'Payment' }[/** @type {'call'} */ (page.what)] ?? 'Number';
    return { title: `${what} ${number}`, place: '/outbox', body };
}
