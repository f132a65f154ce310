// Times, sums and states in words.

import { html } from './html.js';

/** @param {Date | string | null | undefined} at  the whole of it stands in the title */
export function when(at) {
    if (!at) return '';
    const iso = new Date(at).toISOString();
    const isToday = iso.slice(0, 10) === new Date().toISOString().slice(0, 10);
    return html`<time datetime="${iso}" title="${iso}">${isToday ? iso.slice(11, 19) : iso.slice(0, 16).replace('T', ' ')}</time>`;
}

const errors = /** @type {Record<string, [status: number, title: string, text?: string]>} */ ({
    57014: [
        503,
        'This took too long',
        'A page may ask the database for five seconds, so that it hurts nothing else. Choose a filter, or try again.',
    ],
    '55P03': [
        503,
        'Something is locked',
        'The database is being changed just now (an upgrade, say). Try again in a moment.',
    ],
    40001: [503, 'Somebody was faster', 'Nothing was changed. Try again.'],
    42501: [
        403,
        'This role may not do that',
        'The role of the desk at the database lacks a privilege: seats.grant_monitor lets it read, seats.grant_operator act.',
    ],
    '3F000': [
        503,
        'pg_seats is not here',
        'This database has no pg_seats: CREATE EXTENSION pg_seats, or another database.',
    ],
    42883: [
        503,
        'pg_seats is another version',
        'This database lacks a function that the desk asks: ALTER EXTENSION pg_seats UPDATE, or another version of the desk.',
    ],
    PS120: [404, 'There is no such call'],
    PS409: [404, 'There is no such alert'],
    PS408: [404, 'There is no such lane'],
    PS411: [400, 'This filter cannot be'],
    PS412: [400, 'This page cannot be'],
    PS501: [404, 'There is no such team'],
    PS535: [404, 'This is an individual, not a team'],
});

/**
 * What an error says to a person: of the database, of the way there, or of Fastify (a body that is too large).
 * @param {unknown} thrown
 * @returns {{status: number, title: string, text: string}}
 */
export function inWords(thrown) {
    const error =
        /** @type {{code?: string, message?: string, detail?: string, hint?: string, statusCode?: number}} */ (thrown);
    const known = errors[error.code ?? ''];
    const said = [error.message, error.detail, error.hint].filter(Boolean).join('. ');
    if (known) return { status: known[0], title: known[1], text: known[2] ?? `${said}.` };
    if (/^(PS|23|22)/.test(error.code ?? ''))
        return { status: 409, title: 'The database refuses that', text: `${said}.` };
    if (error.message === 'timeout exceeded when trying to connect') {
        return {
            status: 503,
            title: 'The desk is busy',
            text: 'It asks the database over three connections, and all of them are in use. Try again in a moment.',
        };
    }
    if (
        /^(ECONN|ENOENT|ENOTFOUND|EAI_|08|57P|53|28)/.test(error.code ?? '') ||
        /^Connection terminated/.test(error.message ?? '')
    ) {
        return {
            status: 503,
            title: 'The database cannot be reached',
            text: `${said}. Seats and calls are safe in it; this desk only looks at them.`,
        };
    }
    if (error.statusCode && error.statusCode < 500)
        return { status: error.statusCode, title: 'This request cannot be', text: `${said}.` };
    return { status: 500, title: 'Something is wrong with the desk', text: 'Its log tells more. Nothing was changed.' };
}
