// How pages look in each state of a team: once in a narrow, dark window, and some in a wide, light one; to those who see
// little, use only the keyboard, read other languages, or have switched JavaScript off.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { askForPrice, confirmButton, shows, stepper, teamPath } from './lib/shopping.js';
import { createStates } from './lib/states.js';
import { fitsItsWidth, world } from './lib/world.js';

/** @typedef {import('./lib/states.js').Team} Team */
/** @typedef {import('playwright-core').Page} Page */

const used = await world();
const { axe, control, newTeam, openPage, sql, startDashboard, until } = used;
const states = createStates(used);

const narrow = { width: 390, dark: true };
const wide = { width: 1280, dark: false };

/** What a thumb is to meet is large enough, and holds what it says. @param {Page} page */
async function isEasyToTouch(page) {
    const wrong = await page.evaluate(() =>
        [...document.querySelectorAll('main :is(button, .button, summary, select, input), header button')]
            .filter((element) => element.checkVisibility() && !element.matches('[type=hidden], [type=checkbox]'))
            .filter((element) => {
                const isCut = !element.matches('input') && element.scrollWidth > element.clientWidth;
                return isCut || element.getBoundingClientRect().height < 44;
            })
            .map((element) => element.outerHTML),
    );
    assert.deepEqual(wrong, [], `too small to be touched, or for its words, on ${page.url()}`);
}

/** @param {Page} page @param {RegExp} pattern what must stand there */
async function looksGood(page, pattern) {
    await shows(page, pattern);
    await fitsItsWidth(page);
    await isEasyToTouch(page);
    const ring = await page.locator('main').evaluate((main) => getComputedStyle(main).outlineStyle);
    assert.equal(ring, 'none', 'the focus that is on the page as a whole is no ring around it');
    await axe(page);
}

/** @type {[string, (team: Team) => Promise<unknown>, RegExp, object?][]} */
const teamStates = [
    ['quiet', async () => {}, /5 seats, confirmed/],
    ['sent', states.sent, /7 seats: 5 confirmed, 2 being charged.*Stripe is being asked/],
    ['queued', states.queued, /8 seats: 5 confirmed, 3 being charged.*Stripe is told/],
    ['asked again', states.retrying, /2 not confirmed yet.*is asked again/],
    ['with Stripe down', states.stripeDown, /cannot be sent just now/],
    ['with the limit used up', states.limitUsedUp, /takes no more changes/],
    ['waiting for a payment', states.awaitingPayment, /2 waiting for a payment.*must still be paid/],
    ['in review', states.inReview, /Our staff is looking at it/],
    ['declined', states.declined, /not enough money on the card.*Use another card/],
    ['with an expired card', (team) => states.declined(team, 'expired_card'), /card has expired/],
    ['where the bank asks', (team) => states.declined(team, 'requires_action'), /bank wants you to approve/],
    ['with a key that is no longer good', states.halted, /cannot be sent just now/],
    ['over', states.cancelled, /subscription is over/i],
    ['that ends with its period', states.endsWithPeriod, /ends/i],
    ['past due', states.pastDue, /Pay the invoice/, { interval: 'day' }],
    ['on trial', async () => {}, /trying this out until .*\d/, { subscription: { trial_days: 14 } }],
    ['that cannot be counted', states.problem, /our staff/i],
    [
        'of many, with long names',
        async ({ team, owner }) => {
            const long = `${'a-very-long-name-without-any-space-'.repeat(5)}<b>&amp;"'`;
            await sql(`SELECT seats.add_seats($1, 'team', 50)`, [team]);
            await sql(`SELECT seats.add_member($1, $2 || i, seat_type => 'team') FROM generate_series(1, 40) AS i`, [
                team,
                long,
            ]);
            await sql(`SELECT seats.invite($1, i || $2, 'team', actor => $3) FROM generate_series(1, 3) AS i`, [
                team,
                `${long}@example.com`,
                owner,
            ]);
        },
        /a-very-long-name/,
    ],
    ['of a type that it has none of', async () => {}, /0 seats/, { seats: 0 }],
];

for (const [name, make, pattern, options] of teamStates) {
    test(`a team's page: ${name}`, async () => {
        const team = await newTeam('looks', { members: name.includes('none') ? [] : ['bob', 'mark'], ...options });
        await make(team);
        const { origin } = await startDashboard();
        const page = await openPage(origin, { user: team.owner, path: teamPath(team), ...narrow });
        await looksGood(page, pattern);
        if (name === 'quiet' || name === 'waiting for a payment') {
            await looksGood(await openPage(origin, { user: team.owner, path: teamPath(team), ...wide }), pattern);
        }
    });
}

test("a team's page: what a member sees who is no owner", async () => {
    const team = await newTeam('member', { members: ['bob'] });
    const { origin } = await startDashboard();
    const page = await openPage(origin, { user: team.members[0], path: teamPath(team), ...narrow });
    await looksGood(page, /5 seats, confirmed/);
    assert.equal(await stepper(page, 'team').count(), 0);
});

/** @type {[string, (page: Page, team: Team) => Promise<unknown>, RegExp, object?][]} */
const prices = [
    ['charged now', (page) => askForPrice(page, 'team', 2), /\$20\.00 charged to your card now/],
    ['a credit', (page) => askForPrice(page, 'team', 2, 'remove'), /credit/],
    [
        'asked for',
        async (page, team) => {
            await control('faults', { match: { path: '/v1/invoices/create_preview' }, fault: 'hang' });
            await stepper(page, 'team').locator('button[value=add]').click();
            await page.locator('[data-ask-again]').waitFor();
            return team;
        },
        /is asked what this costs/,
    ],
    [
        'not to be had',
        async (page) => {
            await control('outage', { mode: 'refuse' });
            await until(
                async () => (await sql(`SELECT breaker FROM seats.destinations WHERE name = 'stripe'`))[0].breaker,
            );
            await stepper(page, 'team').locator('button[value=add]').click();
            await page.getByText('cannot be asked for now').waitFor();
        },
        /at the plan's price/,
    ],
    [
        'out of date',
        async (page, team) => {
            await askForPrice(page, 'team', 2);
            await states.settled(team, await states.buy(team, 1));
            assert.match(page.url(), /quotes/);
            await confirmButton(page).click();
            await page.getByRole('alert').waitFor();
        },
        /bought 1 team seat/,
    ],
    ['in yen', (page) => askForPrice(page, 'team', 2), /[¥￥]2,000 charged/, { currency: 'jpy' }],
];

for (const [name, make, pattern, options] of prices) {
    test(`the page that names the price: ${name}`, async () => {
        const team = await newTeam('price', { members: ['bob'], ...options });
        const { origin } = await startDashboard();
        const page = await openPage(origin, { user: team.owner, path: teamPath(team), ...narrow });
        await make(page, team);
        await looksGood(page, pattern);
        if (name === 'charged now' || name === 'not to be had') {
            const address = page.url();
            await page.setViewportSize({ width: 1280, height: 900 });
            await page.emulateMedia({ colorScheme: 'light' });
            if (!address.endsWith('/team/seats')) await page.reload();
            await looksGood(page, pattern);
        }
    });
}

/** What has the focus, and whether one sees it: an outline, or something else that was not there before. @param {Page} page */
const focused = (page) =>
    page.evaluate(() => {
        const element = /** @type {HTMLElement} */ (document.activeElement);
        const { outlineStyle, outlineWidth } = getComputedStyle(element);
        const { width, height } = element.getBoundingClientRect();
        return {
            what: `${element.tagName} ${element.getAttribute('name') ?? element.textContent?.trim()} ${element.getAttribute('value') ?? ''}`,
            inForm: /** @type {HTMLFormElement | null} */ (element.closest('form'))?.getAttribute('action') ?? '',
            isVisible: outlineStyle !== 'none' && parseFloat(outlineWidth) >= 1 && width > 0 && height > 0,
        };
    });

/** Tab, until what is meant has the focus; all that had it on the way was to be seen. @param {Page} page @param {(what: Awaited<ReturnType<typeof focused>>) => boolean} isMeant */
async function tabTo(page, isMeant) {
    const way = [];
    for (let presses = 0; presses < 60; presses++) {
        await page.keyboard.press('Tab');
        const now = await focused(page);
        way.push(now.what);
        assert.ok(now.isVisible || now.what.startsWith('BODY'), `the focus is not to be seen on: ${now.what}`);
        if (isMeant(now)) return;
    }
    assert.fail(`Tab does not lead there, but to ${way.join(', ')}`);
}

test('a whole purchase with nothing but the keyboard', async () => {
    const team = await newTeam('keyboard');
    const { origin } = await startDashboard();
    const page = await openPage(origin, { user: team.owner, path: teamPath(team) });
    await page.keyboard.press('Tab');
    assert.match((await focused(page)).what, /^A Skip/, 'the first Tab is to what one has come for');
    await page.keyboard.press('Enter');

    const form = stepper(page, 'team');
    await tabTo(page, ({ what, inForm }) => inForm === '/team/quotes' && what.startsWith('INPUT quantity'));
    while (!(await form.evaluate((element) => element.contains(document.activeElement))))
        await tabTo(page, ({ what, inForm }) => inForm === '/team/quotes' && what.startsWith('INPUT quantity'));
    await page.keyboard.press('ArrowUp');
    await page.keyboard.press('ArrowUp');
    assert.equal(await form.locator('input[name=quantity]').inputValue(), '3');
    await tabTo(page, ({ what }) => what.startsWith('BUTTON operation add'));
    await page.keyboard.press('Enter');
    await page.locator('.sum').waitFor();
    await shows(page, /\$30\.00 charged to your card now/);
    await tabTo(page, ({ inForm }) => inForm === '/team/seats');
    await page.keyboard.press('Enter');
    await page.waitForURL(/change=/);
    await page.getByText('8 seats, confirmed').waitFor();
});

for (const [locale, currency, sum] of /** @type {const} */ ([
    ['de-DE', 'eur', /20,00\s€/],
    ['ja-JP', 'jpy', /[¥￥]2,000/],
])) {
    test(`sums and dates as they are written in ${locale}`, async () => {
        const team = await newTeam('locale', { currency });
        const { origin } = await startDashboard();
        const page = await openPage(origin, { user: team.owner, path: teamPath(team), locale, ...narrow });
        await askForPrice(page, 'team', 2);
        await looksGood(page, sum);
        await confirmButton(page).click();
        await page.waitForURL(/change=/);
        await page.getByText('7 seats, confirmed').waitFor();
        await looksGood(page, sum);
        const month = await page.locator('time').first().innerText();
        assert.match(month, locale === 'de-DE' ? /\d\d:\d\d|\d+\. \p{L}+/u : /\d\d:\d\d|年|月/, 'a date of the reader');
    });
}

test('nothing moves for those whom that makes ill', async () => {
    const team = await newTeam('still');
    await states.sent(team);
    const { origin } = await startDashboard();
    const page = await openPage(origin, { user: team.owner, path: teamPath(team), reducedMotion: true });
    await shows(page, /being charged/);
    const moving = await page.evaluate(() =>
        document.getAnimations().map((animation) => `${animation.playState} ${animation.id}`),
    );
    assert.deepEqual(moving, []);
    const transitions = await page.evaluate(() =>
        [...document.querySelectorAll('*')]
            .filter((element) =>
                getComputedStyle(element)
                    .transitionDuration.split(', ')
                    .some((duration) => parseFloat(duration) > 0.01),
            )
            .map((element) => element.tagName),
    );
    assert.deepEqual(transitions, []);
});

test('a purchase without JavaScript', async () => {
    const team = await newTeam('plain');
    const { origin } = await startDashboard();
    const page = await openPage(origin, { user: team.owner, path: teamPath(team), javascript: false });
    const form = stepper(page, 'team');
    await form.locator('input[name=quantity]').fill('2');
    await form.locator('button[value=add]').click();
    // The page asks itself again, by its own refresh.
    await page.locator('.sum').waitFor();
    await confirmButton(page).click();
    await page.waitForURL(/change=/);
    await until(async () => (await states.page(team)).open_changes_total === 0);
    await page.reload();
    await shows(page, /7 seats, confirmed/);
});
