// What Stripe, or a bank, does not take: what was bought is taken back on the page, which says why and what can be done.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createStates } from './lib/states.js';
import { world } from './lib/world.js';

/** @typedef {import('playwright-core').Page} Page */

const tools = await world();
const { sql, control, newTeam, startDashboard, openPage } = tools;
const states = createStates(tools);
const cardUrl = 'https://billing.stripe.com/p/login/test';

/** Buys on the page, as an owner does. @param {Page} page @param {number} quantity @param {string} type */
async function buy(page, quantity, type) {
    const card = page.locator('.card', { has: page.getByRole('heading', { name: `${type} seats`, exact: true }) });
    await card.getByRole('spinbutton').fill(String(quantity));
    await card.getByRole('button', { name: 'Add …' }).click();
    await page.getByText('This price is good until').waitFor();
    await page.getByRole('button', { name: `Buy ${quantity} ${type} seat` }).click();
    await page.waitForURL(/change=/);
}

/** @param {Page} page @param {RegExp | string} words */
const told = (page, words) => page.locator('#part-notice').getByText(words).first().waitFor();

/** @param {{team: string}} team @param {string} type @returns {Promise<number>} */
const seatsOf = async ({ team }, type) =>
    (await sql('SELECT quantity FROM seats.teams WHERE team = $1 AND seat_type = $2', [team, type]))[0].quantity;

/** A form of this page's, as it would be sent. @param {Page} page @param {string} action @returns {Promise<Record<string, string>>} */
const fieldsOf = (page, action) =>
    page
        .locator(`form[action="${action}"]`)
        .first()
        .evaluate((form) =>
            Object.fromEntries(/** @type {any} */ (new FormData(/** @type {HTMLFormElement} */ (form)))),
        );

for (const [card, words] of /** @type {const} */ ([
    ['insufficient_funds', 'There is not enough money on the card. Use another card, or ask the bank.'],
    ['expired_card', 'The card has expired. Use another card, or ask the bank.'],
    ['declined', 'The bank has declined the card, and does not say why. Use another card, or ask the bank.'],
])) {
    test(`a purchase is undone on the page when the card is ${card}`, async () => {
        const team = await newTeam('declined', { card });
        const { origin } = await startDashboard({ cardUrl });
        const page = await openPage(origin, { user: team.owner });
        await buy(page, 1, 'owner');
        await told(page, /wanted to buy 1 owner seat \(1 → 2\)/);
        await told(page, `Undone: nothing was bought, and nothing was charged. ${words}`);
        assert.equal(await page.locator('#part-notice a').getAttribute('href'), cardUrl);
        assert.equal(await seatsOf(team, 'owner'), 1);
        const { executed } = await control(`ledger?path=/v1/subscriptions/${team.subscription}`);
        assert.deepEqual(
            executed.map((/** @type {any} */ row) => row.outcome),
            ['refused'],
            'nothing was charged',
        );
    });
}

test('after a decline the old form tries nothing again, and a new one does', async () => {
    const team = await newTeam('again', { card: 'declined' });
    const { origin } = await startDashboard();
    const page = await openPage(origin, { user: team.owner });
    const card = page.locator('.card', { has: page.getByRole('heading', { name: 'owner seats', exact: true }) });
    await card.getByRole('button', { name: 'Add …' }).click();
    await page.getByText('This price is good until').waitFor();
    const old = await fieldsOf(page, '/team/seats');
    await page.getByRole('button', { name: 'Buy 1 owner seat' }).click();
    await told(page, /Undone/);
    await states.card(team, 'ok');

    const answer = await page.request.post(`${origin}/team/seats`, { form: old, headers: { origin } });
    const text = (await answer.text()).replace(/\s+/g, ' ');
    assert.match(
        text,
        /Done already at <time[^>]*>[^<]*<\/time>\. <b>You wanted to buy 1 owner seat \(1 → 2\)\.<\/b> Undone/,
    );
    assert.equal(await seatsOf(team, 'owner'), 1);

    await page.goto(`${origin}/team`);
    await buy(page, 1, 'owner');
    await told(page, /Confirmed/);
    assert.equal(await seatsOf(team, 'owner'), 2);
});

test('where a bank asks and the purchase cannot wait, nothing is bought, and it is no decline', async () => {
    const team = await newTeam('asks', { card: 'requires_action' });
    const { origin } = await startDashboard({ cardUrl });
    const page = await openPage(origin, { user: team.owner });
    await buy(page, 1, 'owner');
    await told(page, /The bank wants you to approve the payment, and this purchase could not wait for that/);
    await told(page, /The card was not declined/);
    assert.equal(await seatsOf(team, 'owner'), 1);
    assert.equal(await page.getByText('has declined').count(), 0);
});

test('where a bank asks and the purchase waits, the page says how much, where and until when', async () => {
    const team = await newTeam('waits', { card: 'requires_action' });
    const { origin } = await startDashboard();
    const page = await openPage(origin, { user: team.owner });
    await buy(page, 2, 'team');
    await told(page, /\$(20\.00|19\.99) must still be paid, or approved at your bank, by/);
    const link = page.locator('#part-notice a', { hasText: 'Pay or approve' });
    assert.match((await link.getAttribute('href')) ?? '', /^https:\/\/invoice\.stripe\.com\//);
    await page.getByText('5 confirmed, 2 waiting for a payment').waitFor();

    const invoice = (await states.page(team)).open_changes[0].invoice.invoice;
    const [intent] = (await control(`payment_intents?invoice=${invoice}`)).payment_intents;
    await control(`payment_intents/${intent.id}`, { action: 'authenticate' });
    await states.readAgain(team);
    await told(page, /You bought 2 team seats \(5 → 7\)\. Confirmed\. \$(20\.00|19\.99) was paid/);
});

test('what waits behind a payment is neither charged nor told in a moment', async () => {
    const team = await newTeam('behind');
    await states.awaitingPayment(team);
    await states.buy(team, 1, 'owner');
    await states.inPhase(team, 'queued');
    const { origin } = await startDashboard();
    const page = await openPage(origin, { user: team.owner });
    await page.getByText('2 seats: 1 confirmed, 1 not confirmed yet').waitFor();
    await page.getByText('Stripe is told as soon as it is its turn').waitFor();
});

test('what waits for a payment is taken back, and it is said that Stripe has still to confirm that', async () => {
    const team = await newTeam('unpaid', { card: 'declined' });
    const { origin } = await startDashboard();
    const page = await openPage(origin, { user: team.owner });
    await states.fault(team, { fault: 'hang', match: { method: 'POST', path: '/v1/invoices/*/void' } });
    await buy(page, 2, 'team');
    await told(page, /must still be paid/);
    await page.getByRole('button', { name: 'Undo' }).click();
    await told(page, /It is being taken back: Stripe has still to confirm that it was not paid/);
    const other = await openPage(origin, { user: team.owner }); // which has not asked for it
    await other.getByText('It is being taken back').waitFor();
    assert.equal(await other.getByText('must still be paid').count(), 0);
    assert.equal(await other.getByRole('link', { name: 'Pay or approve' }).count(), 0);
    await control('release', {});
    await told(page, /Taken back: nothing has changed/);
    assert.equal(await seatsOf(team, 'team'), 5);
});

test('words of Stripe that nobody knows here, and links that lead elsewhere, are not shown', async () => {
    const { payAt, tell } = await import('../../examples/team-dashboard/lib/words.js');
    const change = /** @type {any} */ ({
        change: 1,
        lines: [{ seat_type: 'team', operation: 'add', quantity: 1, previous_quantity: 5, new_quantity: 6 }],
        created_at: '2026-11-30T14:02:00Z',
    });
    const reader = { locale: 'en', cardUrl: null, access: { team: 'acme', actor: 'ada', owner: true } };
    for (const decline_code of ['constructor', '__proto__', '<b>', 'brand_new_code']) {
        const text = `${tell({ ...change, state: 'reverted', reason: 'payment_failed', decline_code }, reader)}`;
        assert.match(text, /The bank has declined the card, and does not say why/);
        assert.doesNotMatch(text, /native code|<b>|brand_new_code/);
    }
    assert.match(`${tell({ ...change, state: 'reverted', reason: 'a_new_reason' }, reader)}`, /Stripe has refused it/);
    const wrong = [
        'javascript:alert(1)',
        'http://invoice.stripe.com/i',
        'https://stripe.com.evil.example/',
        'https://evil.example/stripe.com/',
    ];
    for (const url of [
        ...wrong,
        'https://stripe.com@evil.example/',
        'https://invoice.stripe.com:8443/',
        'https://evilstripe.com/',
        '',
        null,
        7,
    ])
        assert.equal(payAt(url), null, String(url));
    assert.equal(payAt('https://invoice.stripe.com/i/acct_1/in_1'), 'https://invoice.stripe.com/i/acct_1/in_1');
});
