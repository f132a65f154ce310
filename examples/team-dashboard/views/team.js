// A team's page. What changes while it is open is a part, which the stream sends anew; forms to type into stand outside.
import { html } from '../lib/html.js';
import { page } from './page.js';

/** @import { Html, State } from '../types.d.ts' */

/** @param {string} id @param {unknown} content @param {string} [name] its class @returns {Html} */
const part = (id, content, name = '') => html`<section id="part-${id}" class="${name}" data-part>${content}</section>`;

/** The part of a seat type. A name may hold anything, an id no space. @param {any} type */
const idOf = (type) => `seats-${encodeURIComponent(type.seat_type)}`;

/** @param {any} type */
const numbers = (type) => html`<p class="count"><b>${type.quantity}</b> seats: ${type.confirmed} confirmed</p>`;

/** All that changes while the page is open, by id. @param {State} state @returns {Record<string, Html>} */
export const parts = (state) => {
    const { page: team } = state;
    return {
        notice: part('notice', state.notice && html`<p class="notice" role="status">${state.notice}</p>`),
        ...Object.fromEntries(
            team.seat_types.map((/** @type {any} */ type) => [idOf(type), part(idOf(type), numbers(type))]),
        ),
        changes: part(
            'changes',
            html`<h2>Under way</h2>
      <ul>${team.open_changes.map((/** @type {any} */ change) => html`<li>${change.phase}</li>`)}</ul>`,
            'card',
        ),
        members: part(
            'members',
            html`<h2>Members</h2>
      <ul>${team.members.map((/** @type {any} */ member) => html`<li>${member.user_id}</li>`)}</ul>`,
            'card',
        ),
    };
};

/** @param {State} state */
export const teamPage = (state) => {
    const { page: team, access, person, token } = state;
    const all = parts(state);
    return page({
        title: team.team,
        team: team.team,
        person,
        token,
        body: html`
      <h1 data-events="/team/events?${new URLSearchParams({ team: team.team, change: String(state.change ?? '') })}">${team.team}</h1>
      ${all.notice}
      ${team.seat_types.map(
          (/** @type {any} */ type) => html`<div class="card">
          <h2>${type.seat_type}</h2>
          ${all[idOf(type)]}
          ${
              access.owner &&
              html`<form method="post" action="/team/quotes" class="stepper">
            <input type="hidden" name="token" value="${token}" />
            <input type="hidden" name="team" value="${team.team}" />
            <input type="hidden" name="seat_type" value="${type.seat_type}" />
            <label>How many <input type="number" name="quantity" value="1" min="1" required /></label>
            <button name="operation" value="add">Add …</button>
            <button name="operation" value="remove">Give back …</button>
          </form>`
          }
        </div>`,
      )}
      ${all.changes} ${all.members}`,
    });
};
