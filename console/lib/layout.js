// What all pages have around them.
import { html } from './html.js';
import { places, when } from './words.js';

/** @import { Page, Visit } from '../types.d.ts' */

/**
 * @param {Pick<Visit, 'link'> & {person: string, token: string, signsIn: boolean}} visit
 * @param {Page} page
 */
export function layout(visit, page) {
    return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${page.title} · pg_seats</title><link rel="icon" href="data:,">
<link rel="stylesheet" href="${visit.link('/desk.css')}"><script src="${visit.link('/desk.js')}" defer></script>
</head>
<body>
<a class="skip" href="#main">To the content</a>
<header>
<nav aria-label="Pages"><strong>pg_seats</strong>
${Object.entries(places).map(([path, name]) => html`<a href="${visit.link(path)}"${page.place === path ? html` aria-current="page"` : ''}>${name}</a> `)}
</nav>
<form class="who" method="post" action="${visit.link('/sign-out')}">${visit.person}
${visit.signsIn && visit.person !== '' && html`<input type="hidden" name="token" value="${visit.token}"> <button>Sign out</button>`}
</form>
</header>
<main id="main" tabindex="-1"${page.isFixed ? '' : html` data-refresh="10"`}>
<h1>${page.title}</h1>
${page.notice && html`<p role="status" class="notice">${page.notice}</p>`}
${page.body}
<p class="as-of">As of ${when(new Date())} UTC<span data-refresh-state></span></p>
</main>
</body></html>
`;
}
