// Times, sums, numbers and states in words, and errors in words of every day: these stand in words.json.
import { readFileSync } from 'node:fs';
import { html } from './html.js';

/** @import { Words } from '../types.d.ts' */

/** @type {Words} */
const data = JSON.parse(readFileSync(new URL('words.json', import.meta.url), 'utf8'));
export const { places, counts, choices, verbs, tones, errors } = data;

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
    const digits = `${amount}`.replace('-', '').padStart(decimals + 1, '0');
    const [whole, part] = [digits.slice(0, digits.length - decimals), digits.slice(digits.length - decimals)];
    return `${Number(amount) < 0 ? '−' : ''}${count(whole)}${part && `.${part}`} ${currency.toUpperCase()}`;
}

/** @param {unknown} word  of the database's, as docs and filters have it; what a person has written stays as it is */
export const words = (word) => (/\s/.test(`${word}`) ? `${word}` : `${word ?? ''}`.replaceAll('_', ' '));

/** Its colour says nothing that the word does not. @param {string} word */
export function tag(word) {
    const [tone] = Object.entries(tones).find(([, those]) => those.split(' ').includes(word)) ?? ['plain'];
    return html`<span class="tag ${tone}">${words(word)}</span>`;
}

const unreachable = /^(ECONN|EPIPE|ENOENT|ENOTFOUND|EAI_|ETIMEDOUT|08|53|57P|28)/;

/** @param {unknown} thrown  by the database, on the way to it, or by Fastify (a body that is too large) */
export function inWords(thrown) {
    /** @type {{code?: string, message?: string, detail?: string, hint?: string, statusCode?: number}} */
    const { code = '', message = '', detail, hint, statusCode = 500 } = Object(thrown);
    const said = [message, detail, hint].map((part) => part?.replace(/[.\s]*$/, '.')).join(' ');
    const kind =
        (Object.hasOwn(errors, code) && code) ||
        (/^(PS|22)/.test(code) && 'refused') ||
        (/^timeout exceeded when trying|^Query read timeout/.test(message) && 'busy') ||
        ((unreachable.test(code) || message.startsWith('Connection terminated')) && 'unreachable') ||
        (statusCode < 500 ? 'impossible' : 'unknown');
    const [status, title, text = '{said}'] = errors[kind];
    return { status: status || statusCode, title, text: text.replace('{said}', () => said) };
}
