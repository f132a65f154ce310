// While Stripe does not answer: the price cannot be asked for, and whoever wants to buys all the same, without losing it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import { createSigning } from '../../examples/team-dashboard/lib/signing.js';
import { createStates } from './lib/states.js';
import { world } from './lib/world.js';

/** @typedef {import('playwright-core').Page} Page */

const tools = await world();
const { sql, stripe, control, newTeam, startDashboard, openPage, until } = tools;
const states = createStates(tools);
const secret = 'a secret of these tests alone, long enough';

/** @param {Page} page @param {string} [button] */
const ask = (page, button = 'Add …') =>
    page
        .locator('.card', { has: page.getByRole('heading', { name: 'team seats', exact: true }) })
        .getByRole('button', { name: button })
        .click();

/** @param {Page} page @param {RegExp | string} words */
const told = (page, words) => page.locator('#part-notice').getByText(words).first().waitFor();

/** @param {{subscription: string}} team how often something was changed at Stripe */
const executed = async (team) => (await control(`ledger?path=/v1/subscriptions/${team.subscription}`)).executed.length;

test("in an outage seats are bought at the plan's price, and confirmed by themselves when it is over", async () => {
    const team = await newTeam('outage');
    const { origin } = await startDashboard();
    const page = await openPage(origin, { user: team.owner });
    await control('outage', { mode: 'refuse' });
    await ask(page);
    await page.getByText('The price cannot be asked for now').waitFor();
    await page.getByText('a month, before taxes').waitFor();
    const form = page.locator('form[action="/team/seats"]');
    assert.equal(await form.locator('[name=proration_date]').count(), 0, 'no price is promised');
    assert.equal(await form.locator('[name=expected]').inputValue(), '5');
    await page.getByRole('button', { name: "Buy 1 team seat at the plan's price" }).click();
    await told(page, /1 team seat is being added \(5 → 6\)/);
    await told(page, /Nothing is lost|asked again|is told as soon|is being asked/);
    assert.equal(await executed(team), 0);

    await control('outage', { mode: 'none' });
    await page
        .locator('#part-notice')
        .getByText(/Confirmed/)
        .waitFor({ timeout: 60_000 });
    assert.equal(await executed(team), 1, 'and once');
});

test("a plan's price is not named where an old one, or one of another currency, may be the team's", async () => {
    const key = { authorization: 'Bearer sk_test_simulator' };
    /** @param {boolean} active */
    const sold = (active) =>
        fetch(`${stripe}/v1/prices/price_team_year`, {
            method: 'POST',
            headers: key,
            body: new URLSearchParams({ active: String(active) }),
        });
    const team = await newTeam('old-plan', { interval: 'year' });
    const { origin } = await startDashboard();
    assert.equal((await sold(false)).status, 200);
    await states.readAgain(team);
    const [{ active }] = await sql("SELECT active FROM seats.prices WHERE price = 'price_team_year'");
    assert.equal(active, false);
    await control('outage', { mode: 'refuse' });
    const page = await openPage(origin, { user: team.owner });
    await ask(page);
    await page.getByText('What is due for the rest of this period, Stripe works out').waitFor();
    assert.equal(await page.getByText('a month, before taxes').count(), 0);
    await control('outage', { mode: 'none' });
    await sold(true);
});

test("a plan's price is not named in a currency that the team does not pay in", async () => {
    const item = { interval: 'month', currencies: ['eur'] };
    const items = [
        { ...item, price: 'price_owner_euros', unit_amount: 2000, quantity: 1 },
        { ...item, price: 'price_team_euros', unit_amount: 1000, quantity: 5 },
    ];
    await newTeam('dollars', { interval: 'euros', subscription: { items } });
    const team = await newTeam('euros', { interval: 'euros', subscription: { items, currency: 'eur' } });
    const { origin } = await startDashboard();
    await control('outage', { mode: 'refuse' });
    const page = await openPage(origin, { user: team.owner });
    await ask(page);
    await page.getByText('What is due for the rest of this period, Stripe works out').waitFor();
    assert.equal(await page.getByText('a month, before taxes').count(), 0);
});

test('a form without a price that is out of date buys nothing, and says who was faster', async () => {
    const team = await newTeam('faster');
    const { origin } = await startDashboard();
    const page = await openPage(origin, { user: team.owner });
    await control('outage', { mode: 'refuse' });
    await ask(page);
    await page.getByText('The price cannot be asked for now').waitFor();
    await states.buy(team, 2);
    await page.getByRole('button', { name: "Buy 1 team seat at the plan's price" }).click();
    await page
        .getByRole('alert')
        .getByText(/You bought 2 team seats \(5 → 7\).*Nothing was done/)
        .waitFor();
    assert.match(page.url(), /\/team\/seats$/);
    assert.equal(await page.locator('form[action="/team/seats"] [name=expected]').inputValue(), '7');
    assert.equal((await states.page(team)).open_changes.length, 1);
});

test('when Stripe has not answered for ten seconds a choice is given, and the price can still come', async () => {
    const team = await newTeam('late');
    const { origin } = await startDashboard({ sessionSecret: secret });
    await control('faults', {
        match: { method: 'POST', path: '/v1/invoices/create_preview', body: `*${team.subscription}*` },
        fault: 'hang',
        times: -1,
    });
    const page = await openPage(origin, { user: team.owner });
    await ask(page);
    await page.getByText('Stripe is asked what this costs').waitFor();
    // As it is eleven seconds later, without waiting for them: what was asked then is signed as the application does.
    const { sign, verify } = createSigning(secret);
    const address = new URL(page.url());
    const quote = verify('quote', address.searchParams.get('q') ?? '');
    address.searchParams.set('q', sign('quote', { ...quote, at: quote.at - 11 }));
    await page.goto(address.href);
    await page.getByText('The price cannot be asked for now').waitFor();
    assert.equal(await page.getByRole('button', { name: /at the plan's price/ }).count(), 1);
    await control('faults', undefined, 'DELETE');
    await control('release', {});
    await until(async () => {
        await page.getByRole('link', { name: 'Ask for the price again' }).click();
        return page.getByText('This price is good until').isVisible();
    });
    await page.getByRole('button', { name: 'Buy 1 team seat' }).click();
    await told(page, /Confirmed/);
});

for (const javascript of [true, false])
    test(`a late price comes by itself, ${javascript ? 'with' : 'without'} a script`, async () => {
        const team = await newTeam('plain');
        const { origin } = await startDashboard();
        await control('faults', {
            match: { method: 'POST', path: '/v1/invoices/create_preview', body: `*${team.subscription}*` },
            fault: 'delay',
            ms: 1500,
            times: -1,
        });
        const page = await openPage(origin, { user: team.owner, javascript });
        await ask(page);
        await page.getByText('Stripe is asked what this costs').waitFor();
        await page.getByText('This price is good until').waitFor();
        await page.getByRole('button', { name: 'Buy 1 team seat' }).click();
        await page.waitForURL(/change=/);
    });

test("an answer of Stripe's that is lost buys once", async () => {
    const team = await newTeam('lost');
    const { origin } = await startDashboard();
    const page = await openPage(origin, { user: team.owner });
    await states.fault(team, { fault: 'execute_and_drop' });
    await ask(page);
    await page.getByRole('button', { name: 'Buy 1 team seat' }).click();
    await told(page, /Confirmed/);
    assert.equal(await executed(team), 1);
});

test("while a key is refused the page says that it is nobody's loss, and seats are given back all the same", async () => {
    const team = await newTeam('halted');
    const { origin } = await startDashboard();
    await states.halted(team);
    const page = await openPage(origin, { user: team.owner });
    await ask(page, 'Give back …');
    await page.getByText('The price cannot be asked for now').waitFor();
    await page.getByRole('button', { name: 'Give back 1 team seat all the same' }).click();
    await told(page, /1 team seat is being given back \(7 → 6\)/);
    await control('keys', { key: 'sk_test_simulator', state: 'active' });
    // As an operator does who has put it right: by itself it is tried from time to time only.
    await sql(`SELECT seats.resume('stripe', reason => 'the key is good again')`);
    await page
        .locator('#part-notice')
        .getByText(/Confirmed/)
        .waitFor();
});

test('where nobody knows whether it was done, the page says so, and the same form does not do it twice', async () => {
    const team = await newTeam('unknown');
    const pool = new pg.Pool({ user: 'dashboard', max: 5 });
    const query = pool.query.bind(pool);
    let breaks = true;
    /** The connection breaks when the server has committed. @type {any} */
    const breaking = async (/** @type {any} */ text, /** @type {any} */ values) => {
        const result = await query(text, values);
        if (!/change_seats/.test(text) || !breaks) return result;
        breaks = false;
        throw Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' });
    };
    pool.query = breaking;
    const { origin, close } = await startDashboard({ pool });
    const page = await openPage(origin, { user: team.owner });
    await ask(page);
    await page.getByText('This price is good until').waitFor();
    await page.getByRole('button', { name: 'Buy 1 team seat' }).click();
    await page.getByText('Look whether it is done before you try again').waitFor();
    await page.reload(); // sends the same form once more
    await told(page, /Done already at .*You bought 1 team seat|1 team seat is being added/);
    await told(page, /Confirmed/);
    assert.equal(await executed(team), 1);
    await close();
    await pool.end();
});
