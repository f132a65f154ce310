// Two who do something at once, one who does it twice, and what was changed between a page and its button.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { askForPrice, confirmButton, shows, teamPath } from './lib/shopping.js';
import { createStates } from './lib/states.js';
import { world } from './lib/world.js';

/** @typedef {import('./lib/states.js').Team} Team */
/** @typedef {import('playwright-core').Page} Page */

const used = await world();
const { control, newTeam, openPage, sql, startDashboard, until } = used;
const { page: pageOf, inDashboard } = createStates(used);

/** @param {Team} team */
const seatsOf = async (team) =>
    (await pageOf(team)).seat_types.find((/** @type {any} */ type) => type.seat_type === 'team');

/** Once all is settled: how many seats there are, here and at Stripe, and by how many changes. @param {Team} team */
async function bought(team) {
    await until(async () => (await pageOf(team)).open_changes_total === 0);
    const { quantity, confirmed } = await seatsOf(team);
    const { executed, executed_twice_count } = await control(`ledger?object=${team.subscription}`);
    assert.equal(executed_twice_count, 0);
    return { quantity, confirmed, executed: executed.length };
}

/** A window of the owner on the page that names the price of two seats. @param {string} origin @param {Team} team */
async function atThePrice(origin, team, options = {}) {
    const page = await openPage(origin, { user: team.owner, path: teamPath(team), ...options });
    await askForPrice(page, 'team', 2);
    return page;
}

/** What the browser got for a form, its last answer. @param {Page} page @param {() => Promise<unknown>} send */
async function statusOf(page, send) {
    const answered = page.waitForResponse((response) => response.url().endsWith('/team/seats'));
    await send();
    const status = (await answered).status();
    await page.waitForLoadState();
    return status;
}

test('two owners buy at once: one of them has bought, the other sees who', async () => {
    const team = await newTeam('at-once', { members: ['olga'] });
    const [olga] = team.members;
    await sql(`SELECT seats.change_member($1, $2, role => 'owner')`, [team.team, olga]);
    const { origin } = await startDashboard();
    const pages = [await atThePrice(origin, team), await atThePrice(origin, team, { user: olga })];

    const statuses = await Promise.all(pages.map((page) => statusOf(page, () => confirmButton(page).click())));
    assert.deepEqual(statuses.toSorted(), [303, 409]);
    assert.deepEqual(await bought(team), { quantity: 7, confirmed: 7, executed: 1 });
    const loser = statuses.indexOf(409);
    await shows(
        pages[loser],
        new RegExp(`${loser === 0 ? olga : team.owner} .*2 team seats.*Nothing was (bought|done)`),
    );
    await shows(pages[1 - loser], /2 team seats/);
});

test('a double click buys once', async () => {
    const team = await newTeam('double');
    const { origin } = await startDashboard();
    const page = await atThePrice(origin, team);
    await confirmButton(page).dblclick();
    await page.waitForURL(/change=/);
    assert.deepEqual(await bought(team), { quantity: 7, confirmed: 7, executed: 1 });
});

test('a form that is sent twice buys once, and says when that was', async () => {
    const team = await newTeam('twice');
    const { origin } = await startDashboard();
    const page = await atThePrice(origin, team);
    const { headers, body } = await new Promise((resolve) => {
        page.on('request', async (request) => {
            if (request.method() === 'POST') resolve({ headers: await request.allHeaders(), body: request.postData() });
        });
        confirmButton(page).click();
    });
    await page.waitForURL(/change=/);
    await bought(team);

    // As a browser does that sends it once more, because the answer was lost on its way.
    const again = await page.context().request.post(`${origin}/team/seats`, {
        headers: { origin, 'sec-fetch-site': 'same-origin', 'content-type': headers['content-type'] },
        data: body,
    });
    assert.equal(again.status(), 200, 'it was led to the page of the team');
    await page.goto(again.url());
    await shows(page, /Done already (at )?\d?\d:\d\d/);
    assert.deepEqual(await bought(team), { quantity: 7, confirmed: 7, executed: 1 });
});

test('back and forth: the page that has bought does not offer the same once more', async () => {
    const team = await newTeam('back');
    const { origin } = await startDashboard();
    const page = await atThePrice(origin, team);
    await confirmButton(page).click();
    await page.waitForURL(/change=/);
    await bought(team);
    await page.reload();
    await page.goBack();
    await page.getByRole('button', { name: 'Ask for the price again' }).waitFor();
    await shows(page, /You .*2 team seats.*7/);
    assert.equal(await confirmButton(page).count(), 0);
    assert.deepEqual(await bought(team), { quantity: 7, confirmed: 7, executed: 1 });
});

test('two tabs: what was bought in one is said in the other, which buys only when told so again', async () => {
    const team = await newTeam('tabs');
    const { origin } = await startDashboard();
    const first = await atThePrice(origin, team);
    const second = await atThePrice(origin, team, { beside: first });
    const asked = Number(await second.locator('input[name=proration_date]').inputValue());
    await confirmButton(second).click();
    await second.waitForURL(/change=/);
    await bought(team);

    // Two prices of one second have the same proration_date: the new one would be taken for the old one, and asked for anew.
    await until(() => Date.now() / 1000 >= asked + 1);
    assert.equal(await statusOf(first, () => confirmButton(first).click()), 409);
    await shows(first, /You .*2 team seats.*Nothing was (bought|done).*7/);
    assert.deepEqual(await bought(team), { quantity: 7, confirmed: 7, executed: 1 });
    // The same form, at the price of now.
    await first.locator('.sum').waitFor();
    assert.equal(await statusOf(first, () => confirmButton(first).click()), 303);
    assert.deepEqual(await bought(team), { quantity: 9, confirmed: 9, executed: 2 });
});

test('an owner who is none any more when she confirms buys nothing', async () => {
    const team = await newTeam('demoted', { members: ['olga'] });
    await sql(`SELECT seats.change_member($1, $2, role => 'owner')`, [team.team, team.members[0]]);
    const { origin } = await startDashboard();
    const page = await atThePrice(origin, team);
    await sql(`SELECT seats.change_member($1, $2, role => 'member')`, [team.team, team.owner]);
    assert.equal(await statusOf(page, () => confirmButton(page).click()), 403);
    await shows(page, /Only an owner/);
    assert.equal((await bought(team)).executed, 0);
});

test('who was removed when he confirms is told nothing of the team', async () => {
    const team = await newTeam('removed', { members: ['olga'] });
    await sql(`SELECT seats.change_member($1, $2, role => 'owner')`, [team.team, team.members[0]]);
    const { origin } = await startDashboard();
    const page = await atThePrice(origin, team);
    await sql('SELECT seats.remove_member($1, $2)', [team.team, team.owner]);
    assert.equal(await statusOf(page, () => confirmButton(page).click()), 404);
    assert.equal((await bought(team)).executed, 0);
});

test('a team whose subscription has ended meanwhile buys nothing, and the page says why', async () => {
    const team = await newTeam('ended');
    const { origin } = await startDashboard();
    const page = await atThePrice(origin, team);
    await inDashboard(team, { cancel: true });
    const status = await statusOf(page, () => confirmButton(page).click());
    assert.ok(status >= 400 && status < 500, String(status));
    await shows(page, /subscription is over|no such team/i);
    assert.equal((await control(`ledger?object=${team.subscription}`)).executed.length, 0);
});
