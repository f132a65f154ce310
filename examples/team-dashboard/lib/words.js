// What people are told. The words are in words.json, by the words for programs that the database gives; numbers, money and
// times are as their reader writes them.
import { readFileSync } from 'node:fs';
import { html } from './html.js';

/** @import { Change } from '../types.d.ts' */
/** @typedef {{locale: string, cardUrl: string | null, access: {actor: string, owner?: boolean}, page?: {may: {cancel: boolean}}}} Reader */

const words = JSON.parse(readFileSync(new URL('words.json', import.meta.url), 'utf8'));

/** Null if there are no words for it. @param {string} kind @param {string} name @param {Record<string, unknown>} [values] */
export function say(kind, name, values = {}) {
    if (!Object.hasOwn(words[kind], name)) return null; // what Stripe calls "constructor" has none
    const pieces = /** @type {string[]} */ (words[kind][name].split(/\{(\w+)\}/));
    return html`${pieces.map((piece, i) => (i % 2 ? values[piece] : piece))}`;
}

/**
 * An amount in Stripe's minor units; null where it, or its currency, is not known: never a zero instead. Of how many
 * decimals the last one is counted, Stripe says: Intl knows none of HUF and ISK.
 * @param {number | string | null | undefined} amount pg gives a bigint as text
 * @param {string | null | undefined} currency @param {number | null | undefined} decimals @param {string} locale
 */
export function money(amount, currency, decimals, locale) {
    if (amount === null || amount === undefined || !currency) return null;
    const scale = decimals ?? words.decimals[currency] ?? 2;
    const style = /** @type {const} */ ({ style: 'currency', currency });
    const usual = new Intl.NumberFormat(locale, style).resolvedOptions().maximumFractionDigits ?? scale;
    const digits = { minimumFractionDigits: Math.min(usual, scale), maximumFractionDigits: scale };
    return new Intl.NumberFormat(locale, { ...style, ...digits }).format(Number(amount) / 10 ** scale);
}

/**
 * A time in UTC, in whose place public/page.js puts the reader's own. Of a moment of today the time is enough.
 * @param {string | Date} value @param {string} locale @param {'moment' | 'day'} [as]
 */
export function when(value, locale, as = 'moment') {
    const iso = new Date(value).toISOString();
    const isToday = iso.slice(0, 10) === new Date().toISOString().slice(0, 10);
    const style = words.times[as === 'moment' && isToday ? 'clock' : as];
    return html`<time datetime="${iso}" data-as="${as}">${new Date(value).toLocaleString(locale, { timeZone: 'UTC', ...style })}</time>`;
}

/** @param {number} n @param {string} type */
export const seats = (n, type) => `${n} ${type} ${n === 1 ? 'seat' : 'seats'}`;

/** Who has asked for a change. @param {Pick<Change, 'actor' | 'person'>} change @param {Reader} reader */
export const by = ({ actor, person }, { access }) =>
    `${actor === access.actor ? 'You' : (actor ?? 'Our staff')}${person && person !== actor ? ` (through ${person})` : ''}`;

/** "2 team seats are being added (5 → 7)"; of a settled one, after a name, "bought 2 team seats (5 → 7)". @param {Pick<Change, 'lines' | 'phase' | 'state'>} change */
export const whatOf = ({ lines, phase, state = 'confirmed' }) =>
    lines.map(({ seat_type, previous_quantity: before, new_quantity: after }, i) => {
        const n = Math.abs(after - before);
        const name = `${phase ? (n === 1 ? 'is' : 'are') : state}_${after < before ? 'fewer' : 'more'}`;
        return html`${i > 0 && ', '}${say('changes', name, { seats: seats(n, seat_type) })} (${before} → ${after})`;
    });

/** Only Stripe's own pages: whoever follows the link gives his card there. @param {unknown} url */
export const payAt = (url) =>
    typeof url === 'string' && /^https:\/\/(invoice|pay|hooks)\.stripe\.com\/[^\s\\]*$/.test(url) ? url : null;

/** What is known of a change; nothing is called paid that Stripe has not said was. @param {Change} change @param {Reader} reader */
export function tell(change, { locale, cardUrl, access, page }) {
    const { phase, state = '', invoice, next_try_at: at, lines, reason, code, decline_code: declined } = change;
    const { url, amount = 0, paid = 0, currency, currency_decimals: decimals, expires_at, shared } = invoice ?? {};
    const values = {
        at: at && new Date(at) > new Date() ? when(at, locale) : 'in a moment',
        amount: html`<b>${money(Math.abs(paid || amount), currency, decimals, locale) ?? 'The invoice'}</b>`,
        until: expires_at ? when(expires_at, locale) : 'then',
        together: shared && say('settled', 'together'),
    };
    // (It went alone, and could be taken back: so that is under way.)
    const isTakenBack = invoice?.invoice && page?.may.cancel && change.may_cancel === false && !shared;
    const pay = phase === 'awaiting_payment' && !isTakenBack && access.owner && payAt(url);
    if (phase)
        return html`${say('phases', isTakenBack ? 'taken_back' : phase, values)} ${pay && html`<a class="button" href="${pay}" rel="noreferrer">Pay or approve</a>`}`;
    const billed = (amount < 0 && 'credit') || (paid > 0 && 'paid') || (amount > 0 && 'invoiced') || state;
    if (state !== 'reverted') return say('settled', state === 'confirmed' ? billed : state, values);
    const more = lines.some((line) => line.new_quantity > line.previous_quantity);
    const step = change.next_step ?? '';
    // (What is wrong with a card's number, or that the bank is to be asked, the next step says by itself.)
    const why = say('declines', declined ?? code ?? '') ?? say('reasons', reason ?? '') ?? say('reasons', 'other');
    const card = cardUrl && /card|payment_method|authenticate/.test(step);
    return html`${say('settled', more ? 'not_bought' : 'not_given_back')} ${!/^(correct_card|authenticate)$/.test(step) && why}
        ${say('next_steps', step)} ${card && html`<a class="button" href="${cardUrl}" rel="noreferrer">Update the card</a>`}`;
}
