// What all pages have in common.
import { html } from '../lib/html.js';

/** @import { Person } from '../types.d.ts' */

/** @param {Record<string, unknown>} fields */
export const hidden = (fields) =>
    Object.entries(fields).map(([name, value]) => html`<input type="hidden" name="${name}" value="${value}" />`);

/** Of a team's page. @param {string} team @param {Record<string, any>} [more] */
export const teamAt = (team, more) => `/team?${new URLSearchParams({ team, ...more })}`;

/** @param {{ title: string, body: unknown, person?: Person | null, token?: string, team?: string, head?: unknown }} page */
export const page = ({ title, body, person, token, team, head }) => html`<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8" />
  <meta name="viewport" content="width=device-width, initial-scale=1" />
  <meta name="color-scheme" content="light dark" />
  <title>${title}</title>
  <link rel="icon" href="/public/icon.svg" />
  <link rel="stylesheet" href="/public/page.css" />
  <script src="/public/page.js" type="module"></script>
  ${head}
</head>
<body>
  <a class="skip" href="#main">Skip to the page</a>
  <header>
    <a class="brand" href="/">
      <img src="/public/icon.svg" alt="" width="30" height="30" /> ${team ?? 'Seats'}</a>
    ${person && html`<form method="post" action="${person.signOutAt}"><span>${person.name}</span> ${person.signOutAt && html`${hidden({ token })}<button class="quiet">Sign out</button>`}</form>`}
  </header>
  <main id="main" tabindex="-1">${body}</main>
</body>
</html>`;

/** @param {number} statusCode @param {string} message */
export const errorPage = (statusCode, message) => {
    const title = statusCode === 404 ? 'Not found' : statusCode >= 500 ? 'That did not work' : 'That was not done';
    const body = html`<section class="card narrow"><h1>${title}</h1><p>${message}</p><p><a href="/">To your teams</a></p></section>`;
    return page({ title, body });
};
