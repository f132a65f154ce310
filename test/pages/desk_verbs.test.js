// What an operator does at the desk: decides, in four clicks from an alert; repeats what failed; is told when it is otherwise
// by now. Who may only look is offered nothing, and refused by the database.
import assert from 'node:assert/strict';
import { mkdtemp } from 'node:fs/promises';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { addUser } from '../../console/lib/users.js';
import { byUsers } from '../../console/pages/sign_in.js';
import { createStates } from './lib/states.js';
import { freePort, world } from './lib/world.js';

/** @typedef {import('playwright-core').Page} Page */

const here = await world();
const { axe, control, newTeam, openPage, sql, startDesk, until } = here;
const { awaitingPayment, buy, fault, page: teamPage } = createStates(here);

/**
 * A change of a team of its own, of which nobody knows whether Stripe has made it, and that an operator wants decided. (What
 * Stripe refuses by its form is in review by itself; but when it is several calls, the destination halts.)
 * @param {string} name
 */
async function newReview(name) {
    const team = await newTeam(name);
    await fault(team, { fault: 'error_500', times: -1 });
    const call = await buy(team);
    await until(
        async () => (await sql('SELECT FROM seats.outbox WHERE call = $1 AND doubt AND attempts > 0', [call])).length,
    );
    await until(() => sql(`SELECT seats.review_call($1, 'a test wants it')`, [call]), { what: `${call} is in review` });
    return { ...team, call };
}

/** @param {string} kind @param {string} reason */
const journal = (kind, reason) =>
    sql('SELECT call, role, detail FROM seats.journal WHERE kind = $1 AND reason = $2', [kind, reason]);

/** What the desk's process writes of what was done. @param {import('node:test').TestContext} context */
function logOf(context) {
    /** @type {any[]} */
    const lines = [];
    context.mock.method(console, 'log', (/** @type {string} */ line) => lines.push(JSON.parse(line)));
    return lines;
}

/** @param {Page} page @param {string} name */
const click = (page, name) => page.getByRole('button', { name, exact: true }).click();

/** Somebody's Slack. @returns {Promise<{url: string, messages: string[], close: () => void}>} */
async function slack() {
    /** @type {string[]} */
    const messages = [];
    const server = createServer((request, response) => {
        let body = '';
        request.on('data', (chunk) => (body += chunk));
        request.on('end', () => {
            messages.push(JSON.parse(body).text);
            response.end('ok');
        });
    });
    const port = await freePort();
    await new Promise((resolve) => server.listen(port, '127.0.0.1', () => resolve(undefined)));
    return { url: `http://127.0.0.1:${port}`, messages, close: () => server.close() };
}

test('from the link of an alert to a settled review it is four clicks', async (context) => {
    const log = logOf(context);
    const desk = await startDesk({ person: 'Carol Kühn' });
    const { url, messages, close } = await slack();
    context.after(async () => {
        await sql(`SELECT seats.drop_receiver('slack', 'the test is over')`);
        await sql('ALTER SYSTEM RESET pg_seats.console_url');
        await sql('SELECT pg_reload_conf()');
        close();
    });
    await sql(`ALTER SYSTEM SET pg_seats.console_url = '${desk.origin}/'`);
    await sql('SELECT pg_reload_conf()');
    await sql(`SELECT seats.define_receiver('slack', '${url}', 'slack')`);
    const { call, ...team } = await newReview('four');
    const reason = `${team.team}: Stripe’s log shows that it did nothing`;
    await control('faults', undefined, 'DELETE');
    const message = await until(() => messages.find((text) => text.includes(`(call ${call}) needs a person`)));
    const link = message?.split('\n').at(-1) ?? '';
    assert.equal(link, `${desk.origin}/calls/${call}`);

    const page = await openPage(link, { path: '' }); // 1
    await page.getByRole('link', { name: 'To the review' }).click(); // 2
    await page.getByText(team.team, { exact: true }).first().waitFor();
    await page.getByText('review wanted by operator').first().waitFor();
    await page.getByText('costs at most').waitFor();
    await axe(page);
    await page.getByLabel('Reason').fill(reason);
    await click(page, 'not executed'); // 3
    await page.getByText('it is planned anew on a new read').waitFor();
    await axe(page);
    assert.equal((await journal('operator.resolve_review', reason)).length, 0);
    await click(page, 'Decide'); // 4
    await page.getByRole('status').getByText('Carol Kühn').waitFor();
    await page.getByRole('heading', { name: 'Nobody has to decide' }).waitFor();

    await until(async () => (await teamPage(team)).seat_types[1].confirmed === 7, { what: 'the seats are confirmed' });
    const [entry] = await journal('operator.resolve_review', reason);
    assert.equal(entry.role, 'desk');
    assert.deepEqual([entry.detail.decision, entry.detail.person], ['not_executed', 'Carol Kühn']);
    assert.equal(log.length, 1);
    assert.deepEqual([log[0].person, log[0].verb, log[0].outcome], ['Carol Kühn', 'resolve_review', 'done']);
    assert.deepEqual([log[0].object.call, log[0].object.decision], [String(call), 'not_executed']);
});

test('without JavaScript a review is settled in three clicks from its own link, on a phone', async () => {
    const { call, ...team } = await newReview('noscript');
    const desk = await startDesk();
    const page = await openPage(desk.origin, { path: `/reviews/${call}`, javascript: false, width: 390, dark: true });
    await page.getByLabel('Reason').fill('it was a typo');
    await click(page, 'refuse');
    await click(page, 'Decide');
    await page.getByRole('status').waitFor();
    assert.equal((await teamPage(team)).last_changes[0].reason, 'refused_by_operator');
});

test('a review that somebody else has decided meanwhile is not decided again', async () => {
    const { call } = await newReview('late');
    const desk = await startDesk();
    const page = await openPage(desk.origin, {
        path: `/act/resolve_review?call=${call}&decision=refuse&reason=late-${call}`,
    });
    await sql(`SELECT seats.resolve_review($1, 'refuse', 'I was faster')`, [call]);
    await click(page, 'Decide');
    await page.getByText('it is decided already').waitFor();
    assert.equal((await journal('operator.resolve_review', `late-${call}`)).length, 0);
});

test('a decision that there is not, and a reason that is missing, are refused in words', async () => {
    const { call } = await newReview('wrong');
    const desk = await startDesk();
    const page = await openPage(desk.origin, { path: `/act/resolve_review?call=${call}&decision=perhaps` });
    await page.getByText('What can be: executed, not_executed, same_key, refuse').waitFor();
    await page.goto(`${desk.origin}/act/resolve_review?call=${call}&decision=refuse`);
    await page.getByLabel('Reason').evaluate((field) => field.removeAttribute('required'));
    await click(page, 'Decide');
    await page.getByRole('alert').getByText('reason').waitFor();
    assert.equal((await sql('SELECT FROM seats.reviews WHERE call = $1', [call])).length, 1);
});

test('who may only look is offered no verb, and the database refuses what is sent by hand', async (context) => {
    const log = logOf(context);
    const { call, ...team } = await newReview('watched');
    const file = `${await mkdtemp('/tmp/pages-')}/users`;
    await addUser(file, 'watcher', 'a long password');
    const users = byUsers(file, '');
    const desk = await startDesk({ role: 'watcher', authentication: users });
    const page = await openPage(desk.origin, { path: `/reviews/${call}` });
    await page.getByLabel('Name').fill('watcher');
    await page.getByLabel('Password').fill('a long password');
    await click(page, 'Sign in');
    await page.getByText('This role may look').waitFor();

    for (const path of ['/', '/outbox', `/calls/${call}`, `/reviews/${call}`, '/webhooks', `/teams/${team.team}`]) {
        await page.goto(desk.origin + path);
        assert.equal(await page.locator('a[href*="/act/"], form[action*="/act/"]').count(), 0, path);
    }
    const asked = await page.goto(`${desk.origin}/act/retry?call=${call}`);
    assert.equal(asked?.status(), 403);
    await page.getByText('seats.grant_operator').waitFor();

    // (The token is that of the form that signs out: whoever sends it is who they are, and still may not.)
    const { status, text } = await page.evaluate(async (call) => {
        const token = /** @type {HTMLInputElement} */ (document.querySelector('[name=token]')).value;
        const body = new URLSearchParams({ call, decision: 'refuse', reason: 'by hand', token, key: 'x' });
        const answer = await fetch('/act/resolve_review', { method: 'POST', body });
        return { status: answer.status, text: await answer.text() };
    }, String(call));
    assert.equal(status, 403);
    assert.match(text, /grant_operator/);
    assert.equal(log.at(-1).code, '42501');
    assert.deepEqual([log.at(-1).person, log.at(-1).outcome], ['watcher', 'refused']);
    assert.equal((await sql('SELECT FROM seats.reviews WHERE call = $1', [call])).length, 1);
    assert.equal((await journal('operator.resolve_review', 'by hand')).length, 0);
});

test('what is retried is what was counted: with another number nothing happens, and the new one is shown', async () => {
    const desk = await startDesk({ person: 'Carol' });
    const team = await newTeam('first');
    const reason = `ticket ${team.team}`;
    await awaitingPayment(team);
    const filter = JSON.stringify({ state: 'awaiting' });
    const page = await openPage(desk.origin, { path: `/act/retry_all?filter=${encodeURIComponent(filter)}` });
    const counted = Number(await page.locator('[name=expected_count]').inputValue());
    await page.getByText(`It is ${counted} of them now`).waitFor();
    await awaitingPayment(await newTeam('second'));
    const newest = Number(await page.locator('[name=up_to_id]').inputValue());
    // (What came later is not among them: so one of those is taken away.)
    await sql(`SELECT seats.cancel_change(call) FROM seats.list_calls('{"state": "awaiting"}') WHERE call = $1`, [
        newest,
    ]);
    await until(
        async () =>
            (await sql(`SELECT FROM seats.outbox WHERE call = $1 AND state = 'awaiting'`, [newest])).length === 0,
    );

    await page.getByLabel('Reason').fill(reason);
    await click(page, 'Retry all');
    await page.getByRole('alert').getByText('Nothing was changed').waitFor();
    assert.equal((await journal('operator.retry', reason)).length, 0);
    assert.equal(await page.getByLabel('Reason').inputValue(), reason);
    await click(page, 'Retry all');
    await page.getByRole('status').getByText(`retry all ${counted}`).waitFor();
    const entries = await journal('operator.retry', reason);
    assert.equal(entries.length, counted);
    assert.deepEqual([entries[0].detail.filter, entries[0].detail.person], [{ state: 'awaiting' }, 'Carol']);
});

test('a double click, and a form that is sent again later, do it once', async () => {
    const team = await newTeam('double');
    const lane = `/v1/subscriptions/${team.subscription}`;
    const desk = await startDesk();
    const page = await openPage(desk.origin, { path: `/act/pause?destination=stripe&lane=${lane}` });
    await page.getByLabel('Reason').fill(lane);
    const places = await page.evaluate(async () => {
        const form = /** @type {HTMLFormElement} */ (document.querySelector('main form'));
        const body = new URLSearchParams(/** @type {any} */ (new FormData(form)));
        const send = async () => (await fetch(form.action, { method: 'POST', body })).url;
        return [...(await Promise.all([send(), send()])), await send()];
    });
    assert.equal(new Set(places).size, 1);
    assert.match(places[0], /\?notice=/);
    assert.equal((await journal('lane.paused', lane)).length, 1);
    await page.goto(`${desk.origin}/act/resume?destination=stripe&lane=${lane}`);
    await page.getByLabel('Reason').fill(lane);
    await click(page, 'Resume');
    await page.getByRole('status').getByText('Resume: done').waitFor();
    assert.equal((await journal('lane.resumed', lane)).length, 1);
});

test('events that failed are shown by what they failed of, and replayed: one, or all of a kind', async () => {
    const { team, subscription } = await newTeam('events');
    const error = `a test has made it fail for ${team}`;
    await sql(`INSERT INTO seats_internal.webhook_event (endpoint, event_id, destination, type, retry_at, error, tries, facts)
        SELECT 'main', 'evt_${subscription}_' || n, 'stripe', 'test.of_the_desk', clock_timestamp() + interval '1 hour', '${error}', 3, '{}'
          FROM generate_series(1, 3) AS n`);
    const desk = await startDesk({ person: 'Carol' });
    const page = await openPage(desk.origin, { path: '/webhooks' });
    const row = page.getByRole('row').filter({ hasText: error }).first();
    await axe(page);
    await row.getByRole('link', { name: 'Replay', exact: true }).click();
    await page.getByLabel('Reason').fill(`one of ${team}`);
    await click(page, 'Replay');
    await page.getByRole('status').getByText(`evt_${subscription}_1`).waitFor();
    assert.equal((await journal('operator.replay_webhook', `one of ${team}`)).length, 1);

    await row.getByRole('link', { name: 'Replay all' }).click();
    await page.getByText('It is 2 of them now').waitFor();
    await page.getByLabel('Reason').fill(`all of ${team}`);
    await click(page, 'Replay all');
    await page.getByRole('status').getByText('replay webhooks all 2').waitFor();
    const entries = await journal('operator.replay_webhook', `all of ${team}`);
    assert.deepEqual([entries.length, entries[0].detail.person], [2, 'Carol']);
    await until(
        async () =>
            (
                await sql(
                    `SELECT FROM seats.webhook_events WHERE event_id LIKE 'evt_${subscription}%' AND retry_at IS NULL`,
                )
            ).length === 3,
    );
});

test('a function of the application that cannot run is replaced by another one, that runs as the operator', async () => {
    const team = await newTeam('handled');
    const schema = team.team.replace('-', '_');
    await sql(`CREATE SCHEMA ${schema}; GRANT USAGE ON SCHEMA ${schema} TO desk;
        CREATE TABLE ${schema}.ran (call bigint, who text); GRANT INSERT ON ${schema}.ran TO desk;
        CREATE FUNCTION ${schema}.given(call bigint, outcome jsonb, context jsonb) RETURNS void BEGIN ATOMIC SELECT; END;
        CREATE FUNCTION ${schema}.instead(call bigint, outcome jsonb, context jsonb) RETURNS void
            BEGIN ATOMIC INSERT INTO ${schema}.ran VALUES (call, current_user); END`);
    await fault(team, { fault: 'hang' });
    const [{ change }] = await sql(`SELECT change FROM seats.add_seats($1, 'team', 1, on_done => '${schema}.given')`, [
        team.team,
    ]);
    await sql(`DROP FUNCTION ${schema}.given`);
    await until(async () => (await control('requests?state=hanging')).requests.length > 0, { what: 'Stripe has it' });
    await control('release', {});
    const desk = await startDesk();
    await until(
        async () =>
            (await sql('SELECT FROM seats.handlers WHERE call = $1 AND review_since IS NOT NULL', [change])).length,
    );

    const page = await openPage(desk.origin, { path: '/reviews' });
    await page
        .getByRole('link', { name: String(change), exact: true })
        .first()
        .click();
    await page.getByLabel('Reason').fill(`the name was wrong (${schema})`);
    await page.getByLabel('Function').fill(`${schema}.instead`);
    await click(page, 'run');
    await page.getByText('Another function runs instead').waitFor();
    await click(page, 'Decide');
    await page.getByRole('heading', { name: 'Nobody has to decide' }).waitFor();
    assert.deepEqual(await sql(`SELECT call, who FROM ${schema}.ran`), [{ call: change, who: 'desk' }]);
    await sql(`DROP SCHEMA ${schema} CASCADE`);
});

test('money that nobody expected is kept, or given back', async () => {
    const key = `bill-${Date.now()}`;
    const members = JSON.stringify([{ reference: 'ann', amount: 1250 }]);
    await sql(`SELECT seats.create_payment_request($1, 'eur', $2)`, [key, members]);
    const [{ payment }] = await sql(`SELECT payment FROM seats.start_payment(seats.payment_member($1, 'ann'))`, [key]);
    const ask = async () => (await sql('SELECT * FROM seats.payments WHERE payment = $1', [payment]))[0];
    const { intent } = await until(async () => (await ask()).intent && ask(), { what: 'Stripe has made the intent' });
    await control('faults', { match: { method: 'POST', path: `/v1/payment_intents/${intent}/cancel` }, fault: 'hang' });
    await sql(`SELECT seats.cancel_payment($1)`, [payment]);
    await until(async () => (await control('requests?state=hanging')).requests.length > 0, {
        what: 'it is being cancelled',
    });
    await control(`payment_intents/${intent}`, { action: 'succeed' });
    await control('release', {});
    await until(async () => (await ask()).review_since, { what: 'a person must look at the money' });

    const desk = await startDesk();
    const page = await openPage(desk.origin, { path: `/reviews/${payment}` });
    await page.getByText('12.50 EUR').first().waitFor();
    await axe(page);
    await page.getByLabel('Reason').fill(`ann is glad (${key})`);
    await click(page, 'refund');
    await page.getByText('All that is left of it is given back').waitFor();
    await click(page, 'Decide');
    await page.getByRole('status').waitFor();
    await until(async () => Number((await ask()).refunded) === 1250, { what: 'it is given back' });
});
