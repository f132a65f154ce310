// "Make Stripe …": each state of docs/pages.md is reached by it, on the page, in a second or two.
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { createStates } from './lib/states.js';
import { world } from './lib/world.js';

/** @typedef {import('playwright-core').Page} Page */

const tools = await world();
const { newTeam, startDashboard, openPage, until } = tools;
const { page: shown, buy, settled } = createStates(tools);

/** @param {Page} page @param {string} who @param {string} what */
async function make(page, who, what) {
    const form = page.locator('details.simulator');
    if (!(await form.evaluate((details) => /** @type {HTMLDetailsElement} */ (details).open)))
        await form.locator('summary').click();
    await form.locator('fieldset', { hasText: who }).getByRole('button', { name: what, exact: true }).click();
    await page.waitForURL(/\/team\?team=/);
}

/** @param {Parameters<typeof newTeam>[1]} [options] */
async function open(options) {
    const team = await newTeam('switch', options);
    const { origin } = await startDashboard();
    const page = await openPage(origin, { user: team.owner });
    /** @param {string} phase */
    const phase = (phase) => until(async () => (await shown(team)).open_changes[0]?.phase === phase, { what: phase });
    /** @param {(page: any) => boolean} is */
    const becomes = (is) => until(async () => is(await shown(team)), { what: String(is) });
    return { team, page, phase, becomes };
}

test('Stripe is down, slow, does not understand, refuses our key, and works again', async () => {
    const { team, page, phase, becomes } = await open();
    await make(page, 'Stripe', 'is down');
    await buy(team);
    await phase('stripe_down');
    await make(page, 'Stripe', 'works');
    await becomes(({ open_changes_total }) => open_changes_total === 0);

    await make(page, 'Stripe', 'answers slowly');
    await buy(team);
    await phase('sent');
    await buy(team);
    await becomes(({ open_changes }) => open_changes[1]?.phase === 'queued');
    await make(page, 'Stripe', 'works');
    await becomes(({ open_changes_total }) => open_changes_total === 0);

    await make(page, 'Stripe', 'answers with errors');
    await buy(team);
    await phase('retrying');
    await make(page, 'Stripe', 'works');
    await becomes(({ open_changes_total }) => open_changes_total === 0);

    await make(page, 'Stripe', 'loses its next answer');
    assert.equal((await settled(team, await buy(team))).state, 'confirmed');

    await make(page, 'Stripe', 'takes our key no more');
    await becomes(({ stripe }) => stripe === 'halted');
    await make(page, 'Stripe', 'works');
    await becomes(({ stripe }) => stripe === 'up');

    await make(page, 'Stripe', 'does not understand our next change');
    await buy(team);
    await phase('in_review');
});

test('Stripe makes no eleventh invoice a minute', async () => {
    const { page, phase } = await open();
    await make(page, 'Stripe', 'makes no eleventh invoice a minute');
    await phase('limit_used_up');
    await page.getByText('Stripe takes no more changes of this subscription before').first().waitFor();
});

test('a card is declined, and a bank approves, refuses, or is never asked', async () => {
    const { team, page, phase, becomes } = await open();
    for (const [what, code] of /** @type {const} */ ([
        ['is declined', 'generic_decline'],
        ['has too little on it', 'insufficient_funds'],
        ['has expired', 'expired_card'],
    ])) {
        await make(page, 'the card', what);
        const { state, code: said, decline_code } = await settled(team, await buy(team, 1, 'owner'));
        assert.deepEqual([state, decline_code ?? said], ['reverted', code]);
    }
    await page.locator('details.simulator summary').click();
    await page.getByRole('button', { name: 'approves' }).click();
    await page.getByText('No payment waits for a bank').waitFor();
    await page.goBack();
    await make(page, 'the card', 'asks the bank');
    await buy(team);
    await phase('awaiting_payment');
    await make(page, 'the bank', 'approves');
    await becomes(({ last_changes }) => last_changes[0].state === 'confirmed');
    await make(page, 'the card', 'asks the bank');
    await buy(team);
    await phase('awaiting_payment');
    await make(page, 'the bank', 'refuses');
    await phase('awaiting_payment');
    await make(page, 'the bank', 'is never asked');
    await becomes(({ last_changes }) => last_changes[0].reason === 'payment_did_not_come');
    await make(page, 'the card', 'pays');
    assert.equal((await settled(team, await buy(team))).state, 'confirmed');
});

test('a subscription is in its trial, past due, paid, ends, is changed by others, and is over', async () => {
    const { page, becomes } = await open();
    const on = (/** @type {string} */ what) => make(page, 'the subscription', what);
    await on('is in its trial');
    await becomes(({ status }) => status === 'trialing');
    for (const [what, word, said] of /** @type {const} */ ([
        ['is unpaid', 'unpaid', 'The subscription is not paid.'],
        ['is paused', 'paused', 'Your subscription is paused.'],
        ['waits for its first payment', 'incomplete', 'The first payment of this subscription has not come yet.'],
    ])) {
        await on(what);
        await becomes(({ status }) => status === word);
        await page.getByText(said).waitFor();
    }
    await on('is paid');
    await becomes(({ status }) => status === 'active');
    await on('ends with this period');
    await becomes(({ subscription }) => subscription.cancel_at_period_end);
    await on('is paid');
    await becomes(({ subscription }) => !subscription.cancel_at_period_end);
    await on('gets a seat in the Dashboard');
    await becomes(({ seat_types }) => seat_types.some((/** @type {any} */ type) => type.quantity === 6));
    await on('gets a price that nobody knows');
    await becomes(({ problem }) => problem !== null);
    await on('loses that price');
    await becomes(({ problem }) => problem === null);
    await on('is past due');
    await becomes(({ status, past_due }) => status === 'past_due' && past_due.amount > 0);
    await on('is cancelled for good');
    await becomes(({ status }) => status === 'canceled');
});

test('it is nowhere without the simulator', async () => {
    const team = await newTeam('real');
    const { origin } = await startDashboard({ simulator: null });
    const page = await openPage(origin, { user: team.owner });
    await page.getByRole('heading', { name: `Seats of ${team.team}` }).waitFor();
    assert.equal(await page.getByText('Make Stripe').count(), 0);
    const form = { token: await page.locator('input[name=token]').first().inputValue(), trick: 'Stripe: works' };
    const answer = await page.request.post(`${origin}/team/simulator`, { headers: { origin }, form });
    assert.equal(answer.status(), 404);
});

test('without the demonstration, which is a directory and two lines, the application stands alone', async () => {
    const { team, owner } = await newTeam('alone');
    const root = fileURLToPath(new URL('../..', import.meta.url));
    const directory = mkdtempSync(join(tmpdir(), 'pg_seats_alone.'));
    const pool = new pg.Pool({ user: 'dashboard', max: 2 });
    try {
        const filter = (/** @type {string} */ path) => !/\/(demo|node_modules)$/.test(path);
        cpSync(join(root, 'examples/team-dashboard'), join(directory, 'app'), { recursive: true, filter });
        symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'));
        const file = join(directory, 'app/app.js');
        const text = readFileSync(file, 'utf8').replace(/^import .*withDemo.*\n/m, '');
        writeFileSync(file, text.replace('withDemo(settings, signing)', 'settings'));
        /** @type {typeof import('../../examples/team-dashboard/app.js')} */
        const { createApp } = await import(file);
        const authenticate = async () => ({ user: owner });
        const origin = 'http://127.0.0.1';
        const app = await createApp({ pool, listenUrl: '', origin, sessionSecret: 'of this test', authenticate });
        const { statusCode, body } = await app.inject(`/team?team=${team}`);
        await app.close();
        assert.equal(statusCode, 200);
        assert.match(body, new RegExp(`Seats of ${team}`));
        assert.doesNotMatch(body, /Sign out|Make Stripe/);
    } finally {
        await pool.end();
        rmSync(directory, { recursive: true });
    }
});
