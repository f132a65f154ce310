// What the operator's desk shows, to whom, and that whatever it is asked it costs nobody but the one who asks.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import { createDatabase, openPool } from '../../console/lib/database.js';
import { inWords } from '../../console/lib/words.js';
import { fitsItsWidth, world } from './lib/world.js';

const { sql, control, newTeam, startDesk, openPage, axe, until } = await world();

/** @typedef {import('playwright-core').Page} Page */

/** What the page says. @param {Page} page */
const said = (page) => page.locator('main').innerText();
/** @param {{subscription: string}} team */
const pathOf = ({ subscription }) => `/v1/subscriptions/${subscription}`;
/** @param {string} destination @param {string} lane */
const laneQuery = (destination, lane) => new URLSearchParams({ destination, lane });

/**
 * Seats are added, and what Stripe makes of it is known.
 * @param {{team: string, owner: string}} team @param {number} seats @param {string} [type]
 */
async function buy({ team, owner }, seats, type = 'team') {
    const [{ change }] = await sql('SELECT change FROM seats.add_seats($1, $4, $2, actor => $3)', [
        team,
        seats,
        owner,
        type,
    ]);
    await sql(`CALL seats.wait_for_change(${Number(change)})`);
    return String(change);
}

/** Calls that stand still in a lane of a test: it is paused. @param {string} lane @param {number} calls */
async function standingCalls(lane, calls) {
    await sql(
        `SELECT seats.enqueue_call('stripe', 'POST', '/v1/customers', '{"name": "x"}', lane => $1) FROM generate_series(1, $2::int)`,
        [lane, calls],
    );
    const open = await sql('SELECT call FROM seats.outbox WHERE lane = $1 ORDER BY call', [lane]);
    return open.map(({ call }) => String(call));
}

test('from a team to its change, its lane and its journal, each by a link', async () => {
    const team = await newTeam('initech');
    const bought = await buy(team, 2);
    await control(`customers/${team.customer}`, { card: 'insufficient_funds' });
    const declined = await buy(team, 2, 'owner');
    const desk = await startDesk();
    const page = await openPage(desk.origin, { path: `/teams?prefix=${team.team}` });
    await page.getByRole('link', { name: team.team }).click();
    await page.waitForURL(`**/teams/${team.team}`);
    const changes = page.getByRole('table', { name: 'Changes of seats' });
    assert.match(await changes.innerText(), /reverted[\s\S]*owner 1 → 3[\s\S]*insufficient_funds/);
    assert.match(await changes.innerText(), /confirmed[\s\S]*team 5 → 7/);

    await changes.getByRole('link', { name: declined, exact: true }).click();
    await page.waitForURL(`**/calls/${declined}`);
    const way = page.getByRole('table', { name: 'The way of the call' });
    const [{ request_id: request }] = await sql(
        'SELECT request_id FROM seats.attempts WHERE call = $1 ORDER BY answered_at DESC LIMIT 1',
        [declined],
    );
    assert.match(await way.innerText(), /\t\d\d:\d\d:\d\d\tasked for by ada/);
    assert.match(await way.innerText(), new RegExp(`402[\\s\\S]*${request}[\\s\\S]*settled: refused`));
    assert.match(await said(page), /costs at most\s+40\.00 USD for a whole period, before taxes/);

    await page.getByRole('link', { name: pathOf(team) }).click();
    await page.waitForURL(`**/outbox?${laneQuery('stripe', pathOf(team))}`);
    assert.match(await said(page), /No open call fits: what was asked for is settled\./);

    await page.goto(`${desk.origin}/calls/${bought}`);
    await page.getByRole('link', { name: 'What the journal says' }).click();
    assert.match(await said(page), /change\.confirmed/);
    await page.getByRole('link', { name: team.team }).first().click();
    await page.waitForURL(`**/teams/${team.team}`);
});

test('requests that were not answered stand on the way, and so does what holds the call back', async () => {
    const team = await newTeam('hooli');
    await control('outage', { mode: 'refuse' });
    const [{ change }] = await sql(`SELECT change FROM seats.add_seats($1, 'team', 1)`, [team.team]);
    await until(async () => (await sql('SELECT FROM seats.attempts WHERE call = $1', [change])).length >= 2);
    const desk = await startDesk();
    const page = await openPage(desk.origin, { path: `/calls/${change}` });
    const way = page.getByRole('table', { name: 'The way of the call' });
    assert.match(
        await way.innerText(),
        /send: again not sent, it never left[\s\S]*Connection refused[\s\S]*is now pending/,
    );
    await until(async () => {
        await page.reload();
        return /What holds it back\s+destination stripe does not answer/.test(await said(page));
    });
    assert.equal(await way.locator('circle.sending').count(), await way.getByText('send: again').count());
    await page.goto(desk.origin);
    await until(async () => {
        await page.reload();
        return /interrupted/.test(await page.getByRole('table', { name: 'Where calls go' }).innerText());
    });
    assert.match(
        await page.getByRole('table', { name: 'What open calls wait for' }).innerText(),
        /stripe down\s+\d+\s+\d+ (s|min) ago/,
    );
    assert.match(await said(page), /Counted \d+ (s|min) ago\./);
});

test('a list says that it is not all, where it goes on, and keeps its filter in the address', async (t) => {
    const lane = `not "all" & more, at ${new Date().toISOString()}`;
    const [{ call }] = await sql(`SELECT seats.enqueue_call('stripe', 'GET', '/v1/account', lane => $1) AS call`, [
        lane,
    ]);
    await sql(`CALL seats.wait_for_call(${Number(call)})`);
    await sql(`SELECT seats.pause('stripe', 'a test', lane => $1)`, [lane]);
    t.after(() => sql(`SELECT seats.resume('stripe', 'the test is over', lane => $1)`, [lane]));
    const calls = await standingCalls(lane, 60);
    const desk = await startDesk({ prefix: '/ops/desk' });
    const page = await openPage(desk.origin, { path: `/ops/desk/outbox`, javascript: false });
    await page.getByLabel('lane').fill(lane);
    await page.getByLabel('destination').selectOption('stripe');
    await page.getByRole('button', { name: 'Show' }).click();
    const rows = page.locator('tbody tr');
    assert.equal(await rows.count(), 50);
    assert.match(await said(page), /Not all: there may be more beyond number/);
    await page.getByRole('link', { name: 'Go on from there' }).click();
    assert.equal(await rows.count(), calls.length - 50);
    assert.equal(new URL(page.url()).searchParams.get('lane'), lane);
    assert.doesNotMatch(await said(page), /Not all/);
    await page.getByRole('link', { name: 'To the beginning' }).click();
    assert.equal(await rows.first().getByRole('link').first().innerText(), calls[0]);
    assert.equal(await page.getByLabel('lane').inputValue(), lane);
    const elsewhere = await page.evaluate(() =>
        [...document.querySelectorAll('a, form, link[rel=stylesheet], script')]
            .map(
                (element) =>
                    element.getAttribute(element.tagName === 'FORM' ? 'action' : 'href') ?? element.getAttribute('src'),
            )
            .filter((address) => !address?.startsWith('/ops/desk/') && !address?.startsWith('#')),
    );
    assert.deepEqual(elsewhere, []);
    await page.getByRole('link', { name: 'Blocked lanes' }).click();
    const blocked = page.getByRole('row').filter({ hasText: lane });
    assert.match(await blocked.innerText(), /paused[\s\S]*The lane is paused/);
});

test('what no filter knows, and what is not there, is said', async () => {
    const { origin } = await startDesk();
    for (const [path, status, words] of /** @type {[string, number, RegExp][]} */ ([
        ['/calls/999999999', 404, /There is no such call/],
        ['/calls/seven', 404, /There is no such call/],
        ['/teams/nobody', 404, /There is no such team/],
        ['/outbox?lane=nowhere&destination=stripe', 404, /There is no such lane/],
        ['/outbox?state=elsewhere', 400, /There is no such filter/],
        ['/outbox?after=seven&state=review', 200, /Outbox/],
        ['/outbox?show=constructor', 200, /Outbox/],
        ['/nowhere', 404, /There is no such page/],
    ])) {
        const answer = await fetch(origin + path);
        assert.equal(answer.status, status, path);
        assert.match(await answer.text(), words, path);
    }
});

test('a page stays new by itself, but not under somebody’s hands', async () => {
    const team = await newTeam('aviato');
    const desk = await startDesk();
    const page = await openPage(desk.origin, { path: `/journal?team=${team.team}` });
    const rows = page.locator('tbody tr');
    const looksAgain = () => page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
    const state = page.locator('[data-refresh-state]');
    const before = await rows.count();
    await buy(team, 1);
    await until(async () => {
        await looksAgain();
        return (await rows.count()) > before;
    });

    const now = await rows.count();
    const detail = rows.first().locator('summary');
    await detail.click();
    await until(async () => {
        await looksAgain();
        return /while an entry is open/.test(await state.innerText());
    });
    await detail.click();
    await page.getByLabel('kind').fill('change.');
    await buy(team, 1);
    await until(async () => {
        await looksAgain();
        return /while a form is filled in/.test(await state.innerText());
    });
    assert.equal(await rows.count(), now);
    assert.equal(await page.getByLabel('kind').inputValue(), 'change.');
    await page.getByLabel('kind').fill('');
    await page.getByRole('heading', { level: 1 }).click();

    await page.evaluate(() =>
        document.getSelection()?.selectAllChildren(/** @type {Node} */ (document.querySelector('h1'))),
    );
    await looksAgain();
    await until(async () => /while text is marked/.test(await state.innerText()));
    assert.equal(await rows.count(), now);
    await page.evaluate(() => document.getSelection()?.removeAllRanges());

    await page.evaluate(() => Object.defineProperty(document, 'hidden', { value: true, configurable: true }));
    let asked = 0;
    page.on('request', () => asked++);
    await looksAgain();
    assert.equal(asked, 0);
    await page.evaluate(() => Object.defineProperty(document, 'hidden', { value: false }));
    await until(async () => {
        await looksAgain();
        return (await rows.count()) > now;
    });

    await desk.close();
    await until(async () => {
        await looksAgain();
        return /not as of now: no answer/.test(await state.innerText());
    });
});

test('whoever only watches sees every page, and no verb', async () => {
    const team = await newTeam('raviga');
    const change = await buy(team, 1);
    const { origin } = await startDesk({ role: 'watcher' });
    const operators = await startDesk();
    const paths = ['/', '/outbox', '/outbox?show=blocked', '/outbox?show=settled', '/reviews', '/webhooks', '/journal'];
    for (const path of [...paths, '/teams', `/teams/${team.team}`, `/calls/${change}`]) {
        const answer = await fetch(origin + path);
        assert.equal(answer.status, 200, path);
        assert.doesNotMatch(await answer.text(), /\/act\//, path);
    }
    assert.match(await (await fetch(`${operators.origin}/teams/${team.team}`)).text(), /\/act\/reconcile\?/);
});

test('names are text', async () => {
    const name = `<b>&amp; "it's" ${'é'.repeat(90)} / #?`;
    const team = await newTeam(name);
    const { origin } = await startDesk();
    const page = await openPage(origin, { path: `/teams?prefix=${encodeURIComponent('<b>')}`, width: 390 });
    await page.getByRole('link', { name: team.team }).click();
    assert.equal(await page.getByRole('heading', { level: 1 }).innerText(), team.team);
    assert.equal(await page.locator('main b').count(), 0);
    await fitsItsWidth(page);
    await page.getByRole('link', { name: 'All that the journal says' }).click();
    assert.match(await said(page), /team\.registered/);
});

test('what a person has written stands as he has written it; what a thumb is to meet is large enough', async () => {
    const team = await newTeam('erlich');
    const reason = 'as request req_4711_a says';
    await sql('SELECT seats.reconcile($1, $2)', [team.team, reason]);
    const { origin } = await startDesk();
    const page = await openPage(origin, { path: `/journal?team=${team.team}`, width: 390 });
    await page.getByText(reason).waitFor();
    for (const path of ['/', '/outbox', '/webhooks', `/teams/${team.team}`, '/act/pause?destination=stripe']) {
        await page.goto(origin + path);
        const small = await page.evaluate(() =>
            [...document.querySelectorAll(':is(button, .button, select, input:not([type=hidden]), nav a)')]
                .filter((element) => element.getBoundingClientRect().height < 42)
                .map((element) => element.outerHTML),
        );
        assert.deepEqual(small, [], path);
    }
});

test('everything can be read by everybody, wide and narrow, light and dark', async () => {
    const team = await newTeam('pied-piper', { members: ['bob'] });
    await buy(team, 1);
    await control(`customers/${team.customer}`, { card: 'declined' });
    const change = await buy(team, 2, 'owner');
    const { origin } = await startDesk();
    for (const options of [{ width: 1280 }, { width: 390, dark: true }]) {
        const page = await openPage(origin, options);
        for (const path of [
            '/',
            '/outbox?show=settled',
            `/calls/${change}`,
            `/teams/${team.team}`,
            '/journal',
            '/nowhere',
        ]) {
            await page.goto(origin + path);
            await axe(page);
            await fitsItsWidth(page);
        }
    }
});

test('a page that waits too long says so, and lets go of the database', async () => {
    const { origin } = await startDesk();
    const admin = new pg.Client({ user: 'postgres' });
    await admin.connect();
    try {
        await admin.query('BEGIN; LOCK TABLE seats_internal.drift IN ACCESS EXCLUSIVE MODE');
        const [{ team }] = await sql('SELECT team FROM seats.list_teams() LIMIT 1');
        const answer = await fetch(`${origin}/teams/${encodeURIComponent(team)}`);
        assert.equal(answer.status, 503);
        assert.match(await answer.text(), /Something is locked/);
    } finally {
        await admin.end();
    }

    // Three who ask for too long; the fourth does not queue behind them; and all are told in words.
    const pool = openPool({ user: 'watcher' });
    const busy = await startDesk({ pool });
    const { read } = createDatabase(pool);
    const slow = [1, 2, 3].map(() => read((client) => client.query('SELECT pg_sleep(30)')).catch(({ code }) => code));
    const full = await fetch(busy.origin);
    assert.equal(full.status, 503);
    assert.match(await full.text(), /The desk is busy/);
    assert.deepEqual(await Promise.all(slow), ['57014', '57014', '57014']);
    assert.match(inWords({ code: '57014' }).text, /five seconds/);
    assert.equal((await fetch(busy.origin)).status, 200);

    await assert.rejects(
        read((client) => client.query('CREATE TEMPORARY TABLE t (a int)')),
        { code: '25006' },
        'nothing is written by a page, whatever the role may do',
    );
    await busy.close();
    await pool.end();

    // The server hangs, or the network does: not even that it took too long is told.
    const deaf = openPool({ user: 'watcher', query_timeout: 300 });
    const asked = createDatabase(deaf).read((client) => client.query('SELECT pg_sleep(2)'));
    await assert.rejects(asked, (error) => inWords(error).title === 'The desk is busy');
    await until(() => deaf.totalCount === 0, { what: 'the connection is given up' });
    await deaf.end();

    const nowhere = await startDesk({ pool: openPool({ host: '/nowhere' }) });
    const away = await fetch(nowhere.origin);
    assert.equal(away.status, 503);
    assert.match(await away.text(), /The database cannot be reached/);
});
