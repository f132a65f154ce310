// Buying seats and giving them back, in a browser: the sum is named before, it is done once, and what became of it is told.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { money } from '../../examples/team-dashboard/lib/words.js';
import { createStates } from './lib/states.js';
import { world } from './lib/world.js';

/** @typedef {import('playwright-core').Page} Page */

const tools = await world();
const { sql, control, newTeam, startDashboard, openPage, until } = tools;
const states = createStates(tools);

/** Asks for the price on the team's page. @param {Page} page @param {number} quantity @param {string} [button] @param {string} [type] @param {string} [answer] */
async function askPrice(page, quantity, button = 'Add …', type = 'team', answer = 'This price is good until') {
    const card = page.locator('.card', { has: page.getByRole('heading', { name: `${type} seats`, exact: true }) });
    await card.getByRole('spinbutton').fill(String(quantity));
    await card.getByRole('button', { name: button }).click();
    await page.getByText(answer).waitFor();
}

/** @param {Page} page @param {RegExp | string} words */
const told = (page, words) => page.locator('#part-notice').getByText(words).first().waitFor();

/** How often something was really bought at Stripe. @param {{subscription: string}} team */
const executed = async (team) => (await control(`ledger?path=/v1/subscriptions/${team.subscription}`)).executed.length;

/** @param {{team: string}} team @returns {Promise<number>} */
const seatsOf = async ({ team }) =>
    (await sql(`SELECT quantity FROM seats.teams WHERE team = $1 AND seat_type = 'team'`, [team]))[0].quantity;

/** @param {Page} page the fields of the form that buys */
const fieldsOf = (page) =>
    page
        .locator('form[action="/team/seats"]')
        .first()
        .evaluate((form) =>
            Object.fromEntries(/** @type {any} */ (new FormData(/** @type {HTMLFormElement} */ (form)))),
        );

test('a purchase names the sum, charges just that, and tells before and after', async () => {
    const team = await newTeam('buys');
    const { origin } = await startDashboard();
    const page = await openPage(origin, { user: team.owner });
    await askPrice(page, 3);
    assert.match(await page.locator('.sum').innerText(), /\$\d+\.\d\d\scharged to your card now/);
    const named = await page.locator('.sum b').innerText();
    assert.match(await page.locator('.numbers').innerText(), /5 → 8/);
    await page.getByRole('button', { name: 'Buy 3 team seats' }).click();
    await page.waitForURL(/\/team\?team=.*&change=\d+/);
    await told(page, /bought 3 team seats \(5 → 8\)/);
    await told(page, /Confirmed\. .* was paid/);
    assert.equal(await page.locator('#part-notice b').last().innerText(), named);
    const [{ paid }] = await sql('SELECT paid FROM seats.changes WHERE team = $1', [team.team]);
    assert.equal(named, money(paid, 'usd', 2, 'en-US'), 'what was paid is what was named');
    assert.equal(await executed(team), 1);
});

test('a purchase is done once, however often its form is sent', async () => {
    const team = await newTeam('twice');
    const { origin } = await startDashboard();
    const page = await openPage(origin, { user: team.owner });
    await askPrice(page, 2);
    const fields = await fieldsOf(page);
    await page.getByRole('button', { name: 'Buy 2 team seats' }).dblclick();
    await told(page, /2 team seats/);
    for (let time = 0; time < 3; time++) {
        const answer = await page.request.post(`${origin}/team/seats`, {
            form: fields,
            headers: { origin },
            maxRedirects: 0,
        });
        assert.equal(answer.status(), 303);
        assert.match(answer.headers().location, /did=again/);
    }
    const again = await page.request.post(`${origin}/team/seats`, { form: fields, headers: { origin } });
    assert.match(await again.text(), /Done already at <time datetime="[^"]+" data-as="moment">/);
    assert.equal(await seatsOf(team), 7);
    await until(async () => (await states.page(team)).open_changes_total === 0);
    assert.equal(await executed(team), 1);
});

test('a page without a script sends a double click once also', async () => {
    const team = await newTeam('plainly');
    const { origin } = await startDashboard();
    const page = await openPage(origin, { user: team.owner, javascript: false });
    await askPrice(page, 2);
    await page.getByRole('button', { name: 'Buy 2 team seats' }).dblclick();
    await page.waitForURL(/change=/);
    assert.equal(await seatsOf(team), 7);
});

test('nothing is bought by going back and clicking once more', async () => {
    const team = await newTeam('back');
    const { origin } = await startDashboard();
    const page = await openPage(origin, { user: team.owner });
    await askPrice(page, 2);
    await page.getByRole('button', { name: 'Buy 2 team seats' }).click();
    await told(page, /Confirmed/);
    await page.goBack();
    await page.getByText('You bought 2 team seats (5 → 7)').waitFor();
    assert.equal(await page.locator('form[action="/team/seats"]').count(), 0, 'nothing can be bought by that page');
    await page.getByRole('button', { name: 'Ask for the price again' }).click();
    await page.getByText('7 → 9').waitFor();
    await page.goto(`${origin}/team`);
    await page.reload();
    assert.equal(await seatsOf(team), 7);
});

test('a stale page tells who was faster, buys nothing, and asks for the price anew', async () => {
    const team = await newTeam('stale', { members: ['bob'] });
    const [bob] = team.members;
    await sql(`SELECT seats.change_member($1, $2, role => 'owner')`, [team.team, bob]);
    const { origin } = await startDashboard();
    const [ada, his] = [await openPage(origin, { user: team.owner }), await openPage(origin, { user: bob })];
    await askPrice(ada, 3);
    await askPrice(his, 2);
    const asked = Number(await ada.locator('[name=proration_date]').inputValue());
    await his.getByRole('button', { name: 'Buy 2 team seats' }).click();
    await told(his, /Confirmed/);
    // As in the test below: the new price is one of another second.
    await until(() => Date.now() / 1000 >= asked + 1);
    const answer = ada.waitForResponse((response) => response.url() === `${origin}/team/seats`);
    await ada.getByRole('button', { name: 'Buy 3 team seats' }).click();
    assert.equal((await answer).status(), 409);
    await ada.getByText(`${bob} bought 2 team seats (5 → 7)`).waitFor();
    await ada.getByText('Nothing was done by your click: there are 7 team seats now').waitFor();
    await ada.getByText('This price is good until').waitFor();
    assert.match(await ada.locator('.numbers').innerText(), /7 → 10/);
    assert.equal(await seatsOf(team), 7);
    await ada.getByRole('button', { name: 'Buy 3 team seats' }).click();
    await told(ada, /Confirmed/);
    assert.equal(await seatsOf(team), 10);
});

test('it is said that a price is none of this change alone while a colleague waits for Stripe', async () => {
    const team = await newTeam('together');
    await states.sent(team);
    const { origin } = await startDashboard();
    const page = await openPage(origin, { user: team.owner });
    await askPrice(page, 1, 'Add …', 'team', 'these sums count them, too');
    assert.equal((await fieldsOf(page)).proration_date, undefined, 'no price is promised');
    assert.equal(await page.getByText('good until').count(), 0);
    await page.getByRole('button', { name: "Buy 1 team seat at the plan's price" }).click();
    await told(page, /1 team seat is being added \(7 → 8\)/);
    await control('release', {});
    await told(page, /Confirmed/);
});

test('what an out-of-date click was told is not said of the next one, which has bought', async () => {
    const team = await newTeam('later');
    const { origin } = await startDashboard();
    const page = await openPage(origin, { user: team.owner });
    await askPrice(page, 3);
    const old = await fieldsOf(page);
    await states.settled(team, await states.buy(team, 2));
    const match = { method: 'POST', path: '/v1/invoices/create_preview', body: `*${team.subscription}*` };
    await control('faults', { match, fault: 'delay', ms: 600, times: -1 });
    // Two prices of one second have the same proration_date: the new one would be taken for the old one, and asked for anew.
    await until(() => Date.now() / 1000 >= Number(old.proration_date) + 1);
    const stale = await (await page.request.post(`${origin}/team/seats`, { form: old, headers: { origin } })).text();
    const [, address] = stale.match(/data-from="([^"]+)"/) ?? [];
    await page.goto(origin + address); // where a browser without a script goes on
    await page.getByText('Nothing was done by your click: there are 7 team seats now').waitFor();
    await page.getByRole('button', { name: 'Buy 3 team seats' }).click();
    await told(page, /Confirmed/);
    await page.goBack();
    await page.getByText('You bought 3 team seats (7 → 10)').waitFor();
    assert.equal(await page.getByText('Nothing was done').count(), 0);
});

test('what was not sent is taken back', async () => {
    const team = await newTeam('undo');
    await states.queued(team); // two are on their way, and one more waits behind them
    const { origin } = await startDashboard();
    const page = await openPage(origin, { user: team.owner });
    await page.getByRole('button', { name: 'Undo' }).click();
    await told(page, /wanted to buy 1 team seat \(7 → 8\).*Taken back: nothing has changed/);
    assert.equal(await seatsOf(team), 7);
    const { change } = (await states.page(team)).last_changes[0];
    const { token } = await page
        .locator('form[action="/team/quotes"]')
        .first()
        .evaluate((form) =>
            Object.fromEntries(/** @type {any} */ (new FormData(/** @type {HTMLFormElement} */ (form)))),
        );
    const twice = await page.request.post(`${origin}/team/cancel`, {
        form: { token, team: team.team, change },
        headers: { origin },
    });
    assert.equal(twice.status(), 409);
    assert.match(await twice.text(), /can no longer be taken back: it has gone to Stripe, or has ended already/);
});

test('seats are given back for a credit, and it is said that nothing is paid back', async () => {
    const team = await newTeam('fewer');
    const { origin } = await startDashboard();
    const page = await openPage(origin, { user: team.owner });
    await askPrice(page, 2, 'Give back …');
    assert.match(await page.locator('.sum').innerText(), /Nothing now; your next invoice, on .+, is\s\$30\.0[01]/s);
    await page.getByText('nothing: what you get is a credit for later invoices').waitFor();
    assert.doesNotMatch(await page.locator('main').innerText(), /refund/i);
    await page.getByRole('button', { name: 'Give back 2 team seats' }).click();
    await told(page, /gave back 2 team seats \(5 → 3\)/);
    await told(page, /Confirmed/);
});

/** @param {Parameters<typeof newTeam>[1]} options @param {(team: Awaited<ReturnType<typeof newTeam>>) => Promise<unknown>} [first] */
async function asked(options, first, locale = 'en-US', button = 'Add …') {
    const team = await newTeam('price', options);
    await first?.(team);
    const { origin } = await startDashboard();
    const page = await openPage(origin, { user: team.owner, locale });
    await askPrice(page, 2, button);
    return {
        page,
        sum: (await page.locator('.sum').innerText()).replace(/\s+/g, ' '),
        all: await page.locator('main').innerText(),
    };
}

test('what it costs is on an invoice, where invoices are sent', async () => {
    const { sum } = await asked({ subscription: { collection_method: 'send_invoice', days_until_due: 14 } });
    assert.match(sum, /^\$20\.00 on an invoice that is sent to you now/);
});
test('it costs nothing during a trial', async () => {
    const { sum } = await asked({ subscription: { trial_days: 14 } });
    assert.match(sum, /^Nothing during your trial; your first invoice, on .+, is \$90\.00/);
});
test('it is no credit that seats of a trial are given back for', async () => {
    const { sum, all } = await asked({ subscription: { trial_days: 14 } }, undefined, 'en-US', 'Give back …');
    assert.match(sum, /^Nothing during your trial; your first invoice, on .+, is \$50\.00/);
    assert.doesNotMatch(all, /credit/);
});
test('what a trial adds, and an invoice that is sent, is not being charged', async () => {
    for (const subscription of [{ trial_days: 14 }, { collection_method: 'send_invoice', days_until_due: 14 }]) {
        const team = await newTeam('uncharged', { subscription });
        await states.sent(team);
        const { origin } = await startDashboard();
        const page = await openPage(origin, { user: team.owner });
        await page.getByText('7 seats: 5 confirmed, 2 not confirmed yet').waitFor();
        await control('release', {});
    }
});
test('what is too little to be charged is paid by no credit', async () => {
    const { sum, all } = await asked({ currency: 'huf' });
    assert.match(sum, /^Nothing is charged for this now/);
    assert.match(all, /The invoice in all\s+HUF\s(20|19\.99)/);
    assert.doesNotMatch(all, /credit/);
});
test('it costs nothing where a credit pays, which is named', async () => {
    const { sum } = await asked({}, (team) => control(`customers/${team.customer}`, { balance: -500_000 }));
    assert.match(sum, /^Nothing is charged: your credit pays the \$(20\.00|19\.99)/);
});
test('what is owed from before is named', async () => {
    const { all } = await asked({}, (team) => control(`customers/${team.customer}`, { balance: 700 }));
    assert.match(all, /Owed from before, and due as well\s+\$7\.00/);
});
test('taxes are named', async () => {
    const { all } = await asked({ subscription: { tax_percent: 20 } });
    assert.match(all, /Taxes in it\s+\$(4\.00|3\.99)/);
});
test('it is said that nothing comes after a subscription that ends', async () => {
    const { all } = await asked({}, (team) => states.endsWithPeriod(team));
    assert.match(all, /nothing: it ends on/);
    const fewer = await asked({}, (team) => states.endsWithPeriod(team), 'en-US', 'Give back …');
    assert.match(fewer.sum, /^Nothing now; your next invoice, on \w+ \d+, \d+, is a credit of \$20\.0[01]/);
});
test('sums are in yen, which have no decimals, as a Japanese reads them', async () => {
    const { sum } = await asked({ currency: 'jpy' }, undefined, 'ja-JP');
    assert.match(sum, /^￥(2,000|1,999) charged/);
});
test('sums are in euros, as a German reads them', async () => {
    const { sum } = await asked({ currency: 'eur' }, undefined, 'de-DE');
    assert.match(sum, /(20,00|19,99) €/);
});
