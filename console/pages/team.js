// Teams by the beginning of their name, and all of one.
import { html } from '../lib/html.js';
import { facts, filters, list, notAll, table } from '../lib/parts.js';
import { verbButton } from '../lib/verbs.js';
import { entries } from './journal.js';

/** @import { Page, Visit } from '../types.d.ts' */

const most = 100;
const newest = 20;

/** @param {Visit} visit @returns {Promise<Page>} */
export async function teams(visit) {
    const { ask, query, link } = visit;
    const { prefix = '', after = '' } = query;
    const rows = await ask('SELECT * FROM seats.list_teams($1, $2, $3)', prefix, after, most);
    const none = prefix || after ? 'No other team has a name that begins so.' : 'No team is registered.';
    const last = rows.length === most && rows[most - 1].team;
    const body = html`${filters(visit, '/teams', 'prefix')}
${after && html`<p class="more">After ${after}. <a href="${link('/teams', { prefix })}">To the beginning</a></p>`}
${table(visit, 'Teams in the order of their names', 'team status:subscription_is problem subscription destination', rows, none)}
${last && notAll(html`there may be more. <a href="${link('/teams', { prefix, after: last })}">Go on after ${last}</a>`)}`;
    return { title: 'Teams', place: '/teams', body };
}

/** @param {Visit} visit @returns {Promise<Page>} */
export async function team(visit) {
    const { ask, link } = visit;
    const { team } = visit.params;
    // (That there is no such team is an error of this list.)
    const calls = await list({ ...visit, query: { team } }, '/outbox', 'list_calls', { team }, newest);
    const seats = await ask('SELECT * FROM seats.teams WHERE team = $1 ORDER BY seat_type', team);
    const types = seats.filter((row) => row.seat_type);
    const drift = await ask("SELECT * FROM seats.drift WHERE kind = 'team' AND team = $1 ORDER BY aspect", team);
    const changes = await ask(
        `SELECT *, seat_type || ' ' || previous_quantity || ' → ' || new_quantity AS seats FROM seats.changes
          WHERE team = $1 ORDER BY change DESC, seat_type LIMIT $2`,
        team,
        newest + 1,
    );
    /** @param {string} sql */
    const people = (sql) => ask(`SELECT * FROM ${sql} LIMIT $2`, team, most + 1);
    const members = await people("seats.members WHERE team = $1 AND status = 'active' ORDER BY user_id");
    const invites = await people("seats.invites WHERE team = $1 AND status = 'open' ORDER BY invite");
    const journal = await list({ ...visit, query: { team } }, '/journal', 'search_journal', { team }, newest);
    const body = html`${seats[0].problem && html`<p class="banner">${seats[0].problem}</p>`}
${facts(visit, 'status:subscription_is subscription customer current_period_end:period_ends cancel_at_period_end:ends_then cancel_at trial_end paused:collection_is_paused collection_method:is_paid proven_at:read destination registered_at registered_by', seats[0])}
<p class="verbs">${verbButton(visit, 'reconcile', { team })}</p>
<h2>Seats</h2>
${table(visit, 'Seats by type', 'seat_type:type quantity confirmed unconfirmed awaiting:await_payment used reserved billing_pending:reserved,_unproved free', types, 'It has none of any type.')}
${drift.length > 0 && html`<h2>Drift</h2>${table(visit, 'What Stripe has otherwise', 'aspect local:here stripe:at_Stripe since cause:probably', drift, '')}`}
<h2>Changes</h2>
${table(visit, 'Changes of seats, the newest first', 'change state seats why decline_code paid who:asked_by created_at:asked settled_at:settled', changes, 'Nobody has changed its seats in the time that is kept.', newest)}
<h2>Open calls</h2>
${table(visit, 'Open calls of the team, the oldest first', 'call state state_since:since path:request due_at:next_try why', calls.rows, 'None: Stripe knows all that was asked for.')}${calls.note}
<p class="more"><a href="${link('/outbox', { team })}">Its calls in the outbox</a></p>
<h2>People</h2>
${table(visit, 'Active members', 'user_id:member role seat_type:seat joined_at', members, 'Nobody is a member.', most)}
${table(visit, 'Open invites', 'address:invited role seat_type:seat billing_pending:seat_not_proved inviter:by expires_at', invites, 'No invite is open.', most)}
<h2>Journal</h2>
${entries(visit, journal.rows, 'Nothing was written of it lately.')}${journal.note}
<p class="more"><a href="${link('/journal', { team })}">All that the journal says of ${team}</a></p>`;
    return { title: team, place: '/teams', body };
}
