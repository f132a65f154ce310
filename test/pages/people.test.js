// Who belongs to a team: invited, accepted, made an owner, removed, while pages are open.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fitsItsWidth, world } from './lib/world.js';

const { axe, control, newTeam, openPage, sql, startDashboard, until } = await world();

/** @typedef {import('playwright-core').Page} Page */

/** Fills in the form, and gives the link. @param {Page} page @param {string} address @param {{role?: string, seat?: string, buy?: boolean}} [more] */
async function invite(page, address, { role = 'member', seat = 'team', buy = false } = {}) {
    await page.getByLabel('Address').fill(address);
    await page.locator('select[name=seat_type]').selectOption(seat);
    await page.locator('select[name=role]').selectOption(role);
    if (buy) await page.getByLabel('If no seat is free').check();
    await page.getByRole('button', { name: 'Make a link' }).click();
    await page.locator('output').waitFor();
    return page.locator('output').innerText();
}

/** @param {string} team @param {string} user */
const memberOf = async (team, user) =>
    (await sql(`SELECT role, seat_type, status FROM seats.members WHERE team = $1 AND user_id = $2`, [team, user]))[0];

test('somebody is invited by a link that is shown once, looks at it, and comes in with a button', async () => {
    const { team, owner } = await newTeam('inviting');
    const { origin } = await startDashboard();
    const page = await openPage(origin, { user: owner, path: `/team?team=${team}` });
    const first = await invite(page, 'ann@example.com');
    const link = await invite(page, 'ann@example.com');
    assert.notEqual(link, first, 'whoever asks twice has a link that is good, and one that is not');
    assert.match(link, new RegExp(`^${origin}/invites/[\\w-]{20,}$`));
    assert.match(await page.locator('#part-invites').innerText(), /ann@example\.com\s+member, team seat, by ada/);
    assert.match(await page.locator('#part-seats-team').innerText(), /0 in use, 1 kept for invites, 4 free/);
    await axe(page);

    // She opens the link, has to say first who she is, and comes back to it.
    const ann = `ann-${team}`;
    const hers = await openPage(origin, { path: new URL(link).pathname, width: 390, dark: true });
    await hers.getByLabel('Somebody else').fill(ann);
    await hers.getByLabel('Somebody else').press('Enter');
    await hers.getByRole('heading', { name: `Join ${team}` }).waitFor();
    assert.match(await hers.locator('main').innerText(), /ada-\w+ invites you to .* as a member, with one team seat/);
    await axe(hers);
    await fitsItsWidth(hers);
    assert.equal(await memberOf(team, ann), undefined, 'looking is not accepting');
    await hers.getByRole('button', { name: `Join as ${ann}` }).click();
    await hers.getByRole('heading', { name: `Seats of ${team}` }).waitFor();
    assert.deepEqual(await memberOf(team, ann), { role: 'member', seat_type: 'team', status: 'active' });
    assert.equal(
        await hers
            .getByRole('button')
            .filter({ hasNotText: /Sign out/ })
            .and(hers.locator('main button:visible'))
            .count(),
        0,
        'a member has nothing to press',
    );

    // The owner's page, which was open all the time, has her; the link is gone when it is loaded again, and good for nothing.
    await page.locator('#part-members', { hasText: ann }).waitFor();
    await page.goto(`${origin}/team?team=${team}`);
    assert.ok(!(await page.content()).includes(link.slice(-20)));
    await hers.goto(link);
    assert.match(await hers.locator('main').innerText(), /accepted or revoked|used|over/);
});

test('a seat that is missing is bought with the invite, and it says that it is not confirmed', async () => {
    const { team, owner, subscription } = await newTeam('buying', { seats: 1, members: ['bob'] });
    const { origin } = await startDashboard();
    const page = await openPage(origin, { user: owner, path: `/team?team=${team}` });
    await page.getByLabel('Address').fill('full@example.com');
    await page.locator('select[name=seat_type]').selectOption('team');
    await page.getByRole('button', { name: 'Make a link' }).click();
    await page.locator('#part-notice', { hasText: /free/ }).waitFor();
    assert.equal(await page.locator('#part-invites li').count(), 0, 'without the word nothing is bought');

    await control('faults', { match: { method: 'POST', path: `/v1/subscriptions/${subscription}` }, fault: 'hang' });
    await invite(page, 'new@example.com', { buy: true });
    assert.match(await page.locator('#part-notice').innerText(), /not confirmed yet/);
    assert.match(await page.locator('#part-invites').innerText(), /team seat \(not confirmed yet\)/);
    assert.match(
        await page.locator('#part-seats-team').innerText(),
        /2 seats: 1 confirmed, 1 (being charged|not confirmed yet)/,
    );
    await control('release', {});
    await page.locator('#part-seats-team', { hasText: '2 seats, confirmed' }).waitFor();
    await page.locator('#part-invites', { hasNotText: 'not confirmed' }).waitFor();
});

test('an invite whose form is sent once more, by a reload, buys no second seat', async () => {
    const { team, owner } = await newTeam('reloading', { seats: 1, members: ['bob'] });
    const { origin } = await startDashboard();
    const page = await openPage(origin, { user: owner, path: `/team?team=${team}` });
    const link = await invite(page, 'new@example.com', { buy: true });
    await sql('SELECT seats.accept_invite($1, $2)', [link.split('/').at(-1), `new-${team}`]);
    await page.reload(); // sends the form again
    await page.locator('#part-notice', { hasText: /was invited already, and the link was shown then/ }).waitFor();
    assert.equal(await page.locator('output').count(), 0);
    await page.locator('#part-seats-team', { hasText: '2 seats, confirmed' }).waitFor();
    assert.equal(await page.locator('#part-invites li').count(), 0);
});

test('an invite is taken back, and its link is good for nothing', async () => {
    const { team, owner } = await newTeam('revoking');
    const { origin } = await startDashboard();
    const page = await openPage(origin, { user: owner, path: `/team?team=${team}` });
    const link = await invite(page, 'ann@example.com');
    await page.getByRole('button', { name: 'Take back the invite of ann@example.com' }).click();
    await page.waitForURL(/\/team\?team=/);
    await page.locator('#part-invites', { hasNotText: 'ann@' }).waitFor({ state: 'attached' });
    assert.match(await page.locator('#part-seats-team').innerText(), /0 in use, 5 free/);
    await page.goto(link);
    assert.match(await page.locator('main').innerText(), /over|taken back|revoked/);
});

test('an owner is made and made a member again; the last one stays; whoever is removed is out at once', async () => {
    const { team, owner, members } = await newTeam('roles', { members: ['bob'] });
    const [bob] = members;
    const { origin } = await startDashboard();
    const page = await openPage(origin, { user: owner, path: `/team?team=${team}` });
    const his = await openPage(origin, { user: bob, path: `/team?team=${team}` });
    await his.locator('#part-members').waitFor();
    assert.equal(await his.locator('main form:not(.simulator form)').count(), 0, 'a member reads only');
    const menu = (/** @type {Page} */ on, /** @type {string} */ user) =>
        on.locator('#part-members li', { hasText: user }).locator('summary');
    assert.equal(await menu(page, owner).count(), 0, 'nothing can be done to the last owner');

    await menu(page, bob).click();
    await page.getByRole('button', { name: 'Make an owner' }).click();
    await until(async () => (await memberOf(team, bob)).role === 'owner');
    await his.getByRole('heading', { name: 'Invite somebody' }).waitFor(); // his open page has become an owner's
    await menu(page, owner).waitFor();

    await menu(his, owner).click();
    await his.getByRole('button', { name: 'Make a member' }).click();
    await page.getByRole('heading', { name: 'Invite somebody' }).waitFor({ state: 'detached' });
    assert.equal((await memberOf(team, owner)).role, 'member');

    await menu(his, owner).click();
    await his.getByRole('button', { name: 'Remove' }).click();
    await page.getByText('There is no such team, or you are not one of its members.').waitFor();
    assert.equal((await memberOf(team, owner)).status, 'removed');
});

test('whoever is in several teams chooses one, and who is in none is told so', async () => {
    const one = await newTeam('first');
    const two = await newTeam('second');
    await sql(`SELECT seats.add_member($1, $2)`, [two.team, one.owner]);
    const { origin } = await startDashboard();
    const page = await openPage(origin, { user: one.owner });
    await page.getByRole('link', { name: two.team }).click();
    await page.getByRole('heading', { name: `Seats of ${two.team}` }).waitFor();
    const nobody = await openPage(origin, { user: `nobody-${one.team}` });
    await nobody.getByText('You are in no team yet').waitFor();
    await axe(nobody);
});

test('lists that are cut say so', async () => {
    const { team, owner } = await newTeam('many');
    await sql(`SELECT seats.add_member($1, 'm' || n) FROM generate_series(1, 510) AS n`, [team]);
    const { origin } = await startDashboard();
    const page = await openPage(origin, { user: owner, path: `/team?team=${team}` });
    await page.getByText('The first 500 of 511 are shown.').waitFor();
    assert.equal(await page.locator('#part-members li').count(), 500);
});

test('all of it works without JavaScript', async () => {
    const { team, owner, members } = await newTeam('plain', { members: ['bob'] });
    const { origin } = await startDashboard();
    const page = await openPage(origin, { user: owner, path: `/team?team=${team}`, javascript: false });
    const link = await invite(page, 'ann@example.com');
    await page.locator('#part-members li', { hasText: members[0] }).locator('summary').click();
    await page.getByRole('button', { name: 'Remove' }).click();
    await page.waitForURL(/\/team\?team=/);
    assert.equal((await memberOf(team, members[0])).status, 'removed');
    const hers = await openPage(origin, { user: `ann-${team}`, path: new URL(link).pathname, javascript: false });
    await hers.getByRole('button', { name: /Join as/ }).click();
    await hers.getByRole('heading', { name: `Seats of ${team}` }).waitFor();
});
