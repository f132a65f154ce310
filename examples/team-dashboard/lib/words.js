// What people are told: the words are in words.json, by the words for programs that the database gives; numbers, money and
// times are as their reader writes them.
import { readFileSync } from 'node:fs';
import { html } from './html.js';

/** @typedef {import('./html.js').Html} Html */
/** @typedef {{seat_type: string, previous_quantity: number, new_quantity: number}} Line */
/** @typedef {{locale: string, cardUrl: string | null}} Reader */

const words = JSON.parse(readFileSync(new URL('words.json', import.meta.url), 'utf8'));

/** Words with something put in. @param {string} text @param {Record<string, unknown>} [values] @returns {Html} */
export const fill = (text, values = {}) =>
    html`${text.split(/\{(\w+)\}/).map((piece, i) => (i % 2 ? values[piece] : piece))}`;

/** @param {keyof typeof words} kind @param {string} name @param {Record<string, unknown>} [values] */
export const say = (kind, name, values) => (words[kind][name] ? fill(words[kind][name], values) : null);

const noDecimals = 'bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf'.split(' ');
const threeDecimals = 'bhd jod kwd omr tnd'.split(' ');

/**
 * An amount in Stripe's minor units; null where it, or its currency, is not known: never a zero instead. Of how many decimals
 * the last one is counted, Stripe says, and not Intl, which knows none of HUF and ISK.
 * @param {number | string | null | undefined} amount pg gives a bigint as text
 * @param {string | null | undefined} currency @param {number | null | undefined} decimals @param {string} locale
 */
export function money(amount, currency, decimals, locale) {
    if (amount === null || amount === undefined || !currency) return null;
    const scale = decimals ?? (noDecimals.includes(currency) ? 0 : threeDecimals.includes(currency) ? 3 : 2);
    const format = (/** @type {Intl.NumberFormatOptions} */ digits) =>
        new Intl.NumberFormat(locale, { style: 'currency', currency, ...digits });
    const usual = format({}).resolvedOptions().maximumFractionDigits ?? scale;
    return format({ minimumFractionDigits: Math.min(usual, scale), maximumFractionDigits: scale }).format(
        Number(amount) / 10 ** scale,
    );
}

const clock = /** @type {const} */ ({ hour: '2-digit', minute: '2-digit', timeZoneName: 'short' });
const styles = {
    clock,
    moment: { day: 'numeric', month: 'long', ...clock },
    day: { day: 'numeric', month: 'long', year: 'numeric' },
};

/**
 * A time in UTC, in whose place public/page.js puts the reader's own. Of a moment of today the time is enough.
 * @param {string | Date} value @param {string} locale @param {'moment' | 'day'} [as]
 */
export function when(value, locale, as = 'moment') {
    const date = new Date(value);
    const isToday = date.toDateString() === new Date().toDateString();
    const style = /** @type {Intl.DateTimeFormatOptions} */ (styles[as === 'moment' && isToday ? 'clock' : as]);
    const text = date.toLocaleString(locale, { timeZone: 'UTC', ...style });
    return html`<time datetime="${date.toISOString()}" data-as="${as}">${text}</time>`;
}

/** @param {number} n @param {string} type */
export const seats = (n, type) => `${n} ${type} ${n === 1 ? 'seat' : 'seats'}`;

/** "2 team seats are being added (5 → 7)", or, of a settled change, "bought 2 team seats (5 → 7)". @param {any} change */
export const whatOf = ({ lines, phase }) =>
    lines
        .map((/** @type {Line} */ { seat_type, previous_quantity: before, new_quantity: after }) => {
            const [n, more] = [Math.abs(after - before), after >= before];
            const said = phase
                ? `${seats(n, seat_type)} ${n === 1 ? 'is' : 'are'} being ${more ? 'added' : 'given back'}`
                : `${more ? 'bought' : 'gave back'} ${seats(n, seat_type)}`;
            return `${said} (${before} → ${after})`;
        })
        .join(', ');

/** Only Stripe's own pages: whoever follows the link gives his card there. @param {unknown} url */
export const payAt = (url) =>
    typeof url === 'string' && URL.canParse(url) && /^https:\/\/([a-z0-9-]+\.)*stripe\.com$/.test(new URL(url).origin)
        ? url
        : null;

/** How an open change stands. @param {any} change @param {Reader} reader */
function tellOpen({ phase, next_try_at: at, invoice, may_cancel }, { locale }) {
    const { url, amount, currency, currency_decimals: decimals, expires_at: until, shared } = invoice ?? {};
    const link = payAt(url);
    return html`${say('phases', phase, {
        at: at && new Date(at) > new Date() ? when(at, locale) : 'in a moment',
        amount: html`<b>${money(amount, currency, decimals, locale) ?? 'The invoice'}</b>`,
        until: until ? when(until, locale) : 'then',
        together: shared && words.together,
    })} ${phase === 'awaiting_payment' && link && html`<a class="button" href="${link}" rel="noreferrer">Pay or approve</a>`}`;
}

/** What became of a change: nothing is called paid that Stripe has not said was. @param {any} change @param {Reader} reader */
function tellSettled({ state, lines, invoice, reason, code, decline_code, next_step }, { locale, cardUrl }) {
    if (state === 'reverted') {
        const more = lines.some((/** @type {Line} */ line) => line.new_quantity > line.previous_quantity);
        const declined = next_step === 'authenticate' ? 'authentication_required' : (decline_code ?? code);
        const why =
            next_step === 'correct_card'
                ? null
                : (say('declines', declined) ?? say('reasons', reason) ?? words.reasons.other);
        const card = cardUrl && /card|payment|authenticate/.test(next_step ?? '');
        return html`${say('settled', more ? 'not_bought' : 'not_given_back')} ${why} ${say('next_steps', next_step)}
            ${card && html`<a class="button" href="${cardUrl}">Update the card</a>`}`;
    }
    const { amount = 0, paid = 0, currency, currency_decimals: decimals, shared } = invoice ?? {};
    const kind =
        state === 'cancelled' ? state : amount < 0 ? 'credit' : paid > 0 ? 'paid' : amount > 0 ? 'invoiced' : state;
    const sum = money(Math.abs(paid || amount), currency, decimals, locale);
    return say('settled', kind, { amount: html`<b>${sum}</b>`, together: shared && words.together });
}

/** What is known of a change, open or settled. @param {any} change @param {Reader} reader */
export const tell = (change, reader) => (change.phase ? tellOpen(change, reader) : tellSettled(change, reader));
