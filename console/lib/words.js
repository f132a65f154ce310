// Times, sums, numbers and states in words, and errors in words of every day.

import { html } from './html.js';

/** @param {any} at  (infinity comes as a number) @returns {string | null} */
const isoOf = (at) => (at && Number.isFinite(+new Date(at)) ? new Date(at).toISOString() : null);

/** In UTC, as all of the desk: people in several places talk about it. @param {unknown} at */
export function when(at) {
    const iso = isoOf(at);
    const isToday = iso?.startsWith(new Date().toISOString().slice(0, 10));
    const shown = isToday ? iso?.slice(11, 19) : iso?.slice(0, 16).replace('T', ' ');
    return iso && html`<time datetime="${iso}" title="${iso}">${shown}</time>`;
}

/** '3 min ago', '2 h 5 min ago', 'in 12 s'. @param {unknown} at */
export function age(at) {
    const iso = isoOf(at);
    if (!iso) return '';
    const seconds = Math.round((Date.now() - Date.parse(iso)) / 1000);
    const [s, min, h, d] = [1, 60, 3600, 86400].map((unit) => Math.floor(Math.abs(seconds) / unit));
    const long = d ? `${d} d ${h % 24} h` : h ? `${h} h ${min % 60} min` : min ? `${min} min` : `${s} s`;
    return html`<time datetime="${iso}" title="${iso}">${seconds < 0 ? `in ${long}` : `${long} ago`}</time>`;
}

/** @param {unknown} number @param {boolean} [isMore]  it was counted so far, and there is more */
export const count = (number, isMore = false) =>
    number == null ? '' : `${BigInt(/** @type {string} */ (number)).toLocaleString('en-US')}${isMore ? '+' : ''}`;

/**
 * @param {unknown} amount  in minor units, of which Stripe's currencies have other numbers than Intl's
 * @param {Record<string, any>} of  with its currency and currency_decimals
 */
export function money(amount, { currency, currency_decimals: decimals }) {
    if (amount == null || !currency) return '';
    const digits = String(amount)
        .replace('-', '')
        .padStart(decimals + 1, '0');
    const [whole, part] = [digits.slice(0, digits.length - decimals), digits.slice(digits.length - decimals)];
    return `${Number(amount) < 0 ? '−' : ''}${count(whole)}${part && `.${part}`} ${currency.toUpperCase()}`;
}

/** @param {unknown} word  of the database's, as docs and filters have it */
export const words = (word) => String(word ?? '').replaceAll('_', ' ');

const tones = {
    bad: 'critical fatal error review halted refused reverted canceled unpaid failed stopped',
    warn: 'warning waiting verifying awaiting awaiting_payment interrupted paused unproven past_due again unknown incomplete starting',
    good: 'ok done active trialing confirmed running open succeeded',
    busy: 'sending carried acknowledged',
};

/** Its colour says nothing that the word does not. @param {string} word */
export function tag(word) {
    const [tone] = Object.entries(tones).find(([, those]) => those.split(' ').includes(word)) ?? ['plain'];
    return html`<span class="tag ${tone}">${words(word)}</span>`;
}

const errors = /** @type {Record<string, [status: number, title: string, text?: string]>} */ ({
    57014: [503, 'This took too long', 'A page has five seconds, so that it hurts nobody. Set a filter, or try again.'],
    '55P03': [503, 'Something is locked', 'The database is being changed just now, by an upgrade say. Try again soon.'],
    40001: [503, 'Somebody was faster', 'Nothing was changed. Try again.'],
    '3F000': [503, 'pg_seats is not here', 'This database lacks it: CREATE EXTENSION pg_seats, or ask another one.'],
    42883: [503, 'pg_seats is of another version', 'It lacks a function of the desk: ALTER EXTENSION pg_seats UPDATE.'],
    42501: [403, 'The desk may not do that', 'seats.grant_monitor lets its role read, seats.grant_operator act.'],
    PS120: [404, 'There is no such call'],
    PS408: [404, 'There is no such lane'],
    PS409: [404, 'There is no such alert'],
    PS501: [404, 'There is no such team'],
    PS411: [400, 'There is no such filter'],
});
const unreachable = /^(ECONN|EPIPE|ENOENT|ENOTFOUND|EAI_|ETIMEDOUT|08|53|57P|28)/;

/** @param {unknown} thrown  by the database, on the way to it, or by Fastify (a body that is too large) */
export function inWords(thrown) {
    /** @type {{code?: string, message?: string, detail?: string, hint?: string, statusCode?: number}} */
    const { code = '', message = '', detail, hint, statusCode = 500 } = Object(thrown);
    const said = [message, detail, hint].map((part) => part?.replace(/[.\s]*$/, '.')).join(' ');
    const [status, title, text = said] = errors[code] ?? [];
    if (status && title) return { status, title, text };
    if (/^(PS|22)/.test(code)) return { status: 409, title: 'The database refuses that', text: said };
    if (message === 'timeout exceeded when trying to connect') {
        const why = 'Its three connections are in use, or the database does not answer. Try again in a moment.';
        return { status: 503, title: 'The desk is busy', text: why };
    }
    if (unreachable.test(code) || message.startsWith('Connection terminated')) {
        const after = 'Nothing is lost by that: the desk only looks at what is there.';
        return { status: 503, title: 'The database cannot be reached', text: `${said} ${after}` };
    }
    if (statusCode < 500) return { status: statusCode, title: 'That cannot be done', text: said };
    return { status: 500, title: 'Something is wrong with the desk', text: 'What it is stands in its log.' };
}
