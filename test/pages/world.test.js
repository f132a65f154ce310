// What the other tests stand on: a team of one's own, a browser that axe works in, and a Stripe that works again.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { freePort, world } from './lib/world.js';

const { axe, control, newTeam, openPage, sql, until } = await world();

test('a team is read from a subscription of its own', async () => {
    const { team, owner, members, subscription } = await newTeam('smoke', { seats: 4, members: ['bob'] });
    const [{ page }] = await sql('SELECT seats.team_page($1, $2) AS page', [team, owner]);
    const { quantity, confirmed, used } = page.seat_types.find((/** @type {any} */ type) => type.seat_type === 'team');
    assert.deepEqual({ quantity, confirmed, used }, { quantity: 4, confirmed: 4, used: 1 });
    assert.equal(members.length, 1);

    await sql(`SELECT seats.add_seats($1, 'team', 2, actor => $2)`, [team, owner]);
    await until(
        async () =>
            (await sql('SELECT unconfirmed FROM seats.teams WHERE team = $1 AND seat_type = $2', [team, 'team']))[0]
                .unconfirmed === 0,
    );
    const { executed } = await control(`ledger?object=${subscription}`);
    assert.equal(executed.length, 1, 'Stripe was told once');
});

test('a team may pay in yen', async () => {
    const { team } = await newTeam('tokio', { currency: 'jpy', seats: 2 });
    const [{ quantity }] = await sql(`SELECT quantity FROM seats.teams WHERE team = $1 AND seat_type = 'team'`, [team]);
    assert.equal(quantity, 2);
});

test('what a test makes Stripe do to all', async () => {
    await control('outage', { mode: 'refuse' });
    await control('keys', { key: 'sk_test_simulator', state: 'revoked' });
});

test('… ends with it', async () => {
    const { team } = await newTeam('afterwards');
    const [{ status }] = await sql('SELECT status FROM seats.teams WHERE team = $1 LIMIT 1', [team]);
    assert.equal(status, 'active');
});

test('a browser opens a page, and axe sees what is wrong with it', async () => {
    const port = await freePort();
    const text = '<!doctype html><html lang="en"><title>x</title><main><h1>Seats</h1><input></main></html>';
    const server = createServer((_request, response) =>
        response
            .setHeader('content-type', 'text/html')
            .setHeader('content-security-policy', "default-src 'none'")
            .end(text),
    ).listen(port, '127.0.0.1');
    try {
        const page = await openPage(`http://127.0.0.1:${port}`, { dark: true, width: 390 });
        assert.equal(await page.locator('h1').textContent(), 'Seats');
        await assert.rejects(axe(page), /label/);
    } finally {
        server.close();
    }
});
