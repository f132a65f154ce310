// What all pages have in common.
import { html } from '../lib/html.js';

/** @import { Person } from '../types.d.ts' */

/**
 * @param {{ title: string, body: unknown, person?: Person | null, token?: string, team?: string, head?: unknown }} page
 */
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
    <header class="top">
      <a class="brand" href="/">${team ?? 'Your teams'}</a>
      ${
          person &&
          token &&
          html`<form method="post" action="/sign-out">
          <input type="hidden" name="token" value="${token}" />
          <span>${person.name}</span> <button class="quiet">Sign out</button>
        </form>`
      }
    </header>
    <main id="main" tabindex="-1">${body}</main>
  </body>
</html>`;

/** @param {{ person?: Person | null, statusCode: number, message: string }} error */
export const errorPage = ({ person, statusCode, message }) =>
    page({
        title: message,
        person,
        body: html`<section class="card">
      <h1>${statusCode === 404 ? 'Not found' : statusCode >= 500 ? 'That is our fault' : 'That was not done'}</h1>
      <p>${message}</p>
      <p><a href="/">Back to your teams</a></p>
    </section>`,
    });
