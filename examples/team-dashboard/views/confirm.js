// What a change costs, and the form that makes it; and what has become of one.
import { randomUUID } from 'node:crypto';
import { html } from '../lib/html.js';
import { by, money, say, seats, tell, whatOf, when } from '../lib/words.js';
import { hidden, page, teamAt } from './page.js';

/** @import { State } from '../types.d.ts' */
/**
 * What was asked for, as its address carries it. `seen`: of when a page was that was out of date when its form was sent.
 * @typedef {{team: string, call: string, at: number, seat_type: string, operation: string, quantity: number,
 *   expected: number, seen?: string}} Quote
 * @typedef {{quote: Quote, address: string, price: any, plan: any}} Asked price: of seats.preview; plan: what a period costs
 */

/** How much, and when: Stripe's own sums, and what it has not said is not known. @param {Asked} asked @param {State} state */
function sums({ quote, price }, { page: { status, subscription }, locale }) {
    const { charged_when: at, total, tax, credit, due_now: due } = price;
    const { next_renewal_at: renewal, next_renewal_total: next } = price;
    const end = subscription?.cancel_at ?? subscription?.current_period_end;
    /** @param {any} amount */
    const sum = (amount) =>
        html`<b>${money(amount, price.currency, price.currency_decimals, locale) ?? 'a sum that is not known'}</b>`;
    /** @param {any} date */
    const day = (date) => (date ? when(date, locale, 'day') : 'a day that is not known');
    const below = total < 0 && (at === 'nothing' ? 'credit' : 'renewal_credit');
    const other = at === 'nothing' ? credit > 0 && credit === total && 'balance' : status === 'trialing' && 'trial';
    const how = (/^(nothing|at_renewal)$/.test(at) && (below || other)) || at || 'unknown';
    const extra = total === null || next === null ? null : total - next;
    const [each, rest] = [next, extra && Math.abs(extra)].map(sum);
    const values = { due: sum(due), total: sum(total), credit: sum(credit), each, rest, renewal: day(renewal ?? end) };
    const rows = Object.entries({
        total: at !== 'at_renewal' && how !== 'balance' && total > 0 && total !== due && sum(total),
        tax: tax === null ? say('bill', 'unknown_tax') : tax > 0 && sum(tax),
        credit: credit > 0 && total > 0 && how !== 'balance' && sum(credit),
        owed: credit < 0 && sum(-credit),
        rest: at === 'at_renewal' && !!extra && say('bill', extra > 0 ? 'more' : 'less', values),
        back: quote.operation === 'remove' && (below || extra !== 0) && say('bill', 'no_refund'),
        later: renewal && say('bill', 'each', values),
        then: !renewal && say('bill', 'ends', { end: day(end) }),
        until: !price.code && when(price.expires_at, locale),
    });
    return html`<p class="sum">${say('prices', how, values)}</p>
        <dl>${rows.map(([name, value]) => value && html`<div><dt>${say('bill', name, values)}</dt><dd>${value}</dd></div>`)}</dl>`;
}

/** What was changed since a page was shown, and by whom. @param {Quote} quote @param {State} state @param {number} now */
function meanwhile({ seat_type, expected, at, seen }, state, now) {
    if (!seen && expected === now) return null;
    const since = seen ? Date.parse(seen) : at * 1000;
    const changes = [...state.page.open_changes, ...state.page.last_changes]
        .filter((change) => Date.parse(change.created_at) > since && (change.phase || change.state === 'confirmed'))
        .filter((change) => change.lines.some((line) => line.seat_type === seat_type));
    const told = changes.slice(0, 3).map((change) => {
        const { lines, created_at } = change;
        return html`${by(change, state)} ${whatOf({ lines })}, ${when(created_at, state.locale)}. `;
    });
    const values = { what: told, now: seats(now, seat_type) };
    return html`<p class="notice" role="alert">${say('quotes', seen && expected === now ? 'not_done' : 'moved', values)}</p>`;
}

/** @param {Asked} asked @param {State} state @param {number} now */
function standing({ quote, price }, { page: { as_of, stripe } }, now) {
    if (price.state === 'expired' || now !== quote.expected) return 'expired';
    if (price.state !== 'pending') return price.state === 'ready' && price.code ? 'changes_pending' : price.state;
    const isLate = Date.parse(as_of) / 1000 - quote.at > 10;
    return isLate || !/^(up|unproven)$/.test(stripe) ? 'unavailable' : 'asking';
}

/** The page that names the sum and when. @param {Asked} asked @param {State} state */
export function confirmPage(asked, state) {
    const { quote, price, plan, address } = asked;
    const { team, seat_type, operation, quantity } = quote;
    const { as_of, seat_types } = state.page;
    const now = seat_types.find((type) => type.seat_type === seat_type)?.quantity ?? 0;
    const title = `${operation === 'add' ? 'Buy' : 'Give back'} ${seats(quantity, seat_type)}`;
    const kind = standing(asked, state, now);
    /** @param {string} action @param {unknown} label @param {object} [more] @param {string} [look] */
    const form = (action, label, more, look = '') => html`<form method="post" action="${action}">
        ${hidden({ token: state.token, team, seat_type, operation, quantity, ...more })}
        <button class="${look}">${label}</button></form>`;
    // The key is this form's, as it is shown now: however often it is sent, it is done once.
    const make = { expected: now, seen_at: as_of, key: randomUUID() };
    const due = money(price.due_now, price.currency, price.currency_decimals, state.locale);
    const bill = /^(now|by_invoice)$/.test(price.charged_when) && due ? ` for ${due}` : '';
    const sum = money(plan?.amount, plan?.currency, null, state.locale);
    const anyway = html`<p>${say('anyway', operation === 'add' && sum ? 'plan' : operation, { price: html`<b>${sum} ${plan?.period}</b>` })}</p>
        ${form('/team/seats', say('anyway', `${operation}_button`, { title }), make, 'quiet')}`;
    const has = (/** @type {RegExp} */ kinds, /** @type {unknown} */ shown) => kinds.test(kind) && shown;
    const refresh = html`<noscript><meta http-equiv="refresh" content="2; url=${address}" /></noscript>`;
    const body = html`<section class="card narrow">
        <h1>${title}</h1>
        <p class="numbers">${now} → <b>${operation === 'add' ? now + quantity : now - quantity}</b> ${seat_type} seats</p>
        ${meanwhile(quote, state, now)}
        ${has(/ready|changes_pending/, sums(asked, state))}
        ${has(/asking/, html`<p role="status" data-ask-again="1" data-from="${address}">${say('quotes', 'asking')}</p>`)}
        ${has(/expired|unavailable|failed|changes_pending/, html`<p>${say('quotes', kind)}</p>`)}
        ${has(/ready/, form('/team/seats', `${title}${bill}`, { ...make, proration_date: price.proration_date }))}
        ${has(/unavailable/, html`<p><a class="button" href="${address}">${say('quotes', 'ask_again')}</a></p>`)}
        ${has(/expired|failed|changes_pending/, form('/team/quotes', say('quotes', 'ask_again')))}
        ${has(/unavailable|failed|changes_pending/, anyway)}
        <p><a href="${teamAt(team)}">${say('quotes', 'leave')}</a></p>
    </section>`;
    return page({ ...state, title, team, head: has(/asking/, refresh), body });
}

/** What has become of the change that the page was opened for, at its top. @param {State} state */
export function outcome(state) {
    const { change, did, locale } = state;
    if (!change) return null;
    const again = did === 'again' && say('quotes', 'again', { at: when(change.created_at, locale) });
    return html`<p class="notice ${change.state}" role="status">${again}<b>${by(change, state)}${change.phase && ':'} ${whatOf(change)}.</b> ${tell(change, state)}</p>`;
}
