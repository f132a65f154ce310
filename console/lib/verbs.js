// What an operator can do, as data. All of them want a reason, so each is asked for on a page of its own (pages/act.js), and
// none is done by a link.
import { html } from './html.js';
import { refusal } from './safety.js';
import { verbs as words } from './words.js';

/** @import { PoolClient } from 'pg' */
/** @import { Given, Look, Verb, Visit } from '../types.d.ts' */

/** @type {Look} */
async function explain(client, { call }) {
    const { rows } = await client.query('SELECT seats.explain_call($1) AS explained', [call]);
    return { says: rows[0].explained.split('\n').slice(0, 3) };
}

/** @type {Look} */
async function lookAtDecision(client, { call, payment, decision }) {
    const { rows } = await client.query('SELECT seats.review_page($1) AS page', [call ?? payment]);
    /** @type {{decisions: {decision: string, does: string}[], explained: string[]}} */
    const { decisions, explained } = rows[0].page;
    const chosen = decisions.find((allowed) => allowed.decision === decision);
    if (chosen) return { says: [chosen.does, ...explained.slice(0, 2)] };
    const now = decisions.map((allowed) => allowed.decision).join(', ');
    throw refusal(409, `This cannot be decided so. What can be: ${now || 'nothing, it is decided already'}`);
}

/** @type {(sql: string, upTo: string) => Look} */
const count = (sql, upTo) => async (client, given) => {
    const { found, is_more: isMore, up_to: seen } = (await client.query(sql, [given.filter])).rows[0];
    const others = isMore ? ['There are others: these are the first 10,000. Count again when they are done.'] : [];
    const says = [`It is ${found} of them now.`, ...others];
    return { given: { ...given, [upTo]: seen, expected_count: found }, says };
};

/** @type {Record<string, Look>} */
const looks = {
    resolve_review: lookAtDecision,
    resolve_payment: lookAtDecision,
    retry: explain,
    cancel_call: explain,
    review_call: explain,
    retry_all: count('SELECT up_to_id AS up_to, calls AS found, is_more FROM seats.count_retryable($1)', 'up_to_id'),
    replay_webhooks_all: count('SELECT up_to::text, events AS found, is_more FROM seats.count_replayable($1)', 'up_to'),
};
/** @param {string} name @returns {[string, Verb]} */
const described = (name) => [name, { ...words[name], look: looks[name] }];
export const verbs = new Map(Object.keys(words).map(described));

/**
 * By the names of its arguments, of which what is empty is NULL. Gives one row.
 * @param {PoolClient} client @param {string} name  of a verb @param {Given} given  with the reason
 * @returns {Promise<Record<string, unknown>>}
 */
export async function use(client, name, given) {
    const named = Object.keys(given).map((argument, index) => `${argument} => $${index + 1}`);
    const values = Object.values(given).map((value) => value || null);
    return (await client.query(`SELECT * FROM seats.${name}(${named.join(', ')})`, values)).rows[0];
}

/**
 * Which verbs the role of the desk may use, and what each does, in the database's words. What it may not, its pages do not
 * offer, and the database refuses.
 * @param {PoolClient} client @returns {Promise<Map<string, string>>}
 */
export async function allowedVerbs(client) {
    const { rows } = await client.query(
        `SELECT p.proname AS name, obj_description(p.oid, 'pg_proc') AS does FROM pg_proc AS p
          WHERE p.pronamespace = to_regnamespace('seats') AND p.proname = ANY ($1)
            AND has_schema_privilege(p.pronamespace, 'USAGE') AND has_function_privilege(p.oid, 'EXECUTE')`,
        [[...verbs.keys()]],
    );
    return new Map(rows.map(({ name, does }) => [name, does]));
}

/**
 * Leads to where a verb is asked for; nothing, if the role of the desk may not use it.
 * @param {Visit} visit @param {string} name @param {Record<string, string | number | null>} given
 */
export const verbButton = ({ link, may }, name, given) =>
    may.has(name) && html`<a class="button" href="${link(`/act/${name}`, given)}">${verbs.get(name)?.label}</a>`;
