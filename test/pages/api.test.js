// The routes for programs: JSON, a Bearer, a key for what is sent twice; and what is made up, or too much, is refused in words.
import assert from 'node:assert/strict';
import { createHmac, randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { createStates } from './lib/states.js';
import { world } from './lib/world.js';

const tools = await world();
const { sql, control, newTeam, startDashboard } = tools;
const states = createStates(tools);

/** Signs in as the demo does, and gives what a program sends as its Bearer. @param {string} origin @param {string} user */
async function signIn(origin, user) {
    const answer = await fetch(`${origin}/sign-in`, {
        method: 'POST',
        headers: { origin, 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({ user }),
        redirect: 'manual',
    });
    return decodeURIComponent((answer.headers.get('set-cookie') ?? '').split(';')[0].split('=').slice(1).join('='));
}

/** @param {{seats?: number, members?: string[], card?: string}} [options] a team, and its owner's way to POST JSON */
async function program(options) {
    const team = await newTeam('api', options);
    const { origin } = await startDashboard();
    const bearer = await signIn(origin, team.owner);
    /** @param {object} body @param {Record<string, string>} [headers] @param {string} [path] */
    const post = async (body, headers = { 'idempotency-key': randomUUID() }, path = '/team/seats') => {
        const answer = await fetch(`${origin}${path}`, {
            method: 'POST',
            headers: { 'content-type': 'application/json', authorization: `Bearer ${bearer}`, ...headers },
            body: JSON.stringify(body),
            redirect: 'manual',
        });
        return { status: answer.status, ...(await answer.json()) };
    };
    return { team, origin, bearer, post };
}

test('a program buys, is told both numbers, and buys once with one key', async () => {
    const { team, post } = await program();
    const key = { 'idempotency-key': 'order 4711' };
    const first = await post({ seat_type: 'team', quantity: 3 }, key);
    const { change, ...rest } = first;
    assert.deepEqual(rest, {
        status: 202,
        seat_type: 'team',
        previous_quantity: 5,
        new_quantity: 8,
        repeated: false,
        state: rest.state,
    });
    assert.match(rest.state, /^(pending|confirmed)$/);
    await states.settled(team, change);
    const again = await post({ seat_type: 'team', quantity: 3 }, key);
    assert.deepEqual(again, { ...first, repeated: true, state: 'confirmed' });
    assert.equal((await control(`ledger?path=/v1/subscriptions/${team.subscription}`)).executed.length, 1);

    const other = await post({ seat_type: 'team', quantity: 4 }, key);
    assert.deepEqual([other.status, other.error.code], [422, 'PS511']);
    const back = await post({ seat_type: 'team', quantity: 2, operation: 'remove' });
    assert.deepEqual([back.status, back.previous_quantity, back.new_quantity], [202, 8, 6]);
    const owner = await post({ seat_type: 'owner', quantity: 1 });
    assert.deepEqual([owner.status, owner.new_quantity], [202, 2]);
});

test('what cannot be is refused in words, with the code of it, and changes nothing', async () => {
    const { team, post } = await program();
    const good = { seat_type: 'team', quantity: 1 };
    const cases = /** @type {[object, number, string, RegExp][]} */ ([
        [{ ...good, quantity: 0 }, 422, 'PS505', /from 1 to 50/],
        [{ ...good, quantity: 51 }, 422, 'PS505', /from 1 to 50/],
        [{ ...good, quantity: 1.5 }, 422, 'PS505', /whole number/],
        [{ ...good, quantity: '1e1' }, 422, 'PS505', /whole number/],
        [{ ...good, quantity: null }, 422, 'PS505', /How many/],
        [{ seat_type: 'team' }, 422, 'PS505', /How many/],
        [{ ...good, quantity: [1] }, 422, 'refused', /cannot be that/],
        [{ ...good, quantity: { add: 1 } }, 422, 'refused', /cannot be that/],
        [{ ...good, seat_type: 'nosuch' }, 422, 'PS504', /kind of seat/],
        [{ ...good, seat_type: '__proto__' }, 422, 'PS504', /kind of seat/],
        [{ ...good, seat_type: '\ud800' }, 422, 'refused', /cannot be that/],
        [{ ...good, operation: 'set' }, 422, 'PS519', /Add, or remove/],
        [{ ...good, operation: 'remove', quantity: 6 }, 409, 'PS508', /in use/],
        [{ seat_type: 'owner', quantity: 20 }, 422, 'PS507', /at most 10/],
        [{ ...good, expected: 4 }, 409, 'PS510', /it is 5 now/],
        [{ ...good, proration_date: 1_795_000_000 }, 409, 'PS538', /too old/],
        [{ ...good, proration_date: Math.floor(Date.now() / 1000) }, 409, 'PS525', /price/],
        [{ ...good, team: 'no such team' }, 404, 'refused', /no such team/],
    ]);
    for (const [body, status, code, words] of cases) {
        const answer = await post(body);
        assert.deepEqual([answer.status, answer.error?.code], [status, code], JSON.stringify([body, answer]));
        assert.match(answer.error.message, words);
    }
    const keyless = await post(good, {});
    assert.deepEqual([keyless.status, keyless.error.code], [422, 'PS520']);
    assert.match(keyless.error.message, /Idempotency-Key/);
    const long = await post(good, { 'idempotency-key': 'x'.repeat(300) });
    assert.deepEqual([long.status, long.error.code], [422, 'PS520']);
    const page = await states.page(team);
    assert.deepEqual([page.open_changes_total, page.last_changes.length], [0, 0]);
});

test('only an owner may, of his team only, and who was made a member is asked anew', async () => {
    const { team, origin, post } = await program({ members: ['bob'] });
    const other = await newTeam('other');
    const foreign = await post({ team: other.team, seat_type: 'team', quantity: 1 });
    assert.deepEqual([foreign.status, foreign.error.code], [404, 'refused']);

    const bob = await signIn(origin, team.members[0]);
    const his = await post(
        { seat_type: 'team', quantity: 1 },
        { 'idempotency-key': 'bob', authorization: `Bearer ${bob}` },
    );
    assert.deepEqual([his.status, his.error.code], [403, 'PS509']);
    assert.equal(
        (await post({ seat_type: 'team', quantity: 1 }, { 'idempotency-key': 'x', authorization: 'Bearer made.up' }))
            .status,
        401,
    );

    await sql(`SELECT seats.change_member($1, $2, role => 'member', last_owner => true)`, [team.team, team.owner]);
    const demoted = await post({ seat_type: 'team', quantity: 1 });
    assert.deepEqual([demoted.status, demoted.error.code], [403, 'PS509']);
    assert.equal((await states.page(team)).open_changes_total, 0);
});

test('a price that was asked for somebody else, or was made up, is not shown', async () => {
    const { origin, bearer, team } = await program({ members: ['bob'] });
    const eve = await newTeam('eve');
    const headers = { authorization: `Bearer ${bearer}` };
    /** @param {string} from @param {string} user @returns {Promise<string>} */
    const ask = async (from, user) => {
        const answer = await fetch(`${origin}/team/quotes`, {
            method: 'POST',
            redirect: 'manual',
            headers: { authorization: `Bearer ${await signIn(origin, user)}`, 'content-type': 'application/json' },
            body: JSON.stringify({ team: from, seat_type: 'team', operation: 'add', quantity: 2 }),
        });
        assert.equal(answer.status, 303);
        return answer.headers.get('location') ?? '';
    };
    const own = await ask(team.team, team.owner);
    const hers = await ask(eve.team, eve.owner);
    const get = async (/** @type {string} */ path, with_ = headers) =>
        (await fetch(origin + path, { headers: with_, redirect: 'manual' })).status;
    assert.equal(await get(own), 200);
    assert.equal(await get(hers), 404, 'that of another team');
    const [path, signed] = own.split('?q=');
    assert.equal(await get(`${hers.split('?')[0]}?q=${signed}`), 404, 'its number with my signature');
    assert.equal(await get(path), 404, 'without a signature');
    const [value, mac] = signed.split('.');
    const quote = JSON.parse(Buffer.from(value, 'base64url').toString());
    const forged = Buffer.from(JSON.stringify({ ...quote, quantity: 1 })).toString('base64url');
    assert.equal(await get(`${path}?q=${forged}.${mac}`), 404, 'another number of seats');
    const own_mac = createHmac('sha256', 'guessed').update(`quote\n${value}`).digest('base64url');
    assert.equal(await get(`${path}?q=${value}.${own_mac}`), 404);
    const member = { authorization: `Bearer ${await signIn(origin, team.members[0])}` };
    assert.equal(await get(own, member), 403, 'what it costs is for owners');
});

test('what is taken back is of this team, and not too late', async () => {
    const { team, origin, bearer } = await program();
    const eve = await newTeam('eve');
    await states.queued(eve);
    const { change } = (await states.page(eve)).open_changes[1];
    /** @param {unknown} number */
    const cancel = async (number) => {
        const answer = await fetch(`${origin}/team/cancel`, {
            method: 'POST',
            redirect: 'manual',
            headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' },
            body: JSON.stringify({ team: team.team, change: number }),
        });
        return [answer.status, (await answer.json().catch(() => null))?.error?.code];
    };
    assert.deepEqual(await cancel(change), [404, 'PS514']);
    assert.deepEqual(await cancel(999_999_999), [404, 'PS514']);
    assert.deepEqual(await cancel('1; DROP TABLE'), [422, 'PS505']);
    assert.equal((await states.page(eve)).open_changes_total, 2);
    const bought = await states.buy(team);
    await states.settled(team, bought);
    assert.deepEqual(await cancel(bought), [409, 'PS515']);
});

test('an owner who was made a member between price and purchase buys nothing', async () => {
    const { team, origin, bearer } = await program();
    const headers = { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' };
    const wanted = { team: team.team, seat_type: 'team', operation: 'add', quantity: 2, expected: 5 };
    const sent = { method: 'POST', redirect: /** @type {const} */ ('manual'), body: JSON.stringify(wanted) };
    const asked = await fetch(`${origin}/team/quotes`, { ...sent, headers });
    assert.equal(asked.status, 303);
    await sql(`SELECT seats.change_member($1, $2, role => 'member', last_owner => true)`, [team.team, team.owner]);
    const bought = await fetch(`${origin}/team/seats`, {
        ...sent,
        headers: { ...headers, 'idempotency-key': randomUUID() },
    });
    assert.equal(bought.status, 403);
    assert.match(await bought.text(), /Only an owner of the team may do that/);
    assert.equal((await states.page(team)).open_changes_total, 0);
});

test('too many purchases of one person are slowed down, and nothing more is bought', async () => {
    const { team, post } = await program();
    const statuses = [];
    for (let i = 0; i < 21; i++) statuses.push((await post({ seat_type: 'team', quantity: 1, expected: 4 })).status);
    assert.deepEqual(statuses, [...Array(20).fill(409), 429]);
    assert.equal((await states.page(team)).open_changes_total, 0);
});
