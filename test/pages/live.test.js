// A page that stays open: what others do is seen on it, what somebody is doing on it is left alone, and it says when it
// shows what was. The server's side of it, too: who may listen, how many, and how it ends.
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { mock, test } from 'node:test';
import { freePort, until, world } from './lib/world.js';

/** @import { Page } from 'playwright-core' */

const { sql, control, newTeam, startDashboard, openPage } = await world();

/** @param {{team: string, owner: string}} team @param {number} quantity */
const buy = ({ team, owner }, quantity) =>
    sql(`SELECT seats.add_seats($1, 'team', $2::integer, actor => $3)`, [team, quantity, owner]);

/** @param {Page} page @param {number} quantity */
const showsSeats = (page, quantity) => page.locator('#part-seats-team .count b', { hasText: `${quantity}` }).waitFor();

/** To tell later whether it is still the page that was loaded first. @param {Page} page */
const mark = (page) => page.evaluate(() => void (document.documentElement.dataset.mark = 'here'));
/** @param {Page} page */
const isMarked = (page) => page.evaluate(() => document.documentElement.dataset.mark === 'here');

/** Streams that this page opens and ends, from now on. @param {Page} page */
function watchStreams(page) {
    const seen = { opened: 0, ended: 0 };
    const isStream = (/** @type {import('playwright-core').Request} */ request) =>
        request.url().includes('/team/events');
    page.on('request', (request) => isStream(request) && seen.opened++);
    for (const event of /** @type {const} */ (['requestfailed', 'requestfinished']))
        page.on(/** @type {'requestfailed'} */ (event), (request) => isStream(request) && seen.ended++);
    return seen;
}

/** A headless page is always to be seen: its script is told otherwise. @param {Page} page @param {boolean} hidden */
const setHidden = (page, hidden) =>
    page.evaluate((value) => {
        Object.defineProperty(document, 'hidden', { value, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'));
    }, hidden);

/** What a browser sends along. @param {Page} page */
async function cookieOf(page) {
    const [{ name, value }] = await page.context().cookies();
    return `${name}=${value}`;
}

/** A stream that this test reads itself. @param {string} origin @param {string} team @param {string} cookie */
async function listen(origin, team, cookie) {
    const abort = new AbortController();
    const response = await fetch(`${origin}/team/events?team=${team}`, { headers: { cookie }, signal: abort.signal });
    const stream = { response, text: '', ended: false, abort: () => abort.abort() };
    (async () => {
        try {
            for await (const chunk of /** @type {any} */ (response.body)) stream.text += Buffer.from(chunk).toString();
        } catch {}
        stream.ended = true;
    })();
    return stream;
}

test('what a colleague buys is seen without a reload, and a form that is being filled is left alone', async () => {
    const mine = await newTeam('open');
    const { origin } = await startDashboard();
    const page = await openPage(origin, { user: mine.owner, path: `/team?team=${mine.team}` });
    await showsSeats(page, 5);
    await mark(page);
    const input = page.locator('form:has(input[name=seat_type][value=team]) input[name=quantity]').first();
    await input.fill('3');
    await buy(mine, 2);
    await showsSeats(page, 7);
    await page.locator('#part-seats-team .count', { hasText: /^7 seats, confirmed$/ }).waitFor();
    assert.equal(await input.inputValue(), '3');
    assert.ok(await input.evaluate((element) => element === document.activeElement));
    assert.ok(await isMarked(page));
});

test('what is marked is replaced when it is no longer', async () => {
    const mine = await newTeam('marked');
    const { origin } = await startDashboard();
    const page = await openPage(origin, { user: mine.owner, path: `/team?team=${mine.team}` });
    await showsSeats(page, 5);
    await page.evaluate(() =>
        getSelection()?.selectAllChildren(/** @type {Node} */ (document.querySelector('#part-seats-team'))),
    );
    await sql(`SELECT seats.add_member($1, 'somebody-new')`, [mine.team]);
    await buy(mine, 4);
    await page.locator('#part-members', { hasText: 'somebody-new' }).waitFor();
    await until(
        async () =>
            (await sql('SELECT confirmed FROM seats.teams WHERE team = $1 AND seat_type = $2', [mine.team, 'team']))[0]
                .confirmed === 9,
    );
    assert.match(await page.locator('#part-seats-team').innerText(), /\b5\b/);
    assert.match(await page.evaluate(() => String(getSelection())), /\b5\b/);
    await page.evaluate(() => getSelection()?.removeAllRanges());
    await showsSeats(page, 9);
});

test('what has the focus is replaced when it has it no longer', async () => {
    const mine = await newTeam('focus', { members: ['bob'] });
    const { origin } = await startDashboard();
    const page = await openPage(origin, { user: mine.owner, path: `/team?team=${mine.team}` });
    await showsSeats(page, 5);
    const members = page.locator('#part-members');
    const menu = members.locator('summary').first();
    await menu.focus();
    await sql(`SELECT seats.add_member($1, 'somebody-new')`, [mine.team]);
    await buy(mine, 1);
    await showsSeats(page, 6);
    assert.doesNotMatch(await members.innerText(), /somebody-new/);
    assert.ok(await menu.evaluate((element) => element === document.activeElement));
    await menu.blur();
    await members.locator('b', { hasText: 'somebody-new' }).waitFor();
});

test('a page that is hidden has no stream, and all the news when it is seen again', async () => {
    const mine = await newTeam('hidden');
    const { origin } = await startDashboard();
    const page = await openPage(origin, { user: mine.owner, path: `/team?team=${mine.team}` });
    await showsSeats(page, 5);
    const streams = watchStreams(page);
    await setHidden(page, true);
    await until(() => streams.ended === 1);
    await buy(mine, 1);
    await setHidden(page, false);
    await showsSeats(page, 6);
    assert.deepEqual(streams, { opened: 1, ended: 1 });
    assert.ok(!(await page.getByText('Not connected').isVisible()));
});

test('while the application is gone a page says of when it is, and goes on by itself', async () => {
    const mine = await newTeam('away');
    const port = await freePort();
    const { origin, close } = await startDashboard({ port });
    const began = Date.now();
    const page = await openPage(origin, { user: mine.owner, path: `/team?team=${mine.team}` });
    await showsSeats(page, 5);
    await mark(page);
    await close();
    const note = page.locator('.disconnected');
    await note.waitFor();
    const [, hour] = /^Not connected: this is as of (.*)\.$/.exec(await note.innerText()) ?? [];
    const clock = (/** @type {number} */ at) =>
        page.evaluate((at) => new Date(at).toLocaleTimeString('en-US', { hour: 'numeric', minute: '2-digit' }), at);
    const times = [await clock(began), await clock(Date.now())];
    assert.ok(hour && times.includes(hour), `${hour} is not between ${times}`);
    await buy(mine, 2);
    await startDashboard({ port });
    await showsSeats(page, 7);
    await until(async () => !(await note.isVisible()));
    assert.ok(await isMarked(page));
});

test('who is removed sees nothing more', async () => {
    const mine = await newTeam('left', { members: ['bob'] });
    const [bob] = mine.members;
    const { origin } = await startDashboard();
    const page = await openPage(origin, { user: bob, path: `/team?team=${mine.team}` });
    await showsSeats(page, 5);
    const stream = await listen(origin, mine.team, await cookieOf(page));
    await until(() => stream.text.includes('event: parts'));
    const before = stream.text;
    await sql('SELECT seats.remove_member($1, $2)', [mine.team, bob]);
    await buy(mine, 3);
    await page.getByText('There is no such team, or you are not one of its members.').waitFor();
    await until(() => stream.ended);
    assert.equal(stream.text.slice(before.length).trim(), 'event: gone\ndata: ""');
    const again = await listen(origin, mine.team, await cookieOf(page));
    await until(() => again.ended);
    assert.equal(again.text.trim(), 'event: gone\ndata: ""');
});

test('who has not said of which team sees the one that he was in no more, once he is in another', async () => {
    const [mine, other] = [await newTeam('first', { members: ['bob'] }), await newTeam('second')];
    const [bob] = mine.members;
    const { origin } = await startDashboard();
    const page = await openPage(origin, { user: bob });
    await showsSeats(page, 5);
    const stream = await listen(origin, '', await cookieOf(page));
    await until(() => stream.text.includes('event: parts'));
    const before = stream.text;
    const move = `WITH gone AS MATERIALIZED (SELECT seats.remove_member($1, $3)) SELECT seats.add_member($2, $3) FROM gone`;
    await sql(move, [mine.team, other.team, bob]);
    await buy(mine, 3);
    await until(() => stream.text.length > before.length);
    assert.equal(stream.text.slice(before.length).trim(), 'event: gone\ndata: ""');
    await page.getByRole('heading', { name: `Seats of ${other.team}` }).waitFor();
});

test('who is no owner any more has the page of a member', async () => {
    const mine = await newTeam('demoted');
    const { origin } = await startDashboard();
    const page = await openPage(origin, { user: mine.owner, path: `/team?team=${mine.team}` });
    await showsSeats(page, 5);
    const buttons = page.locator('form[action="/team/quotes"]');
    assert.ok((await buttons.count()) > 0);
    await sql(`SELECT seats.change_member($1, $2, role => 'member', last_owner => true)`, [mine.team, mine.owner]);
    await until(async () => (await buttons.count()) === 0);
    await showsSeats(page, 5);
});

test('what becomes of the rights while a page is hidden is seen when it is not any more', async () => {
    const mine = await newTeam('over');
    const { origin } = await startDashboard();
    const page = await openPage(origin, { user: mine.owner, path: `/team?team=${mine.team}` });
    await showsSeats(page, 5);
    const streams = watchStreams(page);
    await setHidden(page, true);
    await until(() => streams.ended === 1);
    await control(`subscriptions/${mine.subscription}`, { cancel: true });
    await sql(`SELECT seats.reconcile($1, reason => 'test')`, [mine.team]);
    await until(
        async () =>
            (await sql(`SELECT seats.team_page($1) ->> 'status' AS status`, [mine.team]))[0].status === 'canceled',
    );
    await setHidden(page, false);
    await until(async () => (await page.locator('form[action="/team/quotes"]').count()) === 0);
    await page.locator('.banner').first().waitFor();
});

test('a sign-out ends what another window of it shows', async (context) => {
    mock.timers.enable({ apis: ['setInterval'] }); // at once, and not when it next says that it is still there
    context.after(() => mock.timers.reset());
    const mine = await newTeam('signed');
    const { origin } = await startDashboard();
    const first = await openPage(origin, { user: mine.owner, path: `/team?team=${mine.team}` });
    const second = await openPage(origin, { beside: first, path: `/team?team=${mine.team}` });
    await showsSeats(first, 5);
    const cookie = await cookieOf(first);
    const stream = await listen(origin, mine.team, cookie);
    await until(() => stream.text.includes('event: parts'));
    await second.getByRole('button', { name: 'Sign out' }).click();
    await first.waitForURL((url) => url.pathname === '/sign-in');
    await until(() => stream.ended);
    // Its cookie is no key any more, whoever has kept it.
    assert.equal(
        (await fetch(`${origin}/team?team=${mine.team}`, { headers: { cookie }, redirect: 'manual' })).status,
        303,
    );
});

test('a person has so many streams at most, and those that were left count no more', async () => {
    const mine = await newTeam('greedy', { members: ['bob'] });
    const { origin, close } = await startDashboard();
    const page = await openPage(origin, { user: mine.owner });
    const cookie = await cookieOf(page);
    await page.close();
    const streams = /** @type {Awaited<ReturnType<typeof listen>>[]} */ ([]);
    const more = async () => {
        const stream = await listen(origin, mine.team, cookie);
        if (stream.response.status === 200) streams.push(stream);
        return stream.response.status;
    };
    await until(async () => (await more()) === 200 && streams.length === 5); // that page's own was one of them
    assert.equal(await more(), 429);
    const bob = await openPage(origin, { user: mine.members[0], path: `/team?team=${mine.team}` });
    await showsSeats(bob, 5);
    streams[0].abort();
    await until(async () => (await more()) === 200);

    const began = performance.now();
    await close();
    assert.ok(performance.now() - began < 2000, 'open streams hold up the end of the application');
    await until(() => streams.every((stream) => stream.ended));
});

test('a stream says every 15 seconds that what is shown is so, and a reader who takes nothing is cut', async (context) => {
    mock.timers.enable({ apis: ['setInterval'] });
    context.after(() => mock.timers.reset());
    const mine = await newTeam('beat');
    const { origin, app } = await startDashboard();
    const page = await openPage(origin, { user: mine.owner });
    const cookie = await cookieOf(page);
    await page.close();
    const stream = await listen(origin, mine.team, cookie);
    await until(() => stream.text.includes('event: parts'));
    assert.ok(!stream.text.includes('event: alive'));
    mock.timers.tick(15_000);
    await until(() => stream.text.includes('event: alive'));
    assert.equal(stream.response.headers.get('x-accel-buffering'), 'no');
    assert.match(stream.response.headers.get('cache-control') ?? '', /no-store/);

    // Nothing is taken out of the connection's buffer from now on, as if the network had gone.
    const connections = /** @type {any[]} */ ([]);
    app.server.on('request', (/** @type {any} */ request, /** @type {any} */ response) => connections.push(response));
    const slow = await listen(origin, mine.team, cookie);
    await until(() => slow.text.includes('event: parts'));
    connections[0].socket.cork();
    mock.timers.tick(15_000);
    await until(() => connections[0].writableLength > 0);
    mock.timers.tick(15_000);
    await until(() => slow.ended);
    assert.ok(!stream.ended);
});

test('a reader who takes nothing, and one who asks twice, harm nobody else', async () => {
    const mine = await newTeam('clogged', { members: ['bob'] });
    const { origin, app } = await startDashboard();
    const page = await openPage(origin, { user: mine.members[0] });
    const cookie = await cookieOf(page);
    await page.close();
    const twice = `${origin}/team/events?team=${mine.team}&rights=a&rights=b`;
    const refused = await fetch(twice, { headers: { cookie }, signal: AbortSignal.timeout(5000) });
    assert.equal(refused.status, 422);
    assert.match(await refused.text(), /rights cannot be that/);

    const answers = /** @type {import('node:http').ServerResponse[]} */ ([]);
    app.server.on('request', (/** @type {any} */ _, /** @type {any} */ answer) => answers.push(answer));
    const slow = connect(Number(new URL(origin).port), '127.0.0.1');
    let read = '';
    slow.on('data', (bytes) => (read += bytes));
    const asked = `GET /team/events?team=${mine.team} HTTP/1.1\r\nHost: here\r\nCookie: ${cookie}\r\n\r\n`;
    slow.write(asked + asked); // of the second one's end nobody would be told, as it stands behind the first
    await until(() => read.includes('event: parts') && answers[1]?.writableEnded);
    slow.pause();
    answers[0].write(Buffer.alloc(16 * 1024 * 1024)); // more than the network holds for him
    await sql('SELECT seats.remove_member($1, $2)', [mine.team, mine.members[0]]);
    await until(() => answers[0].writableEnded); // he is told that it is over, and does not take it
    await buy(mine, 1); // what is told after that is an error that somebody must hear, or the process ends
    await until(() => answers[0].closed);
    slow.destroy();
});

test('while the database is gone a page says of when it is, too', async () => {
    const mine = await newTeam('blind');
    const { origin, pool } = await startDashboard();
    const page = await openPage(origin, { user: mine.owner });
    await page.clock.install();
    await page.goto(`${origin}/team?team=${mine.team}`);
    await buy(mine, 1);
    await showsSeats(page, 6); // which the stream has told
    const query = pool.query;
    pool.query = /** @type {any} */ (() => Promise.reject(new Error('there is no database')));
    const note = page.getByText(/^Not connected: this is as of .*\.$/);
    await page.clock.fastForward(20_000); // for so long the server may have nothing to say
    assert.ok(!(await note.isVisible()));
    await page.clock.fastForward(20_000);
    await note.waitFor();
    pool.query = query;
    await buy(mine, 1);
    await until(async () => {
        await page.clock.runFor(1000); // its pauses between tries
        return (await page.locator('#part-seats-team .count b').innerText()) === '7';
    });
    await until(async () => !(await note.isVisible()));
});

test('a form that was sent shows it, and a second click sends nothing', async () => {
    const mine = await newTeam('twice');
    const { origin } = await startDashboard();
    const page = await openPage(origin, { user: mine.owner, path: `/team?team=${mine.team}` });
    let sent = 0;
    await page.route('**/team/quotes', (route) => (sent++, route.fulfill({ status: 204 }))); // the page stays
    const form = page.locator('form:has(input[name=seat_type][value=team])[action="/team/quotes"]').first();
    const button = form.locator('button[name=operation][value=add]');
    // (A browser may send only the last of two: whether the page lets it is seen by what becomes of each click.)
    const prevented = await button.evaluate((/** @type {HTMLButtonElement} */ element) => {
        const seen = /** @type {boolean[]} */ ([]);
        addEventListener('submit', ({ defaultPrevented }) => seen.push(defaultPrevented));
        element.click();
        element.click();
        return seen;
    });
    assert.deepEqual(prevented, [false, true]);
    await until(() => button.isDisabled());
    await until(() => sent > 0);
    assert.equal(sent, 1);
});
test('times are the reader’s own', async () => {
    const mine = await newTeam('clock');
    await buy(mine, 1);
    const { origin } = await startDashboard();
    const page = await openPage(origin, { user: mine.owner, path: `/team?team=${mine.team}`, locale: 'de-DE' });
    const time = page.locator('time[data-as=moment]').first();
    await time.waitFor({ state: 'attached' });
    const [text, date] = await time.evaluate((element) => [
        element.textContent,
        /** @type {HTMLTimeElement} */ (element).dateTime,
    ]);
    // (As the page does: at night and in the morning the hour is one digit here, and two there.)
    const clock = { hour: /** @type {const} */ ('numeric'), minute: /** @type {const} */ ('2-digit') };
    assert.ok(
        text?.includes(new Date(date).toLocaleTimeString('de-DE', { ...clock, timeZone: 'Europe/Berlin' })),
        `${text} for ${date}`,
    );
});
