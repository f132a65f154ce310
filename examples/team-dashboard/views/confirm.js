// What a change costs, and the form that makes it; and what has become of one.
import { randomUUID } from 'node:crypto';
import { html } from '../lib/html.js';
import { money, say, seats, tell, whatOf, when } from '../lib/words.js';
import { page } from './page.js';

/** @import { State } from '../types.d.ts' */
/**
 * What was asked for, as its address carries it. `seen`: what an earlier page has shown that was out of date by then.
 * @typedef {{team: string, call: string, at: number, seat_type: string, operation: 'add' | 'remove', quantity: number,
 *   expected: number, seen?: {quantity: number, at: string}}} Quote
 */
/** @typedef {{quote: Quote, address: string, price: any, plan: any}} Asked */

/** When it is paid, and how much. @param {any} price @param {State} state */
function sumOf(price, { page: team, locale }) {
    const { charged_when, total, due_now, credit, currency, currency_decimals, next_renewal_at: at } = price;
    const sum = (/** @type {any} */ amount) =>
        html`<b>${money(amount, currency, currency_decimals, locale) ?? 'an unknown sum'}</b>`;
    const values = {
        due: sum(due_now),
        total: sum(total),
        credit: sum(credit),
        renewal: at ? when(at, locale, 'day') : 'its day',
    };
    const below = Number(total) < 0;
    if (charged_when === 'at_renewal')
        return say('prices', below ? 'at_renewal_credit' : team.status === 'trialing' ? 'trial' : charged_when, values);
    if (charged_when === 'nothing') return say('prices', below ? 'credit' : credit > 0 ? 'balance' : 'nothing', values);
    return say('prices', charged_when ?? 'unknown', values);
}

/** What else is on the bill. What Stripe has not said is said to be unknown. @param {Asked} asked @param {State} state */
function details({ quote, price }, { page: team, locale }) {
    const { charged_when, total, tax, credit, due_now, next_renewal_total: later, next_renewal_at: renewal } = price;
    const sum = (/** @type {any} */ amount) => money(amount, price.currency, price.currency_decimals, locale);
    const day = (/** @type {any} */ date) => date && html`, ${when(date, locale, 'day')}`;
    const billed = charged_when === 'now' || charged_when === 'by_invoice';
    const removes = quote.operation === 'remove';
    const rows = [
        billed && total !== due_now && ['The invoice in all', sum(total)],
        tax === null ? ['Taxes', 'not known: is your address complete?'] : tax > 0 && ['Taxes in it', sum(tax)],
        billed && credit > 0 && ['Paid by your credit', sum(credit)],
        credit < 0 && ['Owed from before, and due as well', sum(-credit)],
        charged_when === 'at_renewal' &&
            total !== later && [
                'On that invoice',
                removes ? 'less what is left of this period' : 'the rest of this period, too',
            ],
        removes && ['Back to your card', 'nothing: what you get is a credit for later invoices'],
        [
            'After this period',
            renewal
                ? html`${sum(later) ?? 'a sum that is not known yet'}${day(renewal)}`
                : html`nothing: the subscription ends${day(team.subscription?.current_period_end)}`,
        ],
        ['Good until', when(price.expires_at, locale)],
    ];
    return html`<dl>${rows.map((row) => row && html`<div><dt>${row[0]}</dt><dd>${row[1]}</dd></div>`)}</dl>`;
}

/** What was changed since an earlier page was shown, and by whom. @param {Quote} quote @param {State} state @param {number} now */
function meanwhile({ seat_type, expected, at, seen }, { page: team, access, locale }, now) {
    const [shown, since] = seen ? [seen.quantity, new Date(seen.at)] : [expected, new Date(at * 1000)];
    if (!seen && shown === now) return null;
    const others = [...team.open_changes, ...team.last_changes].filter(
        (change) =>
            new Date(change.created_at) > since &&
            change.lines.some((/** @type {any} */ line) => line.seat_type === seat_type),
    );
    const who = (/** @type {any} */ { actor }) => (actor === access.actor ? 'You' : (actor ?? 'Somebody'));
    const what = others.map(
        (change) => html`${who(change)} ${whatOf({ lines: change.lines })} at ${when(change.created_at, locale)}. `,
    );
    return html`<p class="notice" role="alert">${say('quotes', 'moved', { what: others.length > 0 ? what : say('quotes', 'somebody'), now: seats(now, seat_type) })}</p>`;
}

/** The page that names the sum and when. @param {Asked} asked @param {State} state */
export function confirmPage(asked, state) {
    const { quote, price, plan, address } = asked;
    const { page: team, locale } = state;
    const { seat_type, operation, quantity } = quote;
    const now = team.seat_types.find((/** @type {any} */ type) => type.seat_type === seat_type)?.quantity ?? 0;
    const does = `${operation === 'add' ? 'Buy' : 'Give back'} ${seats(quantity, seat_type)}`;
    const form = (
        /** @type {string} */ action,
        /** @type {string} */ label,
        /** @type {object} */ more,
    ) => html`<form method="post" action="${action}">
        ${Object.entries({ token: state.token, team: quote.team, seat_type, operation, quantity, ...more }).map(
            ([name, value]) => html`<input type="hidden" name="${name}" value="${value}" />`,
        )}
        <button class="primary">${label}</button>
    </form>`;
    // The key is of this form, as it is shown now: however often it is sent, it buys once.
    const buy = (/** @type {string} */ label, /** @type {object} */ more) =>
        form('/team/seats', label, { expected: now, seen_at: team.as_of, key: randomUUID(), ...more });
    const anyway = () => {
        const unit = plan && money(plan.unit_amount * quantity, plan.currency, null, locale);
        const period =
            plan &&
            (plan.interval_count > 1
                ? `every ${plan.interval_count} ${plan.recurring_interval}s`
                : `a ${plan.recurring_interval}`);
        const words = operation === 'remove' ? 'plan_remove' : unit ? 'plan_add' : 'plan_add_unknown';
        return html`<p>${say('quotes', words, { price: html`<b>${unit} ${period}</b>` })}</p>
            ${buy(operation === 'add' ? `${does} at the plan's price` : `${does} all the same`, {})}`;
    };
    const isLate = new Date(team.as_of).getTime() / 1000 - quote.at > 10 || !['up', 'unproven'].includes(team.stripe);
    const isAsking = price.state === 'pending' && !isLate;
    const isOld = price.state === 'expired' || now !== quote.expected;
    const again = form('/team/quotes', 'Ask for the price again', {});
    const offer = isOld
        ? html`<p>${say('quotes', 'expired')}</p>${again}`
        : isAsking
          ? html`<p class="asking" role="status" data-ask-again="1" data-from="${address}">${say('quotes', 'asking')}</p>`
          : price.state === 'pending'
            ? html`<p role="status">${say('quotes', 'unavailable')} <a href="${address}">Ask again</a></p>${anyway()}`
            : price.state === 'failed'
              ? html`<p role="status">${say('quotes', 'failed')}</p>${again}${anyway()}`
              : html`<p class="sum">${sumOf(price, state)}</p>${details(asked, state)}
                ${price.code ? html`<p class="notice">${say('quotes', 'changes_pending')}</p>${again}${anyway()}` : buy(does, { proration_date: price.proration_date })}`;
    return page({
        title: does,
        team: team.team,
        person: state.person,
        token: state.token,
        head: isAsking && html`<noscript><meta http-equiv="refresh" content="2; url=${address}" /></noscript>`,
        body: html`<section class="card confirm">
            <h1>${does}</h1>
            <p class="numbers">${now} → <b>${operation === 'add' ? now + quantity : now - quantity}</b> ${seat_type} seats</p>
            ${meanwhile(quote, state, now)} ${offer}
            <p><a href="/team?team=${encodeURIComponent(quote.team)}">Back, without changing anything</a></p>
        </section>`,
    });
}

/** What has become of the change that the page was opened for, at its top. @param {State} state @returns {unknown} */
export function outcome(state) {
    const { change, did, locale, access } = state;
    if (!change) return null;
    const stands =
        did === 'back' && change.phase === 'awaiting_payment' ? say('phases', 'taken_back') : tell(change, state);
    return html`<p class="notice" role="status">
        ${did === 'again' && say('quotes', 'again', { at: when(change.created_at, locale) })}
        <b>${change.actor === access.actor ? 'You' : (change.actor ?? 'Somebody')} ${whatOf({ lines: change.lines })}.</b> ${stands}
    </p>`;
}
