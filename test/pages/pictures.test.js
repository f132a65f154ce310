// Makes the pictures that stand in README.md: a team's page, the page that names a price, and the desk's page of a review.
// They are kept only if PICTURES is a directory to write them to (README.md says how); otherwise it is only tried that they
// can be made, and are small. It needs a server that it has not run on before.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { askForPrice, teamPath } from './lib/shopping.js';
import { createStates } from './lib/states.js';
import { world } from './lib/world.js';

const used = await world();
const { control, newTeam, openPage, sql, startDashboard, startDesk, until } = used;
const states = createStates(used);

const width = 920;
const largest = 150_000; // bytes: they are in everybody's clone for ever

test('the pictures of README.md', async () => {
    const pictures = /** @type {Record<string, Buffer>} */ ({});
    /** @param {string} name @param {import('playwright-core').Page} page @param {string} [from] a heading, else all from the top */
    const take = async (name, page, from) => {
        // As high as what is on it, and no more.
        const bottom = await page.evaluate(() => Math.ceil(document.body.getBoundingClientRect().bottom));
        const top = from ? await page.getByText(from).evaluate((title) => title.getBoundingClientRect().top - 20) : 0;
        const clip = { x: 0, y: top, width, height: Math.min(bottom - top, 1100) };
        pictures[name] = await page.screenshot({ clip, fullPage: true });
    };

    const team = await newTeam('Northwind', { plain: true, seats: 5, owner: 'ada', members: ['bob', 'mark', 'olga'] });
    await sql(`SELECT seats.invite($1, 'ann@example.com', 'team', actor => $2)`, [team.team, team.owner]);
    await states.settled(team, await states.buy(team, 1));
    await states.declined(team);
    await states.card(team, 'ok');
    await states.sent(team);
    const { origin } = await startDashboard();
    const page = await openPage(origin, { user: team.owner, path: teamPath(team), width });
    await page.getByText('being charged').first().waitFor();
    await take('team', page);

    await control('release', {});
    await until(async () => (await states.page(team)).open_changes_total === 0);
    await page.reload();
    await askForPrice(page, 'team', 3);
    await take('price', page);

    const other = await newTeam('Contoso', { plain: true, owner: 'grace', members: ['tim'] });
    await states.retrying(other);
    const [{ call }] = await sql('SELECT max(change) AS call FROM seats.changes WHERE team = $1', [other.team]);
    await until(() => sql(`SELECT seats.review_call($1, 'its customer calls')`, [call]), { what: 'it is in review' });
    const desk = await startDesk();
    await take('review', await openPage(desk.origin, { path: `/reviews/${call}`, width }), 'Seats and money');

    const place = process.env.PICTURES;
    if (place) mkdirSync(place, { recursive: true });
    for (const [name, picture] of Object.entries(pictures)) {
        assert.ok(picture.length > 10_000, `${name}: something is on it`);
        assert.ok(picture.length < largest, `${name} has ${picture.length} bytes`);
        if (place) writeFileSync(`${place}/${name}.png`, picture);
    }
});
