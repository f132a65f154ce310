// A team's page. What changes while it is open is a part, which the stream sends anew; forms to type into stand outside.
import { randomUUID } from 'node:crypto';
import { html } from '../lib/html.js';
import { by, money, payAt, say, tell, whatOf, when } from '../lib/words.js';
import { outcome } from './confirm.js';
import { hidden, page } from './page.js';

/** @import { Change, Html, Invite, Member, SeatType, State } from '../types.d.ts' */

/** Seats in one change, whatever more their type would allow. */
export const mostAtOnce = 50;

/** A form that is a button. @param {State} state @param {string} action @param {Record<string, unknown>} fields @param {unknown} label */
const button = ({ token, access }, action, fields, label) =>
    html`<form method="post" action="${action}">${hidden({ token, team: access.team, ...fields })}<button class="quiet">${label}</button></form>`;

/**
 * A list, and that it is cut, if it is.
 * @template T @param {State} state @param {string} title @param {T[]} items @param {number} total @param {(item: T, state: State) => Html} line
 */
const list = (state, title, items, total, line) =>
    items.length > 0 &&
    html`<h2>${title} <small>${total}</small></h2><ul>${items.map((item) => line(item, state))}</ul>
      ${total > items.length && html`<p class="note">The first ${items.length} of ${total}${total >= 1000 && ' or more'} are shown.</p>`}`;

/** @param {string | null} status */
const isOver = (status) => status === 'canceled' || status === 'incomplete_expired';

/** How the subscription is, and Stripe, where there is something to know. @param {State} state */
function standing({ page: { status, problem, past_due: due, subscription, stripe }, locale, access }) {
    const end = subscription?.cancel_at ?? (subscription?.cancel_at_period_end && subscription.current_period_end);
    const link = access.owner && payAt(due?.url);
    const sum = due && money(due.amount, due.currency, due.currency_decimals, locale);
    const values = {
        amount: sum ? html`<b>${sum}</b>` : 'your subscription',
        pay: link && html`<a class="button" href="${link}" rel="noreferrer">Pay the invoice</a>`,
        trial_end: subscription?.trial_end ? when(subscription.trial_end, locale, 'day') : 'the end of this period',
        end: end && when(end, locale, 'day'),
    };
    const first = problem ? ['problem'] : status ? [] : ['not_read'];
    const names = [...first, isOver(status) ? 'over' : status, !isOver(status) && end && 'ends', `stripe_${stripe}`];
    const isBad = (/** @type {string} */ name) => /^(problem|over|past_due|unpaid|incomplete)$/.test(name) && 'bad';
    const said = (/** @type {string} */ name) => [say('standing', name, values)].filter(Boolean);
    return names.map((name) => said(name).map((words) => html`<p class="banner ${isBad(name)} ${name}">${words}</p>`));
}

/** "8 seats: 5 confirmed, 3 being charged". @param {SeatType} type @param {State} state */
function counted({ quantity, confirmed, awaiting, pending }, { page }) {
    const charges = page.status !== 'trialing' && page.subscription?.collection_method !== 'send_invoice';
    const asked =
        charges && page.stripe === 'up' && page.open_changes.every(({ phase }) => /^(queued|sent)$/.test(phase ?? ''));
    const rest = [
        awaiting !== 0 && `, ${awaiting} waiting for a payment`,
        pending > 0 && `, ${pending} ${asked ? 'being charged' : 'not confirmed yet'}`,
        pending < 0 && `, ${-pending} being given back`,
    ].filter(Boolean);
    return html`<b>${quantity}</b> ${quantity === 1 ? 'seat' : 'seats'}${rest.length > 0 ? html`: ${confirmed} confirmed${rest}` : quantity > 0 && ', confirmed'}`;
}

/** @param {SeatType} type @param {State} state */
function numbers(type, state) {
    const { quantity, used, reserved, free, billing_pending: unproven, may_add: add, may_remove: remove } = type;
    if (!state.page.status) return html`<p>How many there are is not known yet.</p>`;
    if (isOver(state.page.status)) return html`<p>The subscription ended with ${quantity}.</p>`;
    const most = (/** @type {number} */ may) => Math.min(may, mostAtOnce);
    const can = [add > 0 && `add up to ${most(add)}`, remove > 0 && `give back up to ${most(remove)}`].filter(Boolean);
    const dot = (/** @type {number} */ i) =>
        html`<i class="${i < used ? 'used' : i < used + reserved ? 'kept' : 'free'}${i >= type.confirmed && ' open'}"></i>`;
    return html`<p class="count">${counted(type, state)}</p>
      <div class="dots" aria-hidden="true">${quantity <= 60 && Array.from({ length: quantity }, (_, i) => dot(i))}</div>
      <p>${used} in use, ${reserved > 0 && `${reserved} kept for invites${unproven > 0 ? ` (${unproven} not confirmed yet)` : ''}, `}${free < 0 ? html`<b class="bad">${-free} more than there are</b>` : `${free} free`}</p>
      ${state.page.may.buy && html`<p class="note">${can.length > 0 ? `You can ${can.join(', or ')}.` : 'None can be added or given back now.'}</p>`}`;
}

/** @param {Member} member @param {State} state */
const memberLine = ({ user_id: user, role, seat_type, joined_at, last_owner }, state) =>
    html`<li><div><b>${user}</b>${user === state.access.actor && ' (you)'}<small>${role}, ${seat_type ? `${seat_type} seat` : 'no seat'}, since ${when(joined_at, state.locale, 'day')}</small></div>
      ${state.access.owner && !last_owner && memberMenu(user, role === 'owner', state)}</li>`;

/** @param {string} user @param {boolean} isOwner @param {State} state */
const memberMenu = (user, isOwner, state) =>
    html`<details><summary>Change<span class="hidden"> ${user}</span></summary><div class="menu">
      ${button(state, '/team/members/role', { user, role: isOwner ? 'member' : 'owner' }, isOwner ? 'Make a member' : 'Make an owner')}
      ${button(state, '/team/members/remove', { user }, 'Remove')}</div></details>`;

/** @param {Invite} invite @param {State} state */
const inviteLine = ({ invite, address, role, seat_type, inviter, expires_at, billing_pending }, state) =>
    html`<li><div><b>${address}</b><small>${role}, ${seat_type ? `${seat_type} seat` : 'no seat'}${billing_pending && ' (not confirmed yet)'}, by ${inviter ?? 'our staff'}, until ${when(expires_at, state.locale)}</small></div>
      ${state.access.owner && button(state, '/team/invites/revoke', { invite }, html`Take back<span class="hidden"> the invite of ${address}</span>`)}</li>`;

/** @param {Change} change @param {State} state */
const changeLine = (change, state) =>
    html`<li class="${change.state}"><div><p><b>${by(change, state)}</b>${change.phase ? ': ' : ' '}${whatOf(change)}. ${tell(change, state)}</p><small>${when(change.settled_at ?? change.created_at, state.locale)}</small></div>
      ${change.may_cancel && state.page.may.cancel && button(state, '/team/cancel', { change: change.change }, 'Undo')}</li>`;

/** A name may hold anything, an id no space. @param {SeatType} type */
const idOf = (type) => `seats-${encodeURIComponent(type.seat_type)}`;

/** All that changes while the page is open, by id. @param {State} state @returns {Record<string, Html>} */
export const parts = (state) => {
    const { page: team, notice, change } = state;
    const contents = {
        standing: standing(state),
        notice: notice ? html`<p class="notice" role="status">${notice}</p>` : outcome(state),
        ...Object.fromEntries(team.seat_types.map((type) => [idOf(type), numbers(type, state)])),
        changes: list(state, 'Under way', team.open_changes, team.open_changes_total, changeLine),
        history: list(state, 'Last changes', team.last_changes, team.last_changes.length, changeLine),
        members: list(state, 'Members', team.members, team.members_total, memberLine),
        invites: list(state, 'Invited', team.invites, team.invites_total, inviteLine),
    };
    // What was refused when the page was loaded, or its invite's link, is not known later, and not taken away by a push.
    const known = Object.entries(contents).filter(([id]) => id !== 'notice' || notice || change);
    return Object.fromEntries(
        known.map(([id, content]) => [id, html`<section id="part-${id}" data-part>${content}</section>`]),
    );
};

/** Which forms there are. @param {State} state */
export const rightsOf = ({ access, page }) => [access.owner, ...Object.values(page.may)].map(Number).join('');

/** @param {SeatType} type @param {State} state */
const stepper = ({ seat_type, may_add: add, may_remove: remove }, { token, access, page: team }) =>
    team.may.buy &&
    (add > 0 || remove > 0) &&
    html`<form method="post" action="/team/quotes" class="stepper">${hidden({ token, team: access.team, seat_type })}
      <div><button type="button" class="quiet" data-step="-1" aria-label="One ${seat_type} seat less">−</button>
      <input type="number" name="quantity" value="1" min="1" max="${Math.min(Math.max(add, remove), mostAtOnce)}" required aria-label="How many ${seat_type} seats" />
      <button type="button" class="quiet" data-step="1" aria-label="One ${seat_type} seat more">+</button></div>
      <div>${add > 0 && html`<button name="operation" value="add">Add …</button>`}
      ${remove > 0 && html`<button class="quiet" name="operation" value="remove">Give back …</button>`}</div></form>`;

/** @param {State} state */
const inviteForm = ({ token, access, page: team }) =>
    html`<form method="post" action="/team/invites" class="card invite">${hidden({ token, team: access.team, key: randomUUID() })}
      <h2>Invite somebody</h2>
      <label class="wide">Address <input type="email" name="address" required maxlength="250" autocomplete="off" /></label>
      <label>Seat <select name="seat_type">${[...team.seat_types].sort((a, b) => b.free - a.free).map(({ seat_type: name }) => html`<option>${name}</option>`)}</select></label>
      <label>Role <select name="role"><option>member</option><option>owner</option></select></label>
      ${team.may.buy && html`<label class="wide check"><input type="checkbox" name="buy" value="true" /> If no seat is free, buy one. It is charged like any other.</label>`}
      <button>Make a link</button></form>`;

/** @param {State} state */
export const teamPage = (state) => {
    const { page: team, access, person, token } = state;
    const all = parts(state);
    const [change, did] = [`${state.change?.change ?? ''}`, state.did ?? ''];
    const events = new URLSearchParams({ team: team.team, change, did, rights: rightsOf(state) });
    const card = (/** @type {SeatType} */ type) =>
        html`<div class="card"><h2>${type.seat_type} seats</h2>${all[idOf(type)]}${stepper(type, state)}</div>`;
    const title = `Seats of ${team.team}`;
    const body = html`<h1 data-events="/team/events?${events}">${title}</h1>${all.standing}${all.notice}
      <div class="cards">${team.seat_types.map(card)}</div>${team.seat_types.length === 100 && html`<p class="note">The first 100 kinds of seats are shown.</p>`}
      ${all.changes}
      <div class="columns"><div>${all.members}</div><div>${access.owner && team.may.invite && inviteForm(state)}${all.invites}${all.history}</div></div>${state.foot}`;
    return page({ title, team: team.team, person, token, body });
};
