// All of one call: what it means, what holds it back, its way through the states, its money.

import { html } from '../lib/html.js';
import { facts, notAll, table } from '../lib/parts.js';
import { verbButton } from '../lib/verbs.js';
import { count, money, tag, when, words } from '../lib/words.js';

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
    return html`<svg class="track" width="${width * states.length}" height="100%" aria-hidden="true">${
        before && html`<path d="M${from} 0V${y}H${to}"/>`
    }${goesOn && html`<line x1="${to}" x2="${to}" y1="${y}" y2="100%"/>`}<circle cx="${to}" cy="${y}" r="5" class="${state}"/></svg><span class="hidden">${state}</span>`;
}

/**
 * Its requests in their order, on the states: when it was asked for, each request with what its answer meant, and where it is
 * now. What was between two requests is not known, so there is only a line.
 * @param {Visit} visit @param {Row} page
 */
function way(visit, page) {
    const { is_open: isOpen, state, attempts, created_at: createdAt } = page;
    const end = isOpen
        ? { state: state === 'carried' ? 'pending' : state, at: page.state_since, what: html`is now ${tag(state)}` }
        : { state: 'settled', at: page.settled_at, what: html`settled: ${tag(state)} ${words(page.proof ?? '')}` };
    const points = [
        { state: 'pending', at: createdAt, what: `asked for by ${page.asked_for_by ?? page.enqueued_by}` },
        ...attempts.map((/** @type {Row} */ { verdict, reason, error, replayed, sent, ...attempt }) => ({
            ...attempt,
            state: /^(search|read object|read missing)/.test(attempt.purpose) ? 'verifying' : 'sending',
            at: attempt.answered_at,
            what: html`${attempt.purpose}: ${tag(verdict)} ${words(reason)}${replayed && ', a replay'}${sent === false && ', it never left'}${error && html`<p class="hint">${error}</p>`}`,
        })),
        end,
    ].map((point, place, all) => ({ ...point, before: all[place - 1]?.state, goesOn: place < all.length - 1 }));
    const heads = states.map(
        (name) => html`<text transform="translate(${across(name) + 4} 62) rotate(-55)">${name}</text>`,
    );
    return html`${attempts.length >= 100 && page.requests > 100 && notAll(`the newest 100 of ${count(page.requests)} requests.`)}
<div class="way"><svg class="heads" width="${width * states.length + 30}" height="66" aria-hidden="true">${heads}</svg>
${table(
    visit,
    'The way of the call through its states',
    [
        ['state', track],
        ['at', ({ at }) => when(at)],
        ['what', ({ what }) => what],
        'http_status:HTTP duration_ms:took_ms',
        ["Stripe's request", ({ request_id: request }) => stripeRequest(page, request)],
        ['under key', ({ generation }) => page.generation > 1 && generation],
    ],
    points,
    '',
)}</div>`;
}

/** In Stripe's Dashboard, where it is Stripe that was asked. @param {Row} page @param {string | undefined} request */
function stripeRequest({ stripe }, request) {
    const shown = request && html`<code>${request}</code>`;
    if (stripe?.base_url !== 'https://api.stripe.com' || !/^req_\w+$/.test(request ?? '')) return shown;
    const logs = `https://dashboard.stripe.com${stripe.livemode ? '' : '/test'}/logs/`;
    return html`<a href="${logs}${request}" rel="noreferrer">${shown}</a>`;
}

/** @param {Row} line */
const seatsOf = ({ seat_type: type, previous_quantity: before, new_quantity: after }) =>
    html`${type} ${before} → ${after} `;

/** @param {Visit} visit @returns {Promise<Page>} */
export async function call(visit) {
    const { client, link, params } = visit;
    const number = /^\d{1,18}$/.test(params.call) ? params.call : '0';
    const { page } = (await client.query('SELECT seats.call_page($1) AS page', [number])).rows[0];
    const destination = "SELECT base_url, livemode FROM seats.destinations WHERE name = $1 AND kind = 'stripe'";
    [page.stripe] = (await client.query(destination, [page.destination])).rows;
    const { seats, costs_at_most: costs, invoice, payment, handler, carried } = page;
    const isInReview = page.state === 'review' || handler?.state === 'review' || payment?.review_since;
    const what = { call: 'Call', payment: 'Payment', other: 'Number' }[/** @type {'call'} */ (page.what)];
    const body = html`
<div class="lead">${page.state && html`<p>${tag(page.state)}</p>`}${page.explained.map((/** @type {string} */ line) => html`<p>${line}</p>`)}</div>
${isInReview && html`<p class="banner bad">A person must decide. <a href="${link(`/reviews/${number}`)}">To the review</a></p>`}
<p class="verbs">${(page.verbs ?? []).map((/** @type {string} */ verb) => verb !== 'resolve_review' && verbButton(visit, verb, { call: number }))}${payment && verbButton(visit, 'reconcile_payment', { payment: payment.payment })}</p>
${page.held_back?.length > 0 && html`<h2>What holds it back</h2><ul>${page.held_back.map((/** @type {string} */ line) => html`<li>${line}</li>`)}</ul>`}
${page.attempts && html`<h2>Its way</h2>${way(visit, page)}`}
${
    seats &&
    html`<h2>Seats and money</h2>${table(
        visit,
        'Seats that it changes',
        ['type previous_quantity:before new_quantity:after'],
        Object.entries(seats).map(([type, quantities]) => ({ type, ...quantities })),
        '',
    )}${facts(
        visit,
        [
            [
                'costs at most',
                () =>
                    costs &&
                    `${money(costs.amount, costs.currency, costs.currency_decimals)} for a whole period, before taxes`,
            ],
            'invoice amount:is_of paid:paid_of_it expires_at:to_be_paid_until',
            ['shared', () => invoice?.shared && 'other changes went in the same call: the amount is for all of them'],
        ],
        invoice ?? {},
    )}`
}
${payment && html`<h2>Payment</h2>${facts(visit, ['payment state intent amount received refunded refund_reserved:on_its_way_back disputed reference request:of_the_bill review_since:in_review_since', ['why', () => words(payment.review_reason)]], payment)}`}
${
    handler &&
    html`<h2>Handler</h2><p class="note">The application's own function, which runs when this has ended.</p>
${facts(visit, ['state', ['function', () => html`<code>${handler.function ?? handler.on_done ?? handler.on_refused}</code>`], 'role:runs_as tries next_try_at failed_at error error_code', ['where', () => handler.error_context && html`<pre>${handler.error_context}</pre>`], ['a person must', () => handler.why]], handler)}`
}
${
    carried?.length > 0 &&
    html`<h2>Changes that go along</h2>${table(visit, 'Changes that go along', ['change', ['seats', ({ lines }) => lines.map(seatsOf)], 'who:asked_by created_at:asked'], carried, '')}
${carried.length >= 100 && notAll('these are the first 100.')}`
}
${page.destination && html`<h2>Facts</h2>${facts(visit, ['team lane destination path:request reason error error_code decline_code due_at:next_try doubt:may_have_been_executed carrier:went_with', ["Stripe's request", () => stripeRequest(page, page.request_id)], 'idempotency_key generation:keys_used requests is_foreign:of_another_installation who:asked_by created_at:asked first_sent_at settled_at settled_by'], page)}`}
<p class="more"><a href="${link('/journal', { call: number })}">What the journal says of ${number}</a></p>`;
    return { title: `${what} ${number}`, place: '/outbox', body };
}
