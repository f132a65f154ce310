// Teams by the beginning of their name, and all of one.

import { html } from '../lib/html.js';
import { facts, filters, list, notAll, table } from '../lib/parts.js';
import { verbButton } from '../lib/verbs.js';
import { entries } from './journal.js';

/** @import { Visit, Page } from '../app.js' */

const mostTeams = 100;
const mostPeople = 100;
const mostChanges = 20;

/** @param {Visit} visit @returns {Promise<Page>} */
export async function teams(visit) {
    const { client, query, link } = visit;
    const { prefix = '', after = '' } = query;
    const { rows } = await client.query('SELECT * FROM seats.list_teams($1, $2, $3)', [prefix, after, mostTeams]);
    const last = rows.length === mostTeams && rows.at(-1).team;
    const body = html`${filters(visit, '/teams', 'prefix')}
${after && html`<p class="more">After ${after}. <a href="${link('/teams', { prefix })}">To the beginning</a></p>`}
${table(
    visit,
    'Teams in the order of their names',
    ['team status:subscription_is problem subscription destination'],
    rows,
    prefix || after ? 'No other team has a name that begins so.' : 'No team is registered.',
)}${last && notAll(html`there may be more. <a href="${link('/teams', { prefix, after: last })}">Go on after ${last}</a>`)}`;
    return { title: 'Teams', place: '/teams', body };
}

/** @param {Visit} visit @returns {Promise<Page>} */
export async function team(visit) {
    const { client, params, link } = visit;
    const name = params.team;
    /** @param {string} sql @param {unknown[]} values */
    const ask = async (sql, ...values) => (await client.query(sql, [name, ...values])).rows;
    // (That there is no such team is an error of this list.)
    const calls = await list({ ...visit, query: { team: name } }, '/outbox', 'list_calls', { team: name }, mostChanges);
    const seats = await ask(`SELECT * FROM seats.teams WHERE team = $1 ORDER BY seat_type`);
    const drift = await ask("SELECT * FROM seats.drift WHERE kind = 'team' AND team = $1 ORDER BY aspect");
    const changes = await ask(
        `SELECT *, seat_type || ' ' || previous_quantity || ' → ' || new_quantity AS seats FROM seats.changes
          WHERE team = $1 ORDER BY change DESC, seat_type LIMIT $2`,
        mostChanges + 1,
    );
    const members = await ask(
        "SELECT * FROM seats.members WHERE team = $1 AND status = 'active' ORDER BY user_id LIMIT $2",
        mostPeople + 1,
    );
    const invites = await ask(
        "SELECT * FROM seats.invites WHERE team = $1 AND status = 'open' ORDER BY invite LIMIT $2",
        mostPeople + 1,
    );
    const journal = await list(
        { ...visit, query: { team: name } },
        '/journal',
        'search_journal',
        { team: name },
        mostChanges,
    );
    const [one] = seats;
    const body = html`${one.problem && html`<p class="banner bad">${one.problem}</p>`}
${facts(visit, ['status:subscription_is subscription customer current_period_end:period_ends cancel_at_period_end:ends_then cancel_at trial_end paused:collection_is_paused collection_method:is_paid proven_at:read destination registered_at registered_by'], one)}
<p class="verbs">${verbButton(visit, 'reconcile', { team: name })}</p>
<h2>Seats</h2>
${table(
    visit,
    'Seats by type',
    [
        'seat_type:type quantity confirmed unconfirmed awaiting:await_payment used reserved billing_pending:reserved,_not_proved free',
    ],
    seats.filter((row) => row.seat_type),
    'It has none of any type.',
)}
${drift.length > 0 && html`<h2>Drift</h2>${table(visit, 'What Stripe has otherwise', ['aspect local:here stripe:at_Stripe since cause:probably'], drift, '')}`}
<h2>Changes</h2>
${table(visit, 'Changes of seats, the newest first', ['change state seats why decline_code paid who:asked_by created_at:asked settled_at:settled'], changes.slice(0, mostChanges), 'Nobody has changed its seats in the time that is kept.')}
${changes.length > mostChanges && notAll(`these are the newest ${mostChanges}.`)}
<h2>Open calls</h2>
${table(visit, 'Open calls of the team, the oldest first', ['call state state_since:since path:request due_at:next_try why'], calls.rows, 'None: Stripe knows all that was asked for.')}${calls.note}
<h2>People</h2>
${table(visit, 'Active members', ['user_id:member role seat_type:seat joined_at'], members.slice(0, mostPeople), 'Nobody is a member.')}
${members.length > mostPeople && notAll(`these are the first ${mostPeople} by their id.`)}
${table(visit, 'Open invites', ['address:invited role seat_type:seat billing_pending:seat_not_proved inviter:by expires_at'], invites.slice(0, mostPeople), 'No invite is open.')}
${invites.length > mostPeople && notAll(`these are the first ${mostPeople}.`)}
<h2>Journal</h2>${entries(visit, journal.rows, 'Nothing was written of it lately.')}${journal.note}
<p class="more"><a href="${link('/journal', { team: name })}">All that the journal says of ${name}</a></p>`;
    return { title: name, place: '/teams', body };
}
