// What an operator can do, as data. All of them want a reason, so each is asked for on a page of its own (pages/act.js), and
// none is done by a link.

import { html } from './html.js';
import { Refusal } from './safety.js';

/**
 * @import { PoolClient } from 'pg'
 * @import { Visit } from '../app.js'
 */

/** @typedef {Record<string, string>} Given */

/**
 * @typedef {object} Verb
 * @property {string} label  of its buttons
 * @property {string[]} takes  names of the function's arguments, beside the reason
 * @property {string} does  in sentences
 * @property {(given: Given) => string} back  the page where it stands
 * @property {(client: PoolClient, given: Given) => Promise<{given?: Given, says: string[]}>} [look]
 *   what is to be known before it is done, in sentences; and what the database is to be told that was seen
 */

const toCall = (/** @type {Given} */ { call }) => `/calls/${call}`;
const toReview = (/** @type {Given} */ { call, payment }) => `/reviews/${call ?? payment}`;
const toOverview = () => '/';

/** @type {NonNullable<Verb['look']>} */
async function explain(client, { call }) {
    const { rows } = await client.query('SELECT seats.explain_call($1) AS explained', [call]);
    return { says: rows[0].explained.split('\n').slice(0, 3) };
}

/** @type {NonNullable<Verb['look']>} */
async function lookAtDecision(client, { call, payment, decision }) {
    const { rows } = await client.query('SELECT seats.review_page($1) AS page', [call ?? payment]);
    /** @type {{decisions: {decision: string, does: string}[], explained: string[]}} */
    const { decisions, explained } = rows[0].page;
    const chosen = decisions.find((allowed) => allowed.decision === decision);
    if (!chosen) {
        const now = decisions.map((allowed) => allowed.decision).join(', ');
        throw new Refusal(409, `This cannot be decided so. What can be: ${now || 'nothing, it is decided already'}`);
    }
    return { says: [chosen.does, ...explained.slice(0, 2)] };
}

/** @type {(sql: string, upTo: string) => NonNullable<Verb['look']>} */
const count = (sql, upTo) => async (client, given) => {
    const { rows } = await client.query(sql, [given.filter]);
    const { found, is_more: isMore, up_to: seen } = rows[0];
    const others = isMore ? ['There are others: these are the first 10,000. Count again when they are done.'] : [];
    return {
        given: { ...given, [upTo]: seen, expected_count: found },
        says: [`It is ${found} of them now.`, ...others],
    };
};

/** @type {Record<string, Verb>} */
export const verbs = {
    resolve_review: {
        label: 'Decide',
        takes: ['call', 'decision', 'function'],
        does: 'The call, or its handler, leaves the review.',
        back: toReview,
        look: lookAtDecision,
    },
    resolve_payment: {
        label: 'Decide',
        takes: ['payment', 'decision'],
        does: 'Nobody has to look after this money any more.',
        back: toReview,
        look: lookAtDecision,
    },
    retry: {
        label: 'Retry now',
        takes: ['call'],
        does: 'What is planned for later is done now, under the same key and in the same order.',
        back: toCall,
        look: explain,
    },
    cancel_call: {
        label: 'Take back',
        takes: ['call'],
        does: 'It is taken back: Stripe has not executed it, and is not told of it any more.',
        back: toCall,
        look: explain,
    },
    review_call: {
        label: 'Put into review',
        takes: ['call'],
        does: 'It is neither sent nor verified any more, and waits for a decision of yours.',
        back: toCall,
        look: explain,
    },
    reconcile_payment: {
        label: 'Read at Stripe',
        takes: ['payment'],
        does: 'Its intent, refunds and disputes are read at Stripe.',
        back: ({ payment }) => `/calls/${payment}`,
    },
    reconcile: {
        label: 'Read at Stripe',
        takes: ['team'],
        does: 'Its subscription is read at Stripe now, and the database put right by what Stripe says.',
        back: ({ team }) => `/teams/${encodeURIComponent(team)}`,
    },
    pause: {
        label: 'Pause',
        takes: ['destination', 'lane'],
        does: 'Nothing more is sent there until somebody resumes it. Teams work on, and what they change waits.',
        back: toOverview,
    },
    resume: {
        label: 'Resume',
        takes: ['destination', 'lane'],
        does: 'A pause, or a halt, ends: what waits there is sent.',
        back: toOverview,
    },
    acknowledge: {
        label: 'Acknowledge',
        takes: ['alert'],
        does: 'You look after it: nobody is reminded of it any more.',
        back: toOverview,
    },
    retry_all: {
        label: 'Retry all',
        takes: ['filter', 'up_to_id', 'expected_count'],
        does: 'What these calls have planned for later is done now. Nothing in review is decided, nothing is taken back.',
        back: () => '/outbox',
        look: count(
            'SELECT up_to_id AS up_to, calls AS found, is_more FROM seats.count_retryable($1::jsonb)',
            'up_to_id',
        ),
    },
    replay_webhook: {
        label: 'Replay',
        takes: ['endpoint', 'event_id'],
        does: 'It is processed once more, now. Entries of the journal that it has made are made again.',
        back: () => '/webhooks',
    },
    replay_webhooks_all: {
        label: 'Replay all',
        takes: ['filter', 'up_to', 'expected_count'],
        does: 'The worker tries these events now, which could not be processed.',
        back: () => '/webhooks',
        look: count('SELECT up_to::text, events AS found, is_more FROM seats.count_replayable($1::jsonb)', 'up_to'),
    },
    list_events: {
        label: "Read Stripe's list of events",
        takes: ['destination'],
        does: 'Events that no webhook has brought are processed.',
        back: () => '/webhooks',
    },
};

/**
 * By the names of its arguments, of which what is empty is NULL. Gives one row.
 * @param {PoolClient} client
 * @param {string} name  of a verb
 * @param {Given} given
 * @param {string} reason
 */
export async function use(client, name, given, reason) {
    const { takes } = verbs[name];
    const named = [...takes, 'reason'].map((argument, index) => `${argument} => $${index + 1}`);
    const values = [...takes.map((argument) => given[argument] || null), reason];
    const { rows } = await client.query(`SELECT * FROM seats.${name}(${named.join(', ')})`, values);
    return /** @type {Record<string, unknown>} */ (rows[0]);
}

/**
 * Which verbs the role of the desk may use: what it may not, its pages do not offer, and the database refuses.
 * @param {PoolClient} client
 * @returns {Promise<Set<string>>}
 */
export async function allowedVerbs(client) {
    const { rows } = await client.query(
        `SELECT p.proname AS name FROM pg_proc AS p
          WHERE p.pronamespace = to_regnamespace('seats') AND p.proname = ANY ($1)
            AND has_schema_privilege(p.pronamespace, 'USAGE') AND has_function_privilege(p.oid, 'EXECUTE')`,
        [Object.keys(verbs)],
    );
    return new Set(rows.map(({ name }) => name));
}

/**
 * Leads to where a verb is asked for; nothing, if the role of the desk may not use it.
 * @param {Visit} visit
 * @param {string} name
 * @param {Record<string, string | number | null>} given
 */
export const verbButton = ({ link, may }, name, given) =>
    may.has(name) && html`<a class="button" href="${link(`/act/${name}`, given)}">${verbs[name].label}</a>`;
